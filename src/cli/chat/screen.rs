//! What is written to the terminal: the answer to stdout, everything else to stderr.

use std::io::{IsTerminal, Write, stderr, stdout};

use tokenwire::protocol::UsageSource;

use super::answer::{Bill, Show};

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// The terminal, or the pipe, that an answer is written to.
pub(super) struct Screen {
    is_terminal: bool,
    has_color: bool,
    /// What was written last, so that a change begins a new line.
    last: Last,
    /// Whether whoever read stdout has gone.
    is_closed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Last {
    LineEnd,
    Text,
    Reasoning,
}

impl Screen {
    pub fn new() -> Self {
        let is_terminal = stdout().is_terminal();
        let may_color = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let has_color =
            is_terminal && may_color("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { is_terminal, has_color, last: Last::LineEnd, is_closed: false }
    }

    /// Shows a piece of an answer. Into a pipe go the answer's words alone.
    pub fn show(&mut self, show: &Show) {
        match show {
            Show::Text(text) => {
                if self.last == Last::Reasoning {
                    self.write("\n\n");
                }
                let printable = self.printable(text);
                self.write(&printable);
                self.ended_with(text, Last::Text);
            }
            Show::Reasoning(text) if self.is_terminal => {
                if self.last == Last::Text {
                    self.write("\n");
                }
                let text = self.dim(&self.printable(text));
                self.write(&text);
                self.last = Last::Reasoning;
            }
            Show::Reasoning(_) => {}
            Show::Note(note) => self.note(note),
        }
    }

    /// A line about something else than the answer.
    pub fn note(&mut self, note: &str) {
        // Into a pipe goes what the model said, and no line end of ours in the middle of it.
        if self.is_terminal {
            self.end_line();
        }
        let note = format!("[{}]", self.printable(note));
        let note = if self.has_color && stderr().is_terminal() { self.dim(&note) } else { note };
        let _ = writeln!(stderr(), "{note}");
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A text of the program's own.
    pub fn say(&mut self, text: &str) {
        self.write(text);
    }

    /// The line after an answer.
    pub fn bill(&mut self, bill: &Bill) {
        self.note(&bill_line(bill));
    }

    /// Begins a new line where one is begun.
    pub fn end_line(&mut self) {
        if self.last != Last::LineEnd {
            self.write("\n");
            self.last = Last::LineEnd;
        }
    }

    fn ended_with(&mut self, text: &str, last: Last) {
        self.last = match text.chars().last() {
            Some('\n') => Last::LineEnd,
            Some(_) => last,
            None => self.last,
        };
    }

    fn write(&mut self, text: &str) {
        let mut stdout = stdout().lock();
        self.is_closed |= stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err();
    }

    fn dim(&self, text: &str) -> String {
        if self.has_color { format!("{DIM}{text}{PLAIN}") } else { text.to_owned() }
    }

    /// A model's words must not move the cursor or change the terminal's settings.
    fn printable(&self, text: &str) -> String {
        let is_harmless = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        if self.is_terminal { text.chars().filter(is_harmless).collect() } else { text.to_owned() }
    }
}

/// Tokens and who counted them, time to the first, and pace.
fn bill_line(bill: &Bill) -> String {
    let usage = &bill.usage;
    let counted = match usage.source {
        UsageSource::Provider => "counted by the provider",
        UsageSource::Partial => "counted in part, the rest estimated",
        UsageSource::Estimated => "estimated",
    };
    let mut line = format!("{} + {} tokens, {counted}", usage.input_tokens, usage.output_tokens);
    if let Some(cost) = usage.cost {
        line.push_str(&format!("; cost {cost:.6}"));
    }
    if let Some(first_token_ms) = bill.timing.first_token_ms {
        line.push_str(&format!("; first after {first_token_ms} ms"));
        let streaming_ms = bill.timing.total_ms.saturating_sub(first_token_ms);
        if streaming_ms > 0 {
            let pace = usage.output_tokens as f64 * 1000.0 / streaming_ms as f64;
            line.push_str(&format!("; {pace:.1} tokens/s"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use tokenwire::protocol::{Timing, TokenUsage};

    use super::*;

    #[test]
    fn the_bill_is_one_line() {
        let usage =
            TokenUsage { input_tokens: 12, output_tokens: 350, source: UsageSource::Provider, ..TokenUsage::default() };
        let mut bill = Bill { usage, timing: Timing { queue_ms: 0, first_token_ms: Some(300), total_ms: 7300 } };
        assert_eq!(bill_line(&bill), "12 + 350 tokens, counted by the provider; first after 300 ms; 50.0 tokens/s");
        bill.timing.first_token_ms = None;
        bill.usage.source = UsageSource::Estimated;
        assert_eq!(bill_line(&bill), "12 + 350 tokens, estimated");
    }

    #[test]
    fn a_model_cannot_steer_the_terminal() {
        let screen = Screen { is_terminal: true, has_color: true, last: Last::LineEnd, is_closed: false };
        assert_eq!(screen.printable("a\x1b]0;title\x07b\u{9b}2Jc\r\n\td"), "a]0;titleb2Jc\n\td");
        let pipe = Screen { is_terminal: false, has_color: false, last: Last::LineEnd, is_closed: false };
        assert_eq!(pipe.printable("a\x1bb"), "a\x1bb");
    }
}
