//! One answer, followed to its end: what the server, the keys and the line editor say meanwhile.

use std::collections::VecDeque;

use serde_json::{Map, Value};
use tokenwire::{
    client::Client,
    protocol::{
        Approve, ClientFrame, Deny, GenerationId, Input, ToolResult,
        message::{Content, Message},
    },
};

use super::{
    Chat, Outcome,
    answer::{Answer, Ending, PendingCall, Question, Step, arguments},
    command::{Command, HELP},
    error_line,
    keyboard::{Editing, Typed, typed},
    keys::Keys,
    new_id,
    screen::Bottom,
};

/// The connection is lost for good, and why.
pub(super) struct Lost(pub String);

/// What the user is asked about a call.
struct Asked {
    call: PendingCall,
    /// Whether the line holds the call's arguments, to be edited.
    is_edit: bool,
    line: Editing,
}

impl Chat {
    /// Follows an answer to its end.
    pub(super) async fn follow(
        &mut self,
        id: &GenerationId,
        client: &mut Client,
        answer: &mut Answer,
    ) -> Result<Outcome, Lost> {
        let followed = self.follow_keys(id, client, answer).await;
        self.screen.bottom(None);
        followed
    }

    async fn follow_keys(
        &mut self,
        id: &GenerationId,
        client: &mut Client,
        answer: &mut Answer,
    ) -> Result<Outcome, Lost> {
        let mut calls: VecDeque<PendingCall> = VecDeque::new();
        let mut asked: Option<Asked> = None;
        let mut keys: Option<Keys> = None;
        // Who asks one question types its next command meanwhile, for the shell.
        let mut has_keys = self.is_talk;
        loop {
            while asked.is_none()
                && let Some(call) = calls.pop_front()
            {
                if !answer.is_unanswered(&call) {
                    continue;
                }
                if call.question == Question::Approval && self.allowed.contains(&*call.name) {
                    self.screen.note(&format!("{} is allowed in this chat", call.name));
                    client.send(approve(id, &call, None)).await;
                    continue;
                }
                // The line editor reads the terminal itself.
                keys = None;
                self.screen.bottom(None);
                asked = self.question(call, false);
                if asked.is_none() {
                    client.cancel(id).await;
                    return Ok(Outcome::Ended(Ending::Failed(self.nobody_to_ask(answer))));
                }
            }
            if asked.is_none() && has_keys {
                keys = keys.or_else(Keys::watch);
                has_keys = keys.is_some();
            }
            if asked.is_none() {
                self.show_bottom(answer);
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
                () = self.resizes.next() => Step::Wait,
                (call, is_edit, typed) = line(&mut asked) => match typed {
                    Typed::Line(line) => {
                        asked = self.answered(id, client, call, is_edit, line).await;
                        Step::Wait
                    }
                    Typed::Interrupted | Typed::End => answer.interrupted(),
                },
                bytes = next_keys(&mut keys) => {
                    has_keys = !bytes.is_empty();
                    let mut step = Step::Wait;
                    for line in self.typing.push(&bytes) {
                        step = self.said(id, client, answer, &line).await?;
                        if step != Step::Wait {
                            break;
                        }
                    }
                    step
                }
            };
            match step {
                Step::Wait => {}
                Step::Cancel if !client.is_connected() => {
                    return Err(Lost("given up: there is no connection".to_owned()));
                }
                Step::Cancel => client.cancel(id).await,
                Step::Ask(unanswered) => calls.extend(unanswered),
                Step::Over(ending) => {
                    self.unfinished_line = asked.map(|asked| asked.line);
                    return Ok(Outcome::Ended(ending));
                }
                Step::Leave => return Ok(Outcome::Left),
            }
        }
    }

    /// Shows what is typed, or else what waits.
    fn show_bottom(&mut self, answer: &Answer) {
        let bottom = match self.typing.line() {
            "" => answer.steering.waiting().map(Bottom::Waiting),
            line => Some(Bottom::Typing(line.to_owned())),
        };
        self.screen.bottom(bottom.as_ref());
    }

