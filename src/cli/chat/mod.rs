//! `tokenwire chat`: a conversation in the terminal.
//!
//! ```text
//!   keyboard, keys ─┐                    ┌─► screen
//!   Ctrl-C         ─┼─► Chat ── Answer ──┤
//!   server         ─┘                    └─► server
//! ```
//!
//! [`Chat`] waits for all three at once. What they mean for the answer under way is decided by
//! [`Answer`], which does no I/O. The line editor has the terminal between answers, and where the user is asked about a
//! tool; while an answer streams, [`keys`] reads what is typed.

mod answer;
mod command;
mod connect;
mod follow;
mod input;
mod keyboard;
mod keys;
mod mcp;
mod screen;
mod steering;
#[cfg(test)]
mod tests;
mod typing;

use std::{
    collections::HashSet,
    error::Error,
    io::{IsTerminal, stdin},
    path::PathBuf,
    time::Duration,
};

use tokenwire::{
    client::{Client, ClientError},
    protocol::{
        GenerationId, Start,
        message::{Message, Role, Tool},
    },
};

use self::{
    answer::{Answer, Ending, Show},
    command::{Command, HELP},
    connect::{Upstream, default_model},
    follow::Lost,
    keyboard::{Editing, Keyboard, Typed, typed},
    mcp::{McpArgs, Told},
    screen::Screen,
    typing::Typing,
};
use super::{ConfigArgs, Failure, log, runtime, signals::Signals};

/// Talk to a model from the terminal
///
/// Talks to a running server, or starts one inside when none is running. With a prompt as an
/// argument or from a pipe it answers that and ends; the answer goes to stdout, all else to stderr.
///
/// Ctrl-C stops the answer and keeps the conversation; a second one leaves. In a conversation, a line
/// that is typed while it answers is said as soon as the answer has come to an end or called a tool;
/// one that begins with `!` cuts it off and is said at once.
#[derive(clap::Args)]
pub(super) struct ChatArgs {
    /// What to ask. Without it, and at a terminal: a conversation
    prompt: Vec<String>,
    /// `provider/model` [default: the first of a provider whose key is there, else demo/markdown]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
    /// Instructions that go before the conversation
    #[arg(long, short, value_name = "TEXT")]
    system: Option<String>,
    /// Tools that the model may call: a JSON list as in chat completions. You are asked for the results
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    #[command(flatten)]
    mcp: McpArgs,
    /// The server [default: ws:// and the configured listen address; started inside when none answers]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The key to connect with
    #[arg(long, value_name = "KEY", env = "TOKENWIRE_KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: ChatArgs) -> Result<(), Failure> {
    // Warnings of a server inside would stand between the lines of the answer.
    log::init(&std::env::var("TOKENWIRE_LOG").unwrap_or_else(|_| "error".to_owned()))?;
    let prompt = input::prompt(&args.prompt)?;
    let tools = args.tools.as_deref().map(input::tools).transpose()?.unwrap_or_default();
    runtime()?.block_on(async {
        let mut signals =
            Signals::interrupt().map_err(|error| Failure::new(format!("cannot wait for Ctrl-C: {error}")))?;
        let finding = async {
            let (upstream, client) = Upstream::find(args.url, args.key, args.config, args.mcp).await?;
            let models = match &args.model {
                Some(_) if prompt.is_some() => Vec::new(),
                _ => upstream.models().await,
            };
            Ok::<_, Failure>((upstream, client, models))
        };
        let (upstream, client, models) = tokio::select! {
            found = finding => found?,
            () = signals.next() => return Err(Failure::interrupted()),
        };
        let mut chat = Chat {
            model: args.model.clone().unwrap_or_else(|| default_model(&models)),
            models,
            system: args.system,
            tools,
            messages: Vec::new(),
            upstream,
            client: Some(client),
            signals,
            resizes: Signals::resize()
                .map_err(|error| Failure::new(format!("cannot wait for the terminal's size: {error}")))?,
            screen: Screen::new(),
            keyboard: None,
            is_talk: prompt.is_none(),
            typing: Typing::default(),
            next_question: None,
            allowed: HashSet::new(),
            told: Told::default(),
            mcp_start: MCP_START,
            unfinished_line: None,
        };
        let outcome = match prompt {
            Some(prompt) => chat.once(prompt).await,
            None => chat.talk().await,
        };
        if let Some(client) = chat.client {
            client.close().await;
        }
        chat.upstream.end().await;
        outcome
    })
}

