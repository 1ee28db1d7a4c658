//! What is written to the terminal: the answer to stdout, everything else to stderr.
//!
//! While an answer streams, a line at the bottom shows what is typed. There the terminal scrolls only the rows above
//! it, so the answer need not know of it.

use std::io::{IsTerminal, Write, stderr, stdout};

use terminal_size::{Height, Width, terminal_size_of};
use tokenwire::protocol::UsageSource;
use unicode_width::UnicodeWidthChar;

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
    place: Place,
    /// The line at the bottom, where there is one.
    bottom: Option<Size>,
}

/// Where the next character goes, as far as can be known.
#[derive(Clone, Copy, Default)]
struct Place {
    column: usize,
    last: Option<char>,
}

#[derive(Clone, Copy, PartialEq)]
struct Size {
    columns: usize,
    rows: usize,
}

/// What the line at the bottom shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bottom {
    /// What is being typed, up to the cursor.
    Typing(String),
    /// What the model has still to see.
    Waiting(String),
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
        Self { is_terminal, has_color, last: Last::LineEnd, is_closed: false, place: Place::default(), bottom: None }
    }

    /// Shows a piece of an answer. Into a pipe go the answer's words alone.
    pub fn show(&mut self, show: &Show) {
        match show {
            Show::Text(text) => {
                if self.last == Last::Reasoning {
                    self.say("\n\n");
                }
                let printable = self.printable(text);
                self.write(&printable);
                self.advance(&printable);
                self.ended_with(text, Last::Text);
            }
            Show::Reasoning(text) if self.is_terminal => {
                if self.last == Last::Text {
                    self.say("\n");
                }
                let printable = self.printable(text);
                let text = self.dim(&printable);
                self.write(&text);
                self.advance(&printable);
                self.last = Last::Reasoning;
            }
            Show::Reasoning(_) => {}
            Show::Note(note) => self.note(note),
            Show::Question(question) => {
                self.end_line();
                self.say(&format!("> {}\n", self.printable(question)));
            }
        }
    }

    /// Shows a line at the bottom, or none. False where there is no place for one.
    pub fn bottom(&mut self, bottom: Option<&Bottom>) -> bool {
        let Some(bottom) = bottom else {
            self.close_bottom();
            return true;
        };
        let Some(size) = self.size() else {
            self.close_bottom();
            return false;
        };
        if self.bottom != Some(size) {
            self.close_bottom();
            self.open_bottom(size);
        }
        // One cell less than there are: it is the cursor's.
        let room = size.columns.saturating_sub(3);
        let line = match bottom {
            Bottom::Typing(text) => format!("> {}\x1b[7m \x1b[0m", end_of(&one_line(text), room)),
            Bottom::Waiting(text) => self.dim(start_of(&format!("[waiting: {}]", one_line(text)), room)),
        };
        self.write(&format!("\x1b7\x1b[{};1H\x1b[2K{line}\x1b8", size.rows));
        self.wrap_again(size);
        true
    }

    /// Makes room for the line: one row below the answer's, which does not scroll.
    fn open_bottom(&mut self, size: Size) {
        // Down and up again: at the last row, that scrolls. Setting the rows that scroll moves the cursor.
        self.write(&format!("\x0b\x1b[A\x1b7\x1b[1;{}r\x1b8", size.rows - 1));
        self.bottom = Some(size);
    }

    fn close_bottom(&mut self) {
        if let Some(size) = self.bottom.take() {
            // Below the answer there is nothing but the line, wherever a change of the size has put it.
            self.write("\x1b7\x1b[r\x1b8\x1b[J");
            self.wrap_again(size);
        }
    }

    /// After the last cell of a row, the next character goes to the next row. A terminal forgets that when the cursor
    /// is moved; writing the last character again reminds it.
    fn wrap_again(&mut self, size: Size) {
        if self.place.column == size.columns
            && let Some(last) = self.place.last
        {
            self.write(&format!("\x1b[{}G{last}", size.columns + 1 - last.width().unwrap_or(1)));
        }
    }

    /// The terminal's size, where a line at the bottom would leave room for the answer.
    fn size(&self) -> Option<Size> {
        if !self.is_terminal {
            return None;
        }
        let (Width(columns), Height(rows)) = terminal_size_of(stdout())?;
        let size = Size { columns: columns.into(), rows: rows.into() };
        (size.columns >= 20 && size.rows >= 4).then_some(size)
    }

    /// Follows the cursor over `text`.
    fn advance(&mut self, text: &str) {
        let columns = self.size().map_or(usize::MAX, |size| size.columns);
        self.place = text.chars().fold(self.place, |place, c| place.after(c, columns));
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
        self.place = Place::default();
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A text of the program's own.
    pub fn say(&mut self, text: &str) {
        self.write(text);
        self.advance(text);
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
            self.place = Place::default();
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

impl Drop for Screen {
    fn drop(&mut self) {
        self.close_bottom();
    }
}

impl Place {
    fn after(self, c: char, columns: usize) -> Self {
        let column = match c {
            '\n' => return Self::default(),
            '\t' => return Self { column: (self.column / 8 * 8 + 8).min(columns - 1), last: None },
            c => match c.width().unwrap_or(0) {
                // It joins the one before it.
                0 => return self,
                width if self.column + width > columns => width,
                width => self.column + width,
            },
        };
        Self { column, last: Some(c) }
    }
}

/// The text in one line, without what would move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As much of the end as fits into so many cells.
fn end_of(text: &str, columns: usize) -> &str {
    let mut room = columns;
    let fits = |&(_, c): &(usize, char)| {
        let width = c.width().unwrap_or(0);
        let fits = width <= room;
        room = room.saturating_sub(width);
        fits
    };
    let start = text.char_indices().rev().take_while(fits).last().map_or(text.len(), |(at, _)| at);
    &text[start..]
}

/// As much of the beginning as fits.
fn start_of(text: &str, columns: usize) -> &str {
    let mut room = columns;
    let end = text.char_indices().find(|(_, c)| {
        let width = c.width().unwrap_or(0);
        let fits = width <= room;
        room = room.saturating_sub(width);
        !fits
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
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

    fn screen(is_terminal: bool) -> Screen {
        let (last, place) = (Last::LineEnd, Place::default());
        Screen { is_terminal, has_color: is_terminal, last, is_closed: false, place, bottom: None }
    }

    #[test]
    fn a_model_cannot_steer_the_terminal() {
        assert_eq!(screen(true).printable("a\x1b]0;title\x07b\u{9b}2Jc\r\n\td"), "a]0;titleb2Jc\n\td");
        assert_eq!(screen(false).printable("a\x1bb"), "a\x1bb");
    }

    #[test]
    fn the_cursor_is_followed() {
        let check = |text: &str, column: usize, last: Option<char>| {
            let place = text.chars().fold(Place::default(), |place, c| place.after(c, 10));
            assert_eq!((place.column, place.last), (column, last), "{text:?}");
        };
        check("", 0, None);
        check("abc", 3, Some('c'));
        check("abcdefghij", 10, Some('j'));
        check("abcdefghijk", 1, Some('k'));
        // A wide character does not stand across the edge.
        check("abcdefghi日", 2, Some('日'));
        check("日本語日本", 10, Some('本'));
        check("e\u{301}", 1, Some('e'));
        check("ab\tc", 9, Some('c'));
        check("abc\nd", 1, Some('d'));
    }

    #[test]
    fn what_is_shown_at_the_bottom_fits() {
        assert_eq!((end_of("abcdef", 3), end_of("ab", 3), end_of("a日本", 3)), ("def", "ab", "本"));
        assert_eq!((start_of("abcdef", 3), start_of("ab", 3), start_of("日本a", 3)), ("abc", "ab", "日"));
    }
}
