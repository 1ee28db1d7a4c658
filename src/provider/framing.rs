//! Splits the bytes of an answer into messages: server-sent events, one JSON value per line, the elements of one
//! JSON array, or the frames of an AWS event stream.
//!
//! Bytes arrive in pieces that end anywhere: inside a character, a line, a CRLF pair. So
//! everything here works on bytes, and text is only made of a whole message.
//!
//! A message that lies wholly inside one piece is handed out borrowed from it. Only what is
//! split over two pieces is copied, and never more than the limit given to [`Splitter::new`].

use serde::de::IgnoredAny;
use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{Flow, Framing, Message, event_stream, truncated};

/// What [`Splitter::push`] calls for each message.
pub type OnMessage<'f> = dyn FnMut(Message<'_>) -> Result<Flow, ErrorInfo> + 'f;

/// The end mark of chat completions and of what imitates them: the only message that is not JSON.
pub(crate) const DONE: &str = "[DONE]";

/// An incremental splitter of one answer's bytes.
///
/// Server-sent events: lines end in LF, CRLF or CR; a byte order mark at the start, comments
/// and unknown fields are skipped; several `data` lines join with LF; an event without data
/// is no message. JSON that stands bare among the events is an error that some server wrote into the stream when
/// it failed: it is handed out as an event named `error`. NDJSON: lines end in the same ways, and empty ones are
/// skipped. JSON array: each object in it is a message, as is one that stands alone.
/// Event stream: each frame is a message.
///
/// Which messages come out does not depend on how the bytes are cut into pieces.
#[derive(Debug)]
pub struct Splitter {
    framing: Framing,
    max_message_bytes: usize,
    /// The start of a line, or of a frame, whose end has not come yet.
    line: Vec<u8>,
    /// The event that is open, as far as it came with earlier pieces.
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last piece ended in CR: an LF at the start of the next one belongs to it.
    after_cr: bool,
    /// No line was read yet, so the next one may begin with a byte order mark.
    at_start: bool,
    /// JSON that goes on over line ends: an element of an array, or what stands bare among events.
    json: Json,
}

impl Splitter {
    /// A splitter for one answer. A message of more than `max_message_bytes` is an error.
    pub fn new(framing: Framing, max_message_bytes: usize) -> Self {
        Self {
            framing,
            max_message_bytes,
            line: Vec::new(),
            event: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            json: Json::default(),
        }
    }

    /// Takes the next piece and calls `on_message` for each message that it completes.
    ///
    /// Returns [`Flow::Done`] as soon as `on_message` does; what follows in the piece is dropped
    /// and nothing may be pushed after it.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::ProviderProtocol`] for a message that is too long or not UTF-8, for a frame that is
    /// damaged, and what `on_message` returns.
    pub fn push(&mut self, bytes: &[u8], on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
        if self.framing == Framing::JsonArray {
            return self.push_elements(bytes, on_message);
        }
        if self.framing == Framing::EventStream {
            return event_stream::push(&mut self.line, self.max_message_bytes, bytes, on_message);
        }
        let mut open = Open::default();
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let head = &rest[..end];
            let is_crlf = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
            self.after_cr = rest[end] == b'\r' && end + 1 == rest.len();
            rest = &rest[end + 1 + usize::from(is_crlf)..];

            let flow = if self.line.is_empty() {
                self.check_length(head.len())?;
                self.take_line(head, &mut open, on_message)?
            } else {
                self.check_length(self.line.len() + head.len())?;
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(head);
                let flow = self.take_split_line(&line, on_message)?;
                line.clear();
                self.line = line;
                flow
            };
            if flow == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        self.keep(&mut open)?;
        self.check_length(self.line.len() + rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(Flow::More)
    }

    /// The bytes have ended. A message that is still open counts if it is whole; one that the end
    /// has cut is dropped, and the decoder will find that its own end is missing.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push); and [`ErrorCode::Truncated`] when the end has cut an error that stands bare among
    /// events, since a decoder may have seen its own end before that.
    pub fn finish(&mut self, on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
        if self.framing == Framing::EventStream {
            // A frame says how long it is: one that is still open was cut.
            return Ok(Flow::More);
        }
        let line = std::mem::take(&mut self.line);
        let mut if_whole = |message: Message<'_>| {
            if is_whole(message.data) { on_message(message) } else { Ok(Flow::More) }
        };
        // A character that the end has cut is no error either: the message is cut anyway.
        if self.framing == Framing::Ndjson && std::str::from_utf8(&line).is_err() {
            return Ok(Flow::More);
        }
        if !line.is_empty() && self.take_split_line(&line, &mut if_whole)? == Flow::Done {
            return Ok(Flow::Done);
        }
        if self.framing == Framing::Sse && self.json.is_open() {
            return Err(truncated());
        }
        if !self.has_data || std::str::from_utf8(&self.data).is_err() {
            return Ok(Flow::More);
        }
        self.dispatch(&mut Open::default(), &mut if_whole)
    }