/// How long the first question waits for MCP servers. A package runner may have to download them first.
const MCP_START: Duration = Duration::from_secs(60);

/// A conversation.
struct Chat {
    model: String,
    models: Vec<String>,
    system: Option<String>,
    tools: Vec<Tool>,
    messages: Vec<Message>,
    upstream: Upstream,
    /// `None` after a loss for good; the next question connects anew.
    client: Option<Client>,
    signals: Signals,
    resizes: Signals,
    screen: Screen,
    /// `None` when there is nobody to ask.
    keyboard: Option<Keyboard>,
    /// Whether questions follow until the user leaves.
    is_talk: bool,
    /// What is typed while an answer streams. What is left of it begins the next line.
    typing: Typing,
    /// What the last answer came too early for.
    next_question: Option<String>,
    /// Tools whose calls need no approval any more.
    allowed: HashSet<String>,
    /// Which MCP servers the user has been told of.
    told: Told,
    /// How long the next question waits for those that start.
    mcp_start: Duration,
    /// A line that is still being edited though nobody needs it any more.
    unfinished_line: Option<Editing>,
}

/// How a question came out.
enum Outcome {
    Ended(Ending),
    /// The user wants to leave.
    Left,
}

impl Chat {
    /// One question, and the end.
    async fn once(&mut self, prompt: String) -> Result<(), Failure> {
        if stdin().is_terminal() {
            // For the results of tools; without it they cannot be asked for.
            self.keyboard = Keyboard::new().ok();
        }
        self.wait_for_mcp().await;
        match self.ask(prompt).await? {
            Outcome::Ended(Ending::Finished(_)) => Ok(()),
            Outcome::Ended(Ending::Failed(why)) => Err(Failure::new(why)),
            Outcome::Ended(Ending::Cancelled(_)) | Outcome::Left => Err(Failure::interrupted()),
        }
    }

    /// Questions until the user leaves.
    async fn talk(&mut self) -> Result<(), Failure> {
        let keyboard = Keyboard::new().map_err(|error| Failure::new(format!("cannot read the terminal: {error}")))?;
        self.keyboard = Some(keyboard);
        self.greet();
        loop {
            let command = match self.next_question.take() {
                Some(question) => {
                    self.screen.show(&Show::Question(question.clone()));
                    Command::Ask(question)
                }
                None => match self.line().await {
                    Typed::Line(line) => Command::parse(&line),
                    Typed::Interrupted | Typed::End => return Ok(()),
                },
            };
            match command {
                Command::Nothing => {}
                Command::Quit => return Ok(()),
                Command::Help => self.screen.say(HELP),
                Command::New => {
                    self.messages.clear();
                    self.screen.note("a new conversation");
                }
                Command::ShowModels => self.show_models(),
                Command::ShowTools => self.show_tools().await,
                Command::SetModel(model) => {
                    self.screen.note(&format!("model {model}"));
                    self.model = model;
                }
                Command::Mistyped(meant) => self.screen.note(&format!("did you mean {meant}? See /help")),
                Command::Ask(prompt) => {
                    self.wait_for_mcp().await;
                    match self.ask(prompt).await {
                        Ok(Outcome::Ended(Ending::Failed(why))) => self.screen.note(&format!("failed: {why}")),
                        Ok(Outcome::Ended(_)) => {}
                        Ok(Outcome::Left) => return Ok(()),
                        Err(failure) => self.screen.note(&format!("failed: {failure}")),
                    }
                    self.screen.say("\n");
                }
            }
        }
    }

    fn greet(&mut self) {
        let place = match self.upstream.is_inside() {
            true => "a server inside",
            false => &self.upstream.url,
        };
        let version = env!("CARGO_PKG_VERSION");
        self.screen.say(&format!(
            "tokenwire {version}, talking to {} at {place}\n\
             While it answers: type to add, !text cuts in, Ctrl-C stops it. More: /help\n",
            self.model
        ));
    }

    fn show_models(&mut self) {
        let mut list = format!("model {}; /model NAME changes it\n", self.model);
        for model in &self.models {
            list.push_str(&format!("  {model}\n"));
        }
        self.screen.say(&list);
    }

