//! What a typed line asks for.

/// What `/help` shows.
pub(super) const HELP: &str = "\
/model        the model, and those that the server offers
/model NAME   talk to another one
/tools        the tools that the model may call
/new          a new conversation
/quit         leave; so does Ctrl-D
While it answers:
text          say it as soon as it has come to an end or called a tool
!text         cut it off, and say it now
Several lines that are pasted are one text.
Ctrl-C        stop the answer; twice, or when there is none: leave
Everything else goes to the model. The demo model knows /error CODE, /stall and /refuse.
";

const NAMES: &[&str] = &["/help", "/model", "/tools", "/new", "/quit", "/exit"];

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Nothing,
    Help,
    ShowModels,
    SetModel(String),
    ShowTools,
    New,
    Quit,
    /// A typing error for this command.
    Mistyped(&'static str),
    Ask(String),
}

impl Command {
    pub fn parse(line: &str) -> Self {
        let line = line.trim();
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (name, argument.trim()) {
            ("", _) => Self::Nothing,
            ("/help" | "/?", _) => Self::Help,
            ("/model", "") => Self::ShowModels,
            ("/model", model) => Self::SetModel(model.to_owned()),
            ("/tools", _) => Self::ShowTools,
            ("/new", _) => Self::New,
            ("/quit" | "/exit", _) => Self::Quit,
            (name, _) if name.starts_with('/') => {
                match NAMES.iter().find(|known| strsim::osa_distance(name, known) < 2) {
                    Some(known) => Self::Mistyped(known),
                    None => Self::Ask(line.to_owned()),
                }
            }
            _ => Self::Ask(line.to_owned()),
        }
    }
}
