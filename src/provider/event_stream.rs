//! Splits the bytes of an answer into messages: AWS event stream frames.
//!
//! ```text
//!   ┌──────────────┬──────────────────┬────────────────┬─────────┬─────────┬───────────────────┐
//!   │ bytes in all │ bytes of headers │ sum of these 8 │ headers │ payload │ sum of all before │
//!   └──────────────┴──────────────────┴────────────────┴─────────┴─────────┴───────────────────┘
//!      4              4                  4                                    4
//! ```
//!
//! Numbers are big-endian, sums are CRC-32. A header is its name behind one byte of length, one byte
//! of type, and the value; only those of strings are read.

use tokenwire_protocol::{ErrorCode, ErrorInfo};

use super::{
    Flow, Message,
    framing::{OnMessage, too_long},
};

/// What the event of a message begins with that reports an error: the rest is the error's type.
pub(crate) const EXCEPTION: &str = "exception:";

/// The lengths and their sum.
const PRELUDE_BYTES: usize = 12;
/// The least that a frame has: the prelude and the last sum.
const MIN_FRAME_BYTES: usize = PRELUDE_BYTES + 4;
/// The type of a header that is a string.
const STRING: u8 = 7;

/// Takes the next piece and calls `on_message` for each frame that it completes. `open` holds the
/// start of a frame whose end has not come yet, from one piece to the next.
pub(super) fn push(
    open: &mut Vec<u8>,
    max_frame_bytes: usize,
    bytes: &[u8],
    on_message: &mut OnMessage<'_>,
) -> Result<Flow, ErrorInfo> {
    let mut rest = bytes;
    while !open.is_empty() {
        let wanted = frame_bytes(open, max_frame_bytes)?.unwrap_or(PRELUDE_BYTES);
        let (more, tail) = rest.split_at(wanted.saturating_sub(open.len()).min(rest.len()));
        open.extend_from_slice(more);
        rest = tail;
        if open.len() < wanted {
            return Ok(Flow::More);
        }
        if wanted >= MIN_FRAME_BYTES {
            let flow = read(open, on_message)?;
            open.clear();
            if flow == Flow::Done {
                return Ok(Flow::Done);
            }
        }
    }
    while let Some(length) = frame_bytes(rest, max_frame_bytes)?
        && length <= rest.len()
    {
        let (frame, tail) = rest.split_at(length);
        if read(frame, on_message)? == Flow::Done {
            return Ok(Flow::Done);
        }
        rest = tail;
    }
    open.extend_from_slice(rest);
    Ok(Flow::More)
}

/// How long the frame is that `bytes` begin with; `None` as long as its prelude is not whole.
fn frame_bytes(bytes: &[u8], max_frame_bytes: usize) -> Result<Option<usize>, ErrorInfo> {
    let Some((prelude, _)) = bytes.split_at_checked(PRELUDE_BYTES) else { return Ok(None) };
    check_sum(prelude)?;
    let (total, headers) = (number(prelude), number(&prelude[4..]));
    if total > max_frame_bytes {
        return Err(too_long(max_frame_bytes));
    }
    if total < MIN_FRAME_BYTES || headers > total - MIN_FRAME_BYTES {
        return Err(malformed("its lengths do not fit"));
    }
    Ok(Some(total))
}

/// Reads a whole frame whose prelude was checked.
fn read(frame: &[u8], on_message: &mut OnMessage<'_>) -> Result<Flow, ErrorInfo> {
    check_sum(frame)?;
    let (headers, payload) = frame[PRELUDE_BYTES..frame.len() - 4].split_at(number(&frame[4..]));
    let headers = Headers::read(headers).ok_or_else(|| malformed("its headers cannot be read"))?;
    let payload = std::str::from_utf8(payload).map_err(|_| malformed("its payload is not UTF-8"))?;
    match headers.message_type {
        "exception" | "error" => {
            let data = if payload.trim().is_empty() { headers.error_message } else { payload };
            on_message(Message { event: &format!("{EXCEPTION}{}", headers.event), data })
        }
        // Also where it is missing: the event's type says enough.
        _ => on_message(Message { event: headers.event, data: payload }),
    }
}