    async fn show_tools(&mut self) {
        let mut lines = match self.upstream.tools().await {
            Some(list) => list.lines(),
            None => "  the server does not say which tools it has\n".to_owned(),
        };
        for tool in &self.tools {
            lines.push_str(&format!("  {}  (yours: you are asked for the result)\n", tool.function.name));
        }
        if lines.is_empty() {
            lines.push_str("  none; `--mcp` adds those of an MCP server, see `tokenwire chat --help`\n");
        }
        self.screen.say(&lines);
    }

    /// Waits for MCP servers that are starting, at the first question, and says which of them are not there.
    async fn wait_for_mcp(&mut self) {
        if !self.upstream.has_mcp() {
            return;
        }
        let limit = std::mem::replace(&mut self.mcp_start, Duration::ZERO);
        tokio::select! {
            () = self.told.wait(&self.upstream, &mut self.screen, limit) => {}
            () = self.signals.next() => {}
        }
    }

    /// Waits for a line; meanwhile the connection is kept alive.
    async fn line(&mut self) -> Typed {
        let Some(keyboard) = &self.keyboard else { return Typed::End };
        if let Some(mut unfinished) = self.unfinished_line.take() {
            // The line editor cannot be taken back.
            self.screen.note("the answer is not needed any more; press Enter");
            if typed(&mut unfinished).await == Typed::End {
                return Typed::End;
            }
        }
        let mut editing = keyboard.question(self.typing.take());
        loop {
            tokio::select! {
                typed = typed(&mut editing) => return typed,
                () = self.signals.next() => return Typed::Interrupted,
                received = next(&mut self.client) => {
                    if received.is_err() {
                        self.client = None;
                    }
                }
            }
        }
    }

    /// Asks the model and shows what it says.
    async fn ask(&mut self, prompt: String) -> Result<Outcome, Failure> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.upstream.connect().await.map_err(|error| self.upstream.explain(&error))?,
        };
        if !client.is_connected() {
            self.screen.note("no connection; the question waits for it. Ctrl-C gives up");
        }
        let id = new_id()?;
        let question = Message::user(prompt);
        client.start(self.start(id.clone(), question.clone())).await;
        let mut answer = Answer::new(id.clone());
        let outcome = self.follow(&id, &mut client, &mut answer).await;
        self.screen.end_line();
        if let Some(unheard) = answer.steering.take_unheard() {
            match &outcome {
                Ok(Outcome::Ended(Ending::Finished(_))) => self.next_question = Some(unheard),
                // Whether it is still meant is for the user to say.
                _ => self.typing.put_before(&unheard),
            }
        }
        let has_connection = !matches!(&outcome, Err(Lost(_)));
        if has_connection {
            self.client = Some(client);
        }
        match outcome {
            Ok(Outcome::Ended(ending)) => {
                if let Ending::Finished(bill) | Ending::Cancelled(bill) = &ending {
                    self.screen.bill(bill);
                    // A question without any answer would stand in the way of the next one.
                    let messages = answer.into_messages();
                    if !messages.is_empty() {
                        self.messages.push(question);
                        self.messages.extend(messages);
                    }
                }
                Ok(Outcome::Ended(ending))
            }
            Ok(Outcome::Left) => Ok(Outcome::Left),
            Err(Lost(why)) => Ok(Outcome::Ended(Ending::Failed(why))),
        }
    }

    fn start(&self, id: GenerationId, question: Message) -> Start {
        let mut messages: Vec<Message> =
            self.system.iter().map(|system| Message::text(Role::System, system.as_str())).collect();
        messages.extend(self.messages.iter().cloned());
        messages.push(question);
        let mut start = Start::new(id, self.model.as_str(), messages);
        start.tools = self.tools.clone();
        start
    }
}

/// What comes next from the server, or never anything without a connection. Cancel-safe.
async fn next(client: &mut Option<Client>) -> Result<(), ClientError> {
    match client {
        Some(client) => client.next().await.map(|_| ()),
        None => std::future::pending().await,
    }
}

fn new_id() -> Result<GenerationId, Failure> {
    // Short: it is in every frame.
    let id = uuid::Uuid::new_v4().simple().to_string();
    id[..12].parse().map_err(|error| Failure::new(format!("{error}")))
}

/// An error and its causes in one line.
fn error_line(error: &ClientError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}
