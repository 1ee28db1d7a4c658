//! The bytes of an OpenAI chat-completions stream, as the scripted upstream writes them.

use crate::script::{Slot, now, token};

/// The head of every answer.
pub const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// What comes before a token's text. With a token of four bytes and the padding at the end an
/// event is 257 to 281 bytes long, as those of OpenAI's current models are.
const BEFORE: &str = concat!(
    r#"data: {"id":"chatcmpl-CkT4eWq0ZpX1uVbN7mYd3RsLhGjA2","object":"chat.completion.chunk","#,
    r#""created":1787150119,"model":"gpt-5-mini","service_tier":"default","#,
    r#""system_fingerprint":"fp_07e9","choices":[{"index":0,"delta":{"content":""#
);
const AFTER: &str = r#""},"logprobs":null,"finish_reason":null}],"obfuscation":""#;
const PADDING: &str = "xK3mP9qLw7RtYz2NvB5hJ8dFg";
const SHORTEST_EVENT: usize = 257;

/// An event that holds token `number`, with `filler` more bytes of text.
pub fn push_event(out: &mut Vec<u8>, number: u32, filler: usize) {
    let start = out.len();
    out.extend_from_slice(BEFORE.as_bytes());
    out.extend_from_slice(&token(number));
    out.resize(out.len() + filler, b'x');
    out.extend_from_slice(AFTER.as_bytes());
    let longer = number as usize * 7 % 25;
    let padding = (SHORTEST_EVENT + longer + filler).saturating_sub(out.len() - start + END.len());
    out.extend_from_slice(&PADDING.as_bytes()[..padding.min(PADDING.len())]);
    out.extend_from_slice(END.as_bytes());
}
const END: &str = "\"}\n\n";

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

/// Writes what `fill` adds to `out` as one HTTP chunk.
pub fn http_chunk(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(b"00000000\r\n");
    let body = out.len();
    fill(out);
    let size = format!("{:08x}", out.len() - body);
    out[start..start + size.len()].copy_from_slice(size.as_bytes());
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