/// Checks the sum at the end of `bytes`, which is that of all before it.
fn check_sum(bytes: &[u8]) -> Result<(), ErrorInfo> {
    let (summed, sum) = bytes.split_at(bytes.len() - 4);
    if crc32fast::hash(summed) as usize == number(sum) {
        return Ok(());
    }
    Err(malformed("its checksum is wrong"))
}

/// The number that `bytes` begin with. There are always four of them.
fn number(bytes: &[u8]) -> usize {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize)
}

fn malformed(why: &str) -> ErrorInfo {
    ErrorInfo::new(ErrorCode::ProviderProtocol, format!("a frame of the provider's event stream is damaged: {why}"))
}

/// The headers that mean something here. Those that are missing are empty.
#[derive(Default)]
struct Headers<'a> {
    message_type: &'a str,
    /// The type of the event, or that of the error.
    event: &'a str,
    error_message: &'a str,
}

impl<'a> Headers<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while !bytes.is_empty() {
            let length = take(&mut bytes, 1)?[0].into();
            let name = take(&mut bytes, length)?;
            let kind = take(&mut bytes, 1)?[0];
            let length = match kind {
                // True and false.
                0 | 1 => 0,
                2 => 1,
                3 => 2,
                4 => 4,
                // A long number, a time.
                5 | 8 => 8,
                // Bytes, a string.
                6 | STRING => usize::from(u16::from_be_bytes(*take(&mut bytes, 2)?.first_chunk()?)),
                // A UUID.
                9 => 16,
                _ => return None,
            };
            let value = take(&mut bytes, length)?;
            let place = match name {
                b":message-type" => &mut headers.message_type,
                b":event-type" | b":exception-type" | b":error-code" => &mut headers.event,
                b":error-message" => &mut headers.error_message,
                _ => continue,
            };
            if kind == STRING {
                *place = std::str::from_utf8(value).ok()?;
            }
        }
        Some(headers)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::{Framing, framing::Splitter};

    type Messages = Vec<(String, String)>;

    fn header(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
        [&[name.len() as u8], name.as_bytes(), &[kind], value].concat()
    }

    fn text(name: &str, value: &str) -> Vec<u8> {
        header(name, STRING, &[&(value.len() as u16).to_be_bytes(), value.as_bytes()].concat())
    }

    fn frame(headers: &[Vec<u8>], payload: &[u8]) -> Vec<u8> {
        let headers = headers.concat();
        let total = (MIN_FRAME_BYTES + headers.len() + payload.len()) as u32;
        let mut frame = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame.extend([&headers, payload].concat());
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    fn event(kind: &str, payload: &str) -> Vec<u8> {
        frame(&[text(":event-type", kind), text(":message-type", "event")], payload.as_bytes())
    }

    fn split(limit: usize, pieces: &[&[u8]]) -> (Messages, Result<(), ErrorInfo>) {
        let mut messages = Messages::new();
        let mut on_message = |message: Message<'_>| {
            messages.push((message.event.to_owned(), message.data.to_owned()));
            Ok(Flow::More)
        };
        let mut splitter = Splitter::new(Framing::EventStream, limit);
        let mut run = || {
            for piece in pieces {
                splitter.push(piece, &mut on_message)?;
            }
            splitter.finish(&mut on_message)
        };
        let result = run().map(drop);
        (messages, result)
    }

    /// Checks `input` whole, cut in two at every byte, and byte by byte.
    #[track_caller]
    fn check(input: &[u8], expected: &[(&str, &str)], error: Option<&str>) {
        let expected: Messages = expected.iter().map(|(event, data)| ((*event).into(), (*data).into())).collect();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        let cuts = (0..=input.len()).map(|cut| vec![&input[..cut], &input[cut..]]);
        for pieces in cuts.chain([bytes]) {
            let (messages, result) = split(1000, &pieces);
            assert_eq!(messages, expected);
            match (result, error) {
                (Ok(()), None) => {}
                (Err(is), Some(should)) => {
                    assert_eq!(is.code, ErrorCode::ProviderProtocol);
                    assert!(is.message.contains(should), "{is}");
                }
                (is, should) => panic!("{is:?}, expected {should:?}"),
            }
        }
    }

    #[test]
    fn frames_are_messages() {
        let two = [event("a", "{\"t\":\"é\"}"), event("b", "")].concat();
        check(&two, &[("a", "{\"t\":\"é\"}"), ("b", "")], None);
        check(&[], &[], None);
        check(&frame(&[], b"{}"), &[("", "{}")], None);
    }

    #[test]
    fn headers_of_every_type_are_passed_over() {
        let headers = [
            header("t", 0, &[]),
            header("f", 1, &[]),
            header("byte", 2, &[1]),
            header("short", 3, &[1; 2]),
            header("int", 4, &[1; 4]),
            header("long", 5, &[1; 8]),
            header("bytes", 6, &[0, 2, 1, 1]),
            header("time", 8, &[1; 8]),
            header("uuid", 9, &[1; 16]),
            header(":message-type", 4, &[1; 4]),
            text(":event-type", "x"),
        ];
        check(&frame(&headers, b"1"), &[("x", "1")], None);
    }

    #[test]
    fn errors_are_marked() {
        let exception = [text(":exception-type", "throttlingException"), text(":message-type", "exception")];
        check(&frame(&exception, b"{}"), &[("exception:throttlingException", "{}")], None);
        let error = [text(":error-code", "500"), text(":message-type", "error"), text(":error-message", "Oh")];
        check(&frame(&error, b""), &[("exception:500", "Oh")], None);
    }

    #[test]
    fn a_cut_frame_is_dropped() {
        let whole = event("a", "{}");
        for end in 1..whole.len() {
            check(&[&whole, &whole[..end]].concat(), &[("a", "{}")], None);
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let (good, damaged) = (event("a", "{}"), event("b", "[1,2,3]"));
        for at in 0..damaged.len() {
            let mut damaged = damaged.clone();
            damaged[at] ^= 1 << (at % 8);
            check(&[good.as_slice(), &damaged].concat(), &[("a", "{}")], Some("checksum"));
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_an_error() {
        let prelude = |total: u32, headers: u32| {
            let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            prelude.extend(crc32fast::hash(&prelude).to_be_bytes());
            prelude
        };
        check(&prelude(u32::MAX, 0), &[], Some("longer than 1000 bytes"));
        check(&prelude(1001, 0), &[], Some("longer than 1000 bytes"));
        check(&prelude(15, 0), &[], Some("lengths"));
        check(&prelude(0, 0), &[], Some("lengths"));
        check(&prelude(100, 85), &[], Some("lengths"));
        check(b"AAAAgQAAAFJswXaTCzpldmVudC10", &[], Some("checksum"));
    }

    #[test]
    fn headers_and_payloads_that_cannot_be_read_are_an_error() {
        for headers in
            [header("x", 10, &[]), vec![5, b'x'], header("x", 7, &[0, 9, 1]), header(":event-type", 7, &[0, 1, 0xFF])]
        {
            check(&frame(&[headers], b"{}"), &[], Some("headers"));
        }
        check(&frame(&[], b"\xFF"), &[], Some("UTF-8"));
    }

    #[test]
    fn reading_stops_when_the_reader_is_done() {
        let two = [event("a", "1"), event("b", "2")].concat();
        for cut in 0..two.len() {
            let mut count = 0;
            let mut splitter = Splitter::new(Framing::EventStream, 1000);
            let mut flow = Ok(Flow::More);
            for piece in [&two[..cut], &two[cut..]] {
                if flow == Ok(Flow::More) {
                    flow = splitter.push(piece, &mut |_| {
                        count += 1;
                        Ok(Flow::Done)
                    });
                }
            }
            assert_eq!((flow, count), (Ok(Flow::Done), 1));
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            frames in prop::collection::vec(("[a-z]{0,9}", "[a-zé]{0,40}"), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            limit in prop::sample::select(vec![90_usize, 1000]),
        ) {
            let mut input: Vec<u8> = frames.iter().flat_map(|(kind, payload)| event(kind, payload)).collect();
            input.extend(noise);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([input.len()]) {
                pieces.push(&input[from..cut]);
                from = cut;
            }
            prop_assert_eq!(split(limit, &pieces), split(limit, &[&input]));
        }
    }
}