    /// Takes a line that was typed while the answer streams.
    async fn said(
        &mut self,
        id: &GenerationId,
        client: &mut Client,
        answer: &mut Answer,
        line: &str,
    ) -> Result<Step, Lost> {
        match Command::parse(line) {
            Command::Nothing => {}
            Command::Help => {
                self.screen.end_line();
                self.screen.say(HELP);
            }
            Command::Mistyped(meant) => self.screen.note(&format!("did you mean {meant}? See /help")),
            Command::Ask(text) => {
                let (text, interrupt) = match text.strip_prefix('!') {
                    Some(text) => (text.trim().to_owned(), true),
                    None => (text, false),
                };
                if text.is_empty() {
                    return Ok(Step::Wait);
                }
                let input_id = new_id().map_err(|failure| Lost(failure.to_string()))?.to_string();
                answer.steering.sent(input_id.clone(), text.clone());
                let waiting = answer.steering.waiting().map(Bottom::Waiting);
                if !interrupt && !self.screen.bottom(waiting.as_ref()) {
                    self.screen.note(&format!("waiting: {text}"));
                }
                let messages = vec![Message::user(text)];
                client.input(Input { id: id.clone(), input_id: Some(input_id), interrupt, messages }).await;
            }
            Command::Quit => {
                client.cancel(id).await;
                return Ok(Step::Leave);
            }
            Command::ShowModels | Command::SetModel(_) | Command::ShowTools | Command::New => {
                self.screen.note(&format!("{} is for when the answer is over; Ctrl-C stops it", line.trim()));
            }
        }
        Ok(Step::Wait)
    }

    /// Asks about a call. `None` when there is nobody to ask.
    fn question(&mut self, call: PendingCall, is_edit: bool) -> Option<Asked> {
        let keyboard = self.keyboard.as_ref()?;
        self.screen.end_line();
        let name = &call.name;
        let line = match call.question {
            Question::Approval if is_edit => keyboard.ask(format!("{name}> "), arguments(&call.arguments)),
            Question::Approval => {
                let choices = "y, n, a: always in this chat, e: edit, or why not";
                keyboard.ask(format!("allow {name}? ({choices}) "), String::new())
            }
            Question::Result => keyboard.ask(format!("result of {name}> "), String::new()),
        };
        Some(Asked { call, is_edit, line })
    }

    /// Sends what was answered about a call, or asks again.
    async fn answered(
        &mut self,
        id: &GenerationId,
        client: &mut Client,
        call: PendingCall,
        is_edit: bool,
        line: String,
    ) -> Option<Asked> {
        let (generation, call_id) = (id.clone(), call.call_id.to_string());
        let frame = match (call.question, line.trim()) {
            (Question::Result, _) => {
                let content = Content::Text(line);
                ClientFrame::ToolResult(ToolResult { id: generation, call_id, content, is_error: false })
            }
            // Nothing left of the arguments: it was not meant.
            (Question::Approval, "") if is_edit => return self.question(call, false),
            (Question::Approval, edited) if is_edit => match serde_json::from_str::<Map<String, Value>>(edited) {
                Ok(edited) => approve(id, &call, Some(edited)),
                Err(error) => {
                    self.screen.note(&format!("not a JSON object: {error}"));
                    let call = PendingCall { arguments: edited.into(), ..call };
                    return self.question(call, true);
                }
            },
            (Question::Approval, "y" | "yes") => approve(id, &call, None),
            (Question::Approval, "a" | "always") => {
                self.allowed.insert(call.name.to_string());
                approve(id, &call, None)
            }
            (Question::Approval, "e" | "edit") => return self.question(call, true),
            (Question::Approval, "" | "n" | "no") => ClientFrame::Deny(Deny { id: generation, call_id, reason: None }),
            (Question::Approval, reason) => {
                ClientFrame::Deny(Deny { id: generation, call_id, reason: Some(reason.to_owned()) })
            }
        };
        client.send(frame).await;
        None
    }

    /// Why an answer fails whose calls want somebody's word.
    fn nobody_to_ask(&self, answer: &Answer) -> String {
        let call = answer.unanswered().next();
        let name = call.map(|call| &*call.name).unwrap_or("a tool");
        match call.map(|call| call.question) {
            Some(Question::Approval) => format!(
                "the model wants to call {name}, and there is no terminal to ask whether it may\n  \
                 `--mcp-approval never` lets the tools of `--mcp` run unasked, `approval = \"never\"` those of the configuration"
            ),
            _ => format!("the model called {name} and there is no terminal to ask for the result"),
        }
    }
}

fn approve(id: &GenerationId, call: &PendingCall, arguments: Option<Map<String, Value>>) -> ClientFrame {
    ClientFrame::Approve(Approve { id: id.clone(), call_id: call.call_id.to_string(), arguments })
}

/// The answer that is being typed, or never anything. Cancel-safe.
async fn line(asked: &mut Option<Asked>) -> (PendingCall, bool, Typed) {
    let typed = match asked {
        Some(asked) => typed(&mut asked.line).await,
        None => std::future::pending().await,
    };
    match asked.take() {
        Some(asked) => (asked.call, asked.is_edit, typed),
        None => std::future::pending().await,
    }
}

/// The next keys; none when the terminal is gone, never any where they are not watched. Cancel-safe.
async fn next_keys(keys: &mut Option<Keys>) -> Vec<u8> {
    let bytes = match keys {
        Some(watched) => watched.next().await,
        None => std::future::pending().await,
    };
    if bytes.is_empty() {
        *keys = None;
    }
    bytes
}
