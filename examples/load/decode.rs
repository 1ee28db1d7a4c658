//! Reads what the targets send: WebSocket frames or an HTTP answer, and the tokens in them.
//!
//! It looks only for what it needs, because all of it is known: the upstream's tokens hold no
//! character that JSON escapes.

use memchr::{memchr, memmem};

use crate::{
    Result,
    client::{CLOSED, Speech, Track, client_frame},
};

/// Reads one connection's bytes.
pub struct Decoder {
    speech: Speech,
    /// Server-sent events: where in the answer the next byte is.
    place: Place,
    /// Server-sent events: the body's last line, which is not complete.
    line: Vec<u8>,
}

/// What decoding a piece of input came to.
pub struct Decoded {
    /// How many bytes were used. The rest is to be given again, with more behind it.
    pub bytes: usize,
    /// A frame that the server's ping asks for.
    pub pong: Option<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Place {
    Head,
    ChunkSize,
    Chunk(usize),
}

impl Decoder {
    /// A decoder for a connection on which nothing was received.
    pub fn new(speech: Speech) -> Self {
        Self { speech, place: Place::Head, line: Vec::new() }
    }

    /// Reads all that is complete.
    pub fn decode(&mut self, input: &[u8], at: u64, tracks: &mut [Track]) -> Result<Decoded> {
        let mut decoded = Decoded { bytes: 0, pong: None };
        loop {
            let rest = &input[decoded.bytes..];
            let used = match self.speech {
                Speech::Sse => self.answer(rest, at, tracks)?,
                Speech::Relay | Speech::Tokenwire => self.frame(rest, at, tracks, &mut decoded.pong)?,
            };
            if used == 0 {
                return Ok(decoded);
            }
            decoded.bytes += used;
        }
    }

    /// Reads one WebSocket frame. Returns its length, 0 when it is not complete.
    fn frame(&self, input: &[u8], at: u64, tracks: &mut [Track], pong: &mut Option<Vec<u8>>) -> Result<usize> {
        let [first, second, ..] = *input else { return Ok(0) };
        let (head, length) = match (second, input) {
            (126, [_, _, a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [_, _, 0, 0, 0, 0, a, b, c, d, ..]) => (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
            (0..126, _) => (2, usize::from(second)),
            (126 | 127, _) => return Ok(0),
            _ => return Err("a frame from the server is masked or too long".into()),
        };
        let Some(payload) = input.get(head..head + length) else { return Ok(0) };
        match first {
            0x81 if self.speech == Speech::Relay => data(payload, at, tracks)?,
            0x81 => native(payload, at, tracks)?,
            0x89 => *pong = Some(client_frame(0xA, payload)),
            0x88 => return Err(CLOSED.into()),
            _ => return Err(format!("a frame that begins with {first:#x}").into()),
        }
        Ok(head + length)
    }

    /// Reads one piece of an HTTP answer. Returns its length, 0 when it is not complete.
    fn answer(&mut self, input: &[u8], at: u64, tracks: &mut [Track]) -> Result<usize> {
        match self.place {
            Place::Head => {
                let Some(end) = memmem::find(input, b"\r\n\r\n") else { return Ok(0) };
                if !input.starts_with(b"HTTP/1.1 200") {
                    return Err(format!("refused: {}", String::from_utf8_lossy(&input[..end])).into());
                }
                self.place = Place::ChunkSize;
                Ok(end + 4)
            }
            Place::ChunkSize => {
                let Some(end) = memmem::find(input, b"\r\n") else { return Ok(0) };
                let size = usize::from_str_radix(std::str::from_utf8(&input[..end])?.trim(), 16)?;
                if size > 0 {
                    self.place = Place::Chunk(size);
                    return Ok(end + 2);
                }
                if input.len() < end + 4 {
                    return Ok(0);
                }
                self.place = Place::Head;
                Ok(end + 4)
            }
            // The last two bytes are the line end behind the chunk.
            Place::Chunk(0) => {
                if input.len() < 2 {
                    return Ok(0);
                }
                self.place = Place::ChunkSize;
                Ok(2)
            }
            Place::Chunk(size) => {
                let part = &input[..size.min(input.len())];
                self.lines(part, at, tracks)?;
                self.place = Place::Chunk(size - part.len());
                Ok(part.len())
            }
        }
    }

    fn lines(&mut self, mut body: &[u8], at: u64, tracks: &mut [Track]) -> Result<()> {
        while let Some(end) = memchr(b'\n', body) {
            if self.line.is_empty() {
                line(&body[..end], at, tracks)?;
            } else {
                self.line.extend_from_slice(&body[..end]);
                line(&self.line, at, tracks)?;
                self.line.clear();
            }
            body = &body[end + 1..];
        }
        self.line.extend_from_slice(body);
        Ok(())
    }
}

fn line(line: &[u8], at: u64, tracks: &mut [Track]) -> Result<()> {
    line.strip_prefix(b"data: ").map_or(Ok(()), |payload| data(payload, at, tracks))
}

/// One event of the upstream's, as the targets that do not parse pass it on.
fn data(payload: &[u8], at: u64, tracks: &mut [Track]) -> Result<()> {
    let Some(track) = tracks.first_mut() else { return Err("an event without a stream".into()) };
    if payload == b"[DONE]" {
        track.end = Some(("[DONE]".to_owned(), at));
    } else if let Some(text) = string_after(payload, br#""delta":{"content":""#)
        && !text.is_empty()
    {
        track.text(text, at)?;
    }
    Ok(())
}

/// One frame of `tokenwire.v1`.
fn native(payload: &[u8], at: u64, tracks: &mut [Track]) -> Result<()> {
    let kind = string_after(payload, br#""type":""#).unwrap_or_default();
    let unexpected = || format!("a frame that was not expected: {}", String::from_utf8_lossy(payload));
    if matches!(kind, b"hello" | b"pong" | b"going_away") {
        return Ok(());
    }
    let number = string_after(payload, br#""id":"g"#).and_then(digits).ok_or_else(unexpected)?;
    let first = tracks.first().map_or(0, |track| track.slot.number);
    let track = number.checked_sub(first).and_then(|index| tracks.get_mut(index as usize)).ok_or_else(unexpected)?;
    let seq = after(payload, br#""seq":"#).and_then(digits).ok_or_else(unexpected)?;
    let expected = match kind {
        b"text" => {
            let text = string_after(payload, br#""delta":""#).ok_or_else(unexpected)?;
            track.seq + track.text(text, at)?
        }
        b"started" | b"usage" => track.seq + 1,
        b"finished" | b"cancelled" | b"failed" => {
            let what = if kind == b"failed" { payload } else { kind };
            track.end = Some((String::from_utf8_lossy(what).into_owned(), at));
            track.seq + 1
        }
        _ => return Err(unexpected().into()),
    };
    if seq != expected {
        return Err(format!("stream {number}: seq {seq} came where {expected} was due").into());
    }
    track.seq = seq;
    Ok(())
}

fn after<'a>(payload: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    memmem::find(payload, key).map(|start| &payload[start + key.len()..])
}

fn string_after<'a>(payload: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = after(payload, key)?;
    memchr(b'"', rest).map(|end| &rest[..end])
}

fn digits(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}
