//! `tokenwire chat`: a conversation in the terminal.
//!
//! ```text
//!   keyboard ─┐                    ┌─► screen
//!   Ctrl-C   ─┼─► Chat ── Answer ──┤
//!   server   ─┘                    └─► server
//! ```
//!
//! [`Chat`] waits for all three at once. What they mean for the answer under way is decided by
//! [`Answer`], which does no I/O.

mod answer;
mod command;
mod connect;
mod input;
mod keyboard;
mod screen;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    error::Error,
    io::{IsTerminal, stdin},
    path::PathBuf,
};

use tokenwire::{
    client::{Client, ClientError},
    protocol::{
        Approve, ClientFrame, Deny, GenerationId, Start, ToolResult,
        message::{Content, Message, Role, Tool},
    },
};

use self::{
    answer::{Answer, Ending, PendingCall, Question, Step},
    command::{Command, HELP},
    connect::{Upstream, default_model},
    keyboard::{Editing, Keyboard, Typed, typed},
    screen::Screen,
};
use super::{ConfigArgs, Failure, log, runtime, signals::Signals};

/// Talk to a model from the terminal
///
/// Talks to a running server, or starts one inside when none is running. With a prompt as an
/// argument or from a pipe it answers that and ends; the answer goes to stdout, all else to stderr.
///
/// Ctrl-C stops the answer and keeps the conversation; a second one leaves.
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
            let (upstream, client) = Upstream::find(args.url, args.key, args.config).await?;
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
            screen: Screen::new(),
            keyboard: None,
            unfinished_line: None,
        };
        let outcome = match prompt {
            Some(prompt) => chat.once(prompt).await,
            None => chat.talk().await,
        };
        if let Some(client) = chat.client {
            client.close().await;
        }
        outcome
    })
}

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
    screen: Screen,
    /// `None` when there is nobody to ask.
    keyboard: Option<Keyboard>,
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
            let line = match self.line().await {
                Typed::Line(line) => line,
                Typed::Interrupted | Typed::End => return Ok(()),
            };
            match Command::parse(&line) {
                Command::Nothing => {}
                Command::Quit => return Ok(()),
                Command::Help => self.screen.say(HELP),
                Command::New => {
                    self.messages.clear();
                    self.screen.note("a new conversation");
                }
                Command::ShowModels => self.show_models(),
                Command::SetModel(model) => {
                    self.screen.note(&format!("model {model}"));
                    self.model = model;
                }
                Command::Mistyped(meant) => self.screen.note(&format!("did you mean {meant}? See /help")),
                Command::Ask(prompt) => {
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
        let place = match self.upstream.is_inside {
            true => "a server inside",
            false => &self.upstream.url,
        };
        let version = env!("CARGO_PKG_VERSION");
        self.screen.say(&format!(
            "tokenwire {version}, talking to {} at {place}\nCtrl-C stops an answer, and leaves when there is none. /help for more.\n",
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

    /// Waits for a line; meanwhile the connection is kept alive.
    async fn line(&mut self) -> Typed {
        let Some(keyboard) = &self.keyboard else { return Typed::End };
        if let Some(mut unfinished) = self.unfinished_line.take() {
            // The line editor cannot be taken back.
            self.screen.note("the result is not needed any more; press Enter");
            if typed(&mut unfinished).await == Typed::End {
                return Typed::End;
            }
        }
        let mut editing = keyboard.ask("> ");
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

    /// Follows an answer to its end.
    async fn follow(&mut self, id: &GenerationId, client: &mut Client, answer: &mut Answer) -> Result<Outcome, Lost> {
        let mut calls: VecDeque<PendingCall> = VecDeque::new();
        let mut editing: Option<(PendingCall, Editing)> = None;
        loop {
            while editing.is_none()
                && let Some(call) = calls.pop_front()
            {
                if !answer.is_unanswered(&call) {
                    continue;
                }
                let Some(keyboard) = &self.keyboard else {
                    client.cancel(id).await;
                    let why = format!("the model called {} and there is no terminal to ask for the result", call.name);
                    return Ok(Outcome::Ended(Ending::Failed(why)));
                };
                self.screen.end_line();
                let line = keyboard.ask(&match call.question {
                    Question::Approval => format!("allow {}? y, or why not> ", call.name),
                    Question::Result => format!("result of {}> ", call.name),
                });
                editing = Some((call, line));
            }
            let step = tokio::select! {
                received = client.next() => {
                    let (show, step) = answer.received(received.map_err(|error| Lost(error_line(&error)))?);
                    if let Some(show) = show {
                        self.screen.show(&show);
                    }
                    match step {
                        // Nobody reads any more: `tokenwire chat ... | head -1`. Then nobody should pay either.
                        Step::Wait if self.screen.is_closed() => answer.interrupted(),
                        step => step,
                    }
                }
                () = self.signals.next() => answer.interrupted(),
                (call, typed) = result(&mut editing) => match typed {
                    Typed::Line(line) => {
                        let (id, call_id) = (id.clone(), call.call_id.to_string());
                        client.send(match (call.question, line.trim()) {
                            (Question::Result, _) => {
                                let content = Content::Text(line);
                                ClientFrame::ToolResult(ToolResult { id, call_id, content, is_error: false })
                            }
                            (Question::Approval, "y" | "yes") => {
                                ClientFrame::Approve(Approve { id, call_id, arguments: None })
                            }
                            (Question::Approval, reason) => {
                                let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
                                ClientFrame::Deny(Deny { id, call_id, reason })
                            }
                        }).await;
                        Step::Wait
                    }
                    Typed::Interrupted | Typed::End => answer.interrupted(),
                },
            };
            match step {
                Step::Wait => {}
                Step::Cancel if !client.is_connected() => {
                    return Err(Lost("given up: there is no connection".to_owned()));
                }
                Step::Cancel => client.cancel(id).await,
                Step::Ask(unanswered) => calls.extend(unanswered),
                Step::Over(ending) => {
                    self.unfinished_line = editing.map(|(_, line)| line);
                    return Ok(Outcome::Ended(ending));
                }
                Step::Leave => return Ok(Outcome::Left),
            }
        }
    }
}

/// The connection is lost for good, and why.
struct Lost(String);

/// What comes next from the server, or never anything without a connection. Cancel-safe.
async fn next(client: &mut Option<Client>) -> Result<(), ClientError> {
    match client {
        Some(client) => client.next().await.map(|_| ()),
        None => std::future::pending().await,
    }
}

/// The result that is being typed, or never anything. Cancel-safe.
async fn result(editing: &mut Option<(PendingCall, Editing)>) -> (PendingCall, Typed) {
    let typed = match editing {
        Some((_, line)) => typed(line).await,
        None => std::future::pending().await,
    };
    match editing.take() {
        Some((call, _)) => (call, typed),
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