    /// Reads a line that lies wholly inside the piece.
    fn take_line<'b>(
        &mut self,
        line: &'b [u8],
        open: &mut Open<'b>,
        on_message: &mut OnMessage<'_>,
    ) -> Result<Flow, ErrorInfo> {
        if self.json.is_open() {
            return self.take_bare(line, on_message);
        }
        match self.field(line) {
            Field::Data(value) if self.has_data || open.data.is_some() => {
                self.keep(open)?;
                self.add_data(value)?;
            }
            Field::Data(value) => open.data = Some(value),
            Field::Event(value) => open.event = Some(value),
            Field::Other => {}
            Field::End => return self.dispatch(open, on_message),
            Field::Json(value) => return on_message(Message { event: "", data: text(value)? }),
            Field::Bare if self.has_data || open.data.is_some() => {}
            Field::Bare => return self.take_bare(line, on_message),
        }
        Ok(Flow::More)
    }

    /// Reads a line of JSON that stands bare among events.
    fn take_bare(&mut self, line: &[u8], on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
        self.check_length(self.json.bytes.len() + line.len())?;
        for byte in line.iter().chain(b"\n") {
            self.json.bytes.push(*byte);
            if self.json.ends_at(*byte) {
                let json = std::mem::take(&mut self.json);
                return on_message(Message { event: "error", data: text(&json.bytes)? });
            }
        }
        Ok(Flow::More)
    }

    /// Reads a piece of a JSON array.
    fn push_elements(&mut self, bytes: &[u8], on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
        // Where the open element begins in this piece.
        let mut start = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if !self.json.is_open() {
                if *byte != b'{' {
                    continue;
                }
                start = at;
            }
            if !self.json.ends_at(*byte) {
                continue;
            }
            let element = &bytes[start..=at];
            self.check_length(self.json.bytes.len() + element.len())?;
            let flow = if self.json.bytes.is_empty() {
                on_message(Message { event: "", data: text(element)? })?
            } else {
                self.json.bytes.extend_from_slice(element);
                let flow = on_message(Message { event: "", data: text(&self.json.bytes)? })?;
                self.json.bytes.clear();
                flow
            };
            if flow == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        if self.json.is_open() {
            self.check_length(self.json.bytes.len() + bytes.len() - start)?;
            self.json.bytes.extend_from_slice(&bytes[start..]);
        }
        Ok(Flow::More)
    }

    /// Reads a line that was put together from two pieces, so nothing of it can be borrowed. It
    /// is the first line to end in its piece: no part of the open event is borrowed.
    fn take_split_line(&mut self, line: &[u8], on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
        let mut open = Open::default();
        let flow = self.take_line(line, &mut open, on_message)?;
        self.keep(&mut open)?;
        Ok(flow)
    }

    /// Hands out the open event, if it has data, and begins a new one.
    fn dispatch(&mut self, open: &mut Open<'_>, on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
        let Open { event, data } = std::mem::take(open);
        let data = if self.has_data { &self.data } else { data.unwrap_or_default() };
        let flow = if data.is_empty() {
            Flow::More
        } else {
            on_message(Message { event: text(event.unwrap_or(&self.event))?, data: text(data)? })?
        };
        self.event.clear();
        self.data.clear();
        self.has_data = false;
        Ok(flow)
    }

    /// Copies what is borrowed from the piece, because the event goes on after it.
    fn keep(&mut self, open: &mut Open<'_>) -> Result<(), ErrorInfo> {
        if let Some(event) = open.event.take() {
            self.event.clear();
            self.event.extend_from_slice(event);
        }
        if let Some(data) = open.data.take() {
            self.add_data(data)?;
        }
        Ok(())
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), ErrorInfo> {
        self.check_length(self.data.len() + value.len())?;
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn field<'b>(&mut self, mut line: &'b [u8]) -> Field<'b> {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        match self.framing {
            Framing::Sse => Field::of_sse(line),
            Framing::Ndjson if line.trim_ascii().is_empty() => Field::Other,
            Framing::Ndjson => Field::Json(line.trim_ascii()),
            // It has no lines.
            Framing::JsonArray | Framing::EventStream => Field::Other,
        }
    }

    fn check_length(&self, bytes: usize) -> Result<(), ErrorInfo> {
        if bytes <= self.max_message_bytes {
            return Ok(());
        }
        Err(too_long(self.max_message_bytes))
    }
}

