//! The bytes of an OpenAI chat-completions stream, as the scripted upstream writes them.

use crate::script::{Slot, now, token};

/// The head of every answer.
pub const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// What comes before a token's text. With a token of four bytes and the padding an event is 257 to
/// 281 bytes long. OpenAI pads its events at random, so that their sizes do not tell the tokens.
const BEFORE: &str = concat!(
    r#"data: {"id":"chatcmpl-CkT4eWq0ZpX1","object":"chat.completion.chunk","created":1787150119,"#,
    r#""model":"gpt-5-mini","service_tier":"default","choices":[{"index":0,"delta":{"content":""#
);
const AFTER: &str = r#""},"logprobs":null,"finish_reason":null}],"obfuscation":""#;
const END: &str = "\"}\n\n";
const PADDING: &str = "xK3mP9qLw7RtYz2NvB5hJ8dFgUe6WsXa4ZcTkQn1MbVrLp0GyHjSiDoEfCuAqOt";
const SHORTEST_PADDING: usize = 14;

/// An event that holds token `number`, with `filler` more bytes of text.
pub fn push_event(out: &mut Vec<u8>, number: u32, filler: usize) {
    out.extend_from_slice(BEFORE.as_bytes());
    out.extend_from_slice(&token(number));
    out.resize(out.len() + filler, b'x');
    out.extend_from_slice(AFTER.as_bytes());
    let number = number as usize;
    let start = number * 5 % 25;
    out.extend_from_slice(&PADDING.as_bytes()[start..start + SHORTEST_PADDING + number * 7 % 25]);
    out.extend_from_slice(END.as_bytes());
}

/// The first event, which names the role and has no text.
pub fn push_role(out: &mut Vec<u8>) {
    let head = BEFORE.strip_suffix(r#"{"content":""#).unwrap_or(BEFORE);
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(br#"{"role":"assistant","content":"","refusal":null"#);
    out.extend_from_slice(&AFTER.as_bytes()[1..]);
    out.extend_from_slice(END.as_bytes());
}

/// The last events: the finish reason, the usage of `tokens` tokens, and the end mark.
pub fn push_end(out: &mut Vec<u8>, tokens: u64) {
    let head = BEFORE.split(r#","choices""#).next().unwrap_or(BEFORE);
    let text = format!(
        "{head},\"choices\":[{{\"index\":0,\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n\
         {head},\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{tokens},\"total_tokens\":{}}}}}\n\n\
         data: [DONE]\n\n",
        tokens + 9
    );
    out.extend_from_slice(text.as_bytes());
}

/// Writes what `fill` adds to `out` as one HTTP chunk, its size in as few digits as it takes.
pub fn http_chunk(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(b"00000000\r\n");
    let body = out.len();
    fill(out);
    let size = format!("{:x}\r\n", out.len() - body);
    out.splice(start..body, size.bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends up to `count` next tokens of a stream as one HTTP chunk, or as one each.
pub fn push_tokens(out: &mut Vec<u8>, slot: &Slot, count: usize, chunk_per_event: bool) {
    let at = now();
    if chunk_per_event {
        for number in (0..count).map_while(|_| slot.next(at)) {
            http_chunk(out, |out| push_event(out, number, slot.script.filler));
        }
    } else {
        http_chunk(out, |out| {
            for number in (0..count).map_while(|_| slot.next(at)) {
                push_event(out, number, slot.script.filler);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::push_event;

    #[test]
    fn events_are_as_long_as_those_of_openai() {
        let lengths = (0..1000).map(|number| {
            let mut event = Vec::new();
            push_event(&mut event, number, 0);
            event.len()
        });
        let lengths: Vec<usize> = lengths.collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&257), Some(&281)));
    }
}
