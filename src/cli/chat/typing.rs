//! What is typed while an answer streams: a line without history and cursor keys, made of the terminal's bytes.
//! Only a paste can put line ends into it.

/// The longest line. A paste that is longer loses its end.
const MAX_LINE_BYTES: usize = 64 << 10;

/// What a terminal sends before and after a paste, where it was asked to say so.
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// The line that is being typed.
#[derive(Default)]
pub(super) struct Typing {
    line: String,
    /// The beginning of a character or of a key's sequence whose rest has not come yet.
    rest: Vec<u8>,
    /// Whether a paste has begun and not ended.
    is_pasting: bool,
}

impl Typing {
    /// What has been typed of the line.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Takes the line away, finished or not.
    pub fn take(&mut self) -> String {
        self.rest.clear();
        self.is_pasting = false;
        std::mem::take(&mut self.line)
    }

    /// Puts a text before what has been typed.
    pub fn put_before(&mut self, text: &str) {
        self.line = if self.line.is_empty() { text.to_owned() } else { format!("{text}\n{}", self.line) };
    }

    /// Takes bytes of the terminal's. Returns the lines that Enter has finished.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut bytes = [std::mem::take(&mut self.rest).as_slice(), bytes].concat();
        let mut lines = Vec::new();
        let mut at = 0;
        while let Some((key, length)) = key(&bytes[at..], self.is_pasting) {
            at += length;
            match key {
                Key::Paste(is_pasting) => self.is_pasting = is_pasting,
                Key::Char(c) if self.line.len() < MAX_LINE_BYTES => self.line.push(c),
                Key::Char(_) | Key::Other => {}
                Key::Enter => lines.push(std::mem::take(&mut self.line)),
                Key::Backspace => drop(self.line.pop()),
                Key::Word => {
                    let kept = self.line.trim_end();
                    let kept = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                    self.line.truncate(kept);
                }
                Key::Line => self.line.clear(),
            }
        }
        self.rest = bytes.split_off(at);
        lines
    }
}

enum Key {
    Char(char),
    Enter,
    Backspace,
    /// Takes back a word.
    Word,
    /// Takes back the line.
    Line,
    /// Here a paste begins, or ends.
    Paste(bool),
    /// One that means nothing here.
    Other,
}

/// The first key of the bytes, and how many it has. `None`: more must come.
fn key(bytes: &[u8], is_pasting: bool) -> Option<(Key, usize)> {
    let key = match *bytes.first()? {
        0x1b if bytes.starts_with(PASTE_BEGIN) => return Some((Key::Paste(true), PASTE_BEGIN.len())),
        0x1b if bytes.starts_with(PASTE_END) => return Some((Key::Paste(false), PASTE_END.len())),
        // A long paste comes in pieces, which may cut its end.
        0x1b if is_pasting && PASTE_END.starts_with(bytes) => return None,
        b'\r' if is_pasting && bytes.get(1) == Some(&b'\n') => Key::Other,
        b'\r' | b'\n' if is_pasting => Key::Char('\n'),
        b'\t' if is_pasting => Key::Char('\t'),
        0..0x20 | 0x7f if is_pasting => Key::Other,
        b'\r' | b'\n' => Key::Enter,
        0x08 | 0x7f => Key::Backspace,
        0x15 => Key::Line,
        0x17 => Key::Word,
        b'\t' => Key::Char(' '),
        0x1b => return Some(sequence(bytes)),
        0..0x20 => Key::Other,
        first => return char(first, bytes),
    };
    Some((key, 1))
}

/// A character in UTF-8.
fn char(first: u8, bytes: &[u8]) -> Option<(Key, usize)> {
    let length = match first {
        0..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Some((Key::Other, 1)),
    };
    let text = bytes.get(..length)?;
    match std::str::from_utf8(text).ok().and_then(|text| text.chars().next()) {
        Some(c) if !c.is_control() => Some((Key::Char(c), length)),
        Some(_) => Some((Key::Other, length)),
        None => Some((Key::Other, 1)),
    }
}

/// What follows Esc: a sequence of a key such as an arrow, or nothing. It comes in one piece, so Esc alone is the key,
/// which takes back the line.
fn sequence(bytes: &[u8]) -> (Key, usize) {
    match bytes.get(1) {
        None => (Key::Line, 1),
        Some(b'[') => {
            let end = bytes[2..].iter().position(|byte| (0x40..0x7f).contains(byte));
            (Key::Other, end.map_or(bytes.len(), |end| end + 3))
        }
        Some(b'O') => (Key::Other, bytes.len().min(3)),
        Some(_) => (Key::Other, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &str, lines: &[&str], line: &str) {
        // In one piece, and byte by byte where no sequence is cut.
        let mut typing = Typing::default();
        assert_eq!(typing.push(keys.as_bytes()), lines);
        assert_eq!(typing.line(), line);
        if !keys.contains('\x1b') {
            let mut typing = Typing::default();
            let typed: Vec<String> = keys.bytes().flat_map(|byte| typing.push(&[byte])).collect();
            assert_eq!((typed.as_slice(), typing.take().as_str()), (lines.map_owned().as_slice(), line));
        }
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|&line| line.to_owned()).collect()
        }
    }

    #[test]
    fn keys_make_lines() {
        check("Shorter, please.\rNow", &["Shorter, please."], "Now");
        check("größer 日本\n", &["größer 日本"], "");
        check("one two\x7f\x7fx", &[], "one tx");
        check("one two three \x17", &[], "one two ");
        check("one two\x15three", &[], "three");
        check("a\tb\x01\x04", &[], "a b");
        check("ab\u{7f}\u{7f}\u{7f}c", &[], "c");
    }

    #[test]
    fn keys_without_meaning_leave_nothing() {
        check("a\x1b[Ab\x1b[1;5Cc\x1bOPd\x1bxe", &[], "abcde");
        check("all of it\x1b", &[], "");
        let mut typing = Typing::default();
        typing.push(b"\xff\xc3\xfea\xc3");
        assert_eq!(typing.line(), "a");
        typing.push(b"\xa4");
        assert_eq!(typing.line(), "a\u{e4}");
    }

    #[test]
    fn a_paste_is_one_line_however_many_it_has() {
        check("so: \x1b[200~one\r\ttwo\r\nthree\x1b[201~ end\rx", &["so: one\n\ttwo\nthree end"], "x");
        check("\x1b[200~a\x15\x7f\x1bb\x1b[Ac\r\x1b[201~\x7f", &[], "ab[Ac");
        let pasted = b"\x1b[200~one\rtwo\x1b[201~\r";
        for cut in PASTE_BEGIN.len()..pasted.len() {
            let mut typing = Typing::default();
            assert_eq!(typing.push(&pasted[..cut]), [""; 0]);
            assert_eq!(typing.push(&pasted[cut..]), ["one\ntwo"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut typing = Typing::default();
        typing.push("x".repeat(MAX_LINE_BYTES + 10).as_bytes());
        assert_eq!(typing.line().len(), MAX_LINE_BYTES);
    }
}