/// The error of a message that is longer than it may be.
pub(super) fn too_long(max_message_bytes: usize) -> ErrorInfo {
    let message = format!("a message of the provider's is longer than {max_message_bytes} bytes");
    ErrorInfo::new(ErrorCode::ProviderProtocol, message)
}

/// The part of the open event that is borrowed from the piece being read.
#[derive(Default)]
struct Open<'b> {
    event: Option<&'b [u8]>,
    data: Option<&'b [u8]>,
}

/// A JSON object or array that is read byte by byte until it ends.
#[derive(Debug, Default)]
struct Json {
    /// What came of it with earlier pieces.
    bytes: Vec<u8>,
    /// How many objects and arrays are open.
    depth: u32,
    in_string: bool,
    after_backslash: bool,
}

impl Json {
    fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Goes on by one byte; whether that is the last one.
    fn ends_at(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' => self.after_backslash = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

/// What one line says.
enum Field<'b> {
    Data(&'b [u8]),
    Event(&'b [u8]),
    /// An empty line: the event is whole.
    End,
    /// A line of NDJSON.
    Json(&'b [u8]),
    /// The first line of JSON among events.
    Bare,
    /// A comment, or a field that means nothing here, such as `id` and `retry`.
    Other,
}

impl<'b> Field<'b> {
    fn of_sse(line: &'b [u8]) -> Self {
        fn value<'b>(line: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
            match line.strip_prefix(name)? {
                [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
                [] => Some(b""),
                _ => None,
            }
        }
        if line.is_empty() {
            Self::End
        } else if let Some(value) = value(line, b"data") {
            Self::Data(value)
        } else if let Some(value) = value(line, b"event") {
            Self::Event(value)
        } else if line.trim_ascii_start().starts_with(b"{") || line.trim_ascii_start().starts_with(b"[") {
            Self::Bare
        } else {
            Self::Other
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, ErrorInfo> {
    std::str::from_utf8(bytes)
        .map_err(|_| ErrorInfo::new(ErrorCode::ProviderProtocol, "a message of the provider's is not UTF-8"))
}

fn is_whole(data: &str) -> bool {
    data.trim() == DONE || serde_json::from_str::<IgnoredAny>(data).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Messages = Vec<(String, String)>;

    fn split_with_limit(framing: Framing, limit: usize, pieces: &[&[u8]]) -> (Messages, Result<(), ErrorInfo>) {
        let mut messages = Messages::new();
        let mut on_message = |message: Message<'_>| {
            messages.push((message.event.to_owned(), message.data.to_owned()));
            Ok(Flow::More)
        };
        let mut splitter = Splitter::new(framing, limit);
        let mut run = || {
            for piece in pieces {
                splitter.push(piece, &mut on_message)?;
            }
            splitter.finish(&mut on_message)
        };
        let result = run().map(drop);
        (messages, result)
    }

    fn split(framing: Framing, pieces: &[&[u8]]) -> Messages {
        let (messages, result) = split_with_limit(framing, 1 << 20, pieces);
        result.unwrap();
        messages
    }

    /// Checks `input` whole, cut in two at every byte, and byte by byte.
    fn check(framing: Framing, input: &[u8], expected: &[(&str, &str)]) {
        let expected: Messages = expected.iter().map(|(event, data)| ((*event).into(), (*data).into())).collect();
        for cut in 0..=input.len() {
            let (head, tail) = input.split_at(cut);
            assert_eq!(split(framing, &[head, tail]), expected, "cut at {cut} of {:?}", String::from_utf8_lossy(input));
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(split(framing, &bytes), expected, "byte by byte: {:?}", String::from_utf8_lossy(input));
    }

    fn check_sse(input: &str, expected: &[(&str, &str)]) {
        check(Framing::Sse, input.as_bytes(), expected);
    }

    #[test]
    fn every_line_ending_splits_events() {
        check_sse("data: 1\n\ndata: 2\n\n", &[("", "1"), ("", "2")]);
        check_sse("data: 1\r\n\r\ndata: 2\r\n\r\n", &[("", "1"), ("", "2")]);
        check_sse("data: 1\r\rdata: 2\r\r", &[("", "1"), ("", "2")]);
        check_sse("data: 1\r\n\ndata: 2\n\r\n", &[("", "1"), ("", "2")]);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        check_sse("event: error\ndata:{}\n\n", &[("error", "{}")]);
        check_sse("data:  two spaces\n\n", &[("", " two spaces")]);
        check_sse("data: [1,\ndata: 2]\n\n", &[("", "[1,\n2]")]);
        check_sse("data: \"a\"\ndata\ndata: \"\"\n\n", &[("", "\"a\"\n\n\"\"")]);
        check_sse("event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", &[("b", "1"), ("", "2")]);
        check_sse("data: 1\nevent: late\n\n", &[("late", "1")]);
        check_sse("id: 7\nretry: 10\ndatum: 3\ndata: 1\n: comment\n\n", &[("", "1")]);
        check_sse("\u{feff}data: 1\n\n", &[("", "1")]);
    }

    #[test]
    fn nothing_is_handed_out_without_data() {
        check_sse(": OPENROUTER PROCESSING\n\n\n\nevent: ping\n\ndata:\n\ndata: 1\n\n", &[("", "1")]);
    }

    #[test]
    fn an_open_event_at_the_end_counts_if_it_is_whole() {
        check_sse("data: {\"a\":1}", &[("", "{\"a\":1}")]);
        check_sse("event: x\r\ndata: {}\r", &[("x", "{}")]);
        check_sse("data: [DONE]", &[("", "[DONE]")]);
        check_sse("data: 1\n\ndata: {\"a\":", &[("", "1")]);
        check(Framing::Sse, b"data: 1\n\ndata: {\"a\":\"\xF0\x9F", &[("", "1")]);
    }

    #[test]
    fn lines_of_json_are_messages() {
        check(
            Framing::Ndjson,
            "{\"a\":\"ü\"}\n\r\n  \n{\"b\":2}\r\n{\"c\":3}".as_bytes(),
            &[("", "{\"a\":\"ü\"}"), ("", "{\"b\":2}"), ("", "{\"c\":3}")],
        );
        check(Framing::Ndjson, b"{\"a\":1}\n{\"b\":", &[("", "{\"a\":1}")]);
        check(Framing::Ndjson, b"{\"a\":1}\n{\"b\":\"\xC3", &[("", "{\"a\":1}")]);
    }

    #[test]
    fn elements_of_an_array_are_messages() {
        let first = "{\n  \"a\": \"é }] \\\\\\\"{\",\n  \"b\": [{}, [1]]\n}";
        let input = format!("[{first}\n,\r\n{{\"c\":2}}\n]\n");
        check(Framing::JsonArray, input.as_bytes(), &[("", first), ("", "{\"c\":2}")]);
        check(Framing::JsonArray, b"{\"error\":{}}", &[("", "{\"error\":{}}")]);
        check(Framing::JsonArray, b"[{\"a\":1},{\"b\":\"\xC3", &[("", "{\"a\":1}")]);
        check(Framing::JsonArray, b"[]", &[]);
        check(Framing::JsonArray, b"]}\"", &[]);
    }

    #[test]
    fn json_that_stands_bare_among_events_is_an_error() {
        check_sse("data: 1\n\n{\"error\":\n  {}}\n", &[("", "1"), ("error", "{\"error\":\n  {}}")]);
        check_sse("[{\"error\":\"}\"}]", &[("error", "[{\"error\":\"}\"}]")]);
        check_sse("{\r\n\r\n}\r\ndata: 2\r\n\r\n", &[("error", "{\n\n}"), ("", "2")]);
        let (messages, result) = split_with_limit(Framing::Sse, 100, &[b"data: 1\n\n{\"error\":{\n"]);
        assert_eq!((messages.len(), result.unwrap_err().code), (1, ErrorCode::Truncated));
    }

    #[test]
    fn reading_stops_when_the_reader_is_done() {
        let mut count = 0;
        let mut splitter = Splitter::new(Framing::Sse, 100);
        let flow = splitter.push(b"data: 1\n\ndata: 2\n\n", &mut |_| {
            count += 1;
            Ok(Flow::Done)
        });
        assert_eq!((flow, count), (Ok(Flow::Done), 1));
    }

    #[test]
    fn too_long_a_message_is_an_error_however_it_is_cut() {
        for input in ["data: 1\n\ndata: 0123456789012345\n\n", "data: 1\n\ndata: 012345678\ndata: 012345678\n\n"] {
            for cut in 0..=input.len() {
                let (head, tail) = input.as_bytes().split_at(cut);
                let (messages, result) = split_with_limit(Framing::Sse, 16, &[head, tail]);
                assert_eq!(messages.len(), 1, "cut at {cut}");
                assert_eq!(result.unwrap_err().code, ErrorCode::ProviderProtocol);
            }
        }
    }

    #[test]
    fn too_long_an_element_or_bare_line_is_an_error_however_it_is_cut() {
        for (framing, input) in
            [(Framing::JsonArray, "[{\"a\":1},{\"b\":\"0123456789\"}]"), (Framing::Sse, "{\n\"b\":\n0123456789}\n")]
        {
            for cut in 0..=input.len() {
                let (head, tail) = input.as_bytes().split_at(cut);
                let (_, result) = split_with_limit(framing, 16, &[head, tail]);
                assert_eq!(result.unwrap_err().code, ErrorCode::ProviderProtocol, "cut at {cut}");
            }
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_an_error() {
        for framing in [Framing::Sse, Framing::Ndjson] {
            let (_, result) = split_with_limit(framing, 100, &[b"data: \"\xFF\"\n\n"]);
            assert_eq!(result.unwrap_err().code, ErrorCode::ProviderProtocol);
        }
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => Just(String::new()),
            4 => "data: ?\\{\"t\":\"[a-zé🦀 ]{0,8}\"\\}",
            1 => "data: ?[0-9é]{0,6}",
            1 => "event: ?[a-z]{0,4}",
            1 => ": ?[a-z ]{0,6}",
            1 => "[\\[{\"a]{1,4}",
            1 => "[]}]{1,4}",
            1 => "[a-z]{0,6}:? ?[a-zé]{0,4}",
        ]
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            lines in prop::collection::vec((line(), prop::sample::select(vec!["\n", "\r\n", "\r"])), 0..30),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            framing in prop::sample::select(vec![Framing::Sse, Framing::Ndjson, Framing::JsonArray]),
            limit in prop::sample::select(vec![14_usize, 24, 1 << 20]),
        ) {
            let input: Vec<u8> = lines.iter().flat_map(|(line, end)| [line.as_bytes(), end.as_bytes()].concat()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([input.len()]) {
                pieces.push(&input[from..cut]);
                from = cut;
            }
            prop_assert_eq!(split_with_limit(framing, limit, &pieces), split_with_limit(framing, limit, &[&input]));
        }
    }
}
