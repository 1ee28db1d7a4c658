//! Messages of an answer into events.

use std::borrow::Cow;

use serde_json::Value;
use tokenwire_protocol::{ErrorInfo, FinishReason, TokenLogprob, TopLogprob};
use uuid::Uuid;

use super::{
    super::{
        Decoder, Flow, MediaSource, Message, ModelEvent, Turn, Usage, errors, finish, json, template::Template,
        truncated,
    },
    answer::Answer,
    calls::Calls,
    chunk::{Candidate, Chunk, is_set, raw_parts},
    sources::Sources,
};

/// Decodes one answer.
///
/// There is no end mark: the end is that of the bytes, after a finish reason or a blocked prompt. The reason can
/// stand in every message, and more can follow it. It is `STOP` for tool calls too.
#[derive(Debug, Default)]
pub(super) struct GeminiDecoder {
    calls: Calls,
    answer: Answer,
    sources: Sources,
    media: MediaCount,
    /// The id of the last code that the provider ran.
    code_id: String,
    /// The last finish reason, as the provider said it.
    finish_reason: Option<String>,
    /// Why the prompt was refused.
    block_reason: Option<String>,
    /// The last usage that was emitted.
    usage: Option<Usage>,
    template: Template,
}

#[derive(Debug, Default)]
struct MediaCount {
    count: u32,
    /// The type of the audio that is open. Its pieces come as parts of their own, without a mark on the last one.
    audio: Option<String>,
}

impl Decoder for GeminiDecoder {
    fn decode(&mut self, message: Message<'_>, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let data = message.data;
        if message.event == "error" {
            return self.fail(errors::of_error_event(data), turn);
        }
        if self.template.emit(data, &mut Recorder { answer: &mut self.answer, turn }) {
            return Ok(Flow::More);
        }
        if let Ok(chunk) = serde_json::from_str(data) {
            self.take(chunk, data, turn)
        } else if let Some(mended) = json::mend(data)
            && let Ok(chunk) = serde_json::from_str(&mended)
        {
            self.take(chunk, &mended, turn)
        } else if data.trim_ascii_start().starts_with(['{', '[']) {
            self.fail(errors::unreadable(), turn)
        } else {
            turn.skipped();
            Ok(Flow::More)
        }
    }

    fn end(&mut self, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        if self.finish_reason.is_none() && self.block_reason.is_none() {
            return self.fail(truncated(), turn).map(drop);
        }
        // A call that comes in pieces mostly ends with an empty one, but not always.
        self.calls.close(&mut self.answer, turn)?;
        self.media.close_audio(turn);
        self.sources.finish(turn);
        if let Some(native) = self.answer.take_native() {
            turn.emit(ModelEvent::Native(native));
        }
        if let Some(usage) = self.usage.filter(|usage| usage.is_partial) {
            turn.emit(ModelEvent::Usage(Usage { is_partial: false, ..usage }));
        }
        let reason = match (&self.finish_reason, &self.block_reason) {
            (Some(reason), _) => match finish::normalize(reason) {
                Some(reason) => finish::reconcile(reason, self.calls.any(), false),
                None => return Err(errors::of_finish_reason(reason)),
            },
            (None, _) => FinishReason::ContentFilter,
        };
        let provider_reason = self.finish_reason.take().or(self.block_reason.take()).map(Cow::Owned);
        turn.emit(ModelEvent::Finish { reason, provider_reason });
        Ok(())
    }
}

impl GeminiDecoder {
    /// Shows what was held back before it fails.
    fn fail(&mut self, error: ErrorInfo, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        self.calls.show_open(turn)?;
        Err(error)
    }

    fn take(&mut self, chunk: Chunk<'_>, data: &str, turn: &mut dyn Turn) -> Result<Flow, ErrorInfo> {
        let candidate = chunk.candidates.0;
        let usage = chunk.usage.normalize();
        let is_known = candidate.is_some() || usage.is_some() || !chunk.prompt_feedback.block_reason.is_empty();
        if chunk.error.is_some() || !is_known {
            let message = serde_json::from_str::<Value>(data).map_err(|_| errors::unreadable())?;
            if let Some(error) = errors::of_message(&message) {
                return self.fail(error, turn);
            }
            if !is_known {
                turn.skipped();
            }
        }
        if let Some(candidate) = candidate {
            if let Some((text, kind)) = candidate.only_text() {
                kind.emit(text, &mut Recorder { answer: &mut self.answer, turn });
                self.template.learn(data, text, kind);
            } else {
                self.take_candidate(candidate, data, turn)?;
            }
        }
        if !chunk.prompt_feedback.block_reason.is_empty() {
            self.block_reason = Some(chunk.prompt_feedback.block_reason.to_string());
        }
        if let Some(usage) = usage {
            self.take_usage(usage, turn);
        }
        Ok(Flow::More)
    }

    fn take_candidate(&mut self, candidate: Candidate<'_>, data: &str, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let parts = &candidate.content.parts;
        let raw = if parts.iter().any(|part| part.is_special()) { raw_parts(data) } else { Vec::new() };
        let mut raw = raw.into_iter();
        for part in parts.iter() {
            let raw = raw.next().unwrap_or_default();
            match &part.text {
                Some(text) if part.is_special() => {
                    part.kind().emit(text, turn);
                    self.answer.push(raw);
                }
                Some(text) => part.kind().emit(text, &mut Recorder { answer: &mut self.answer, turn }),
                None => self.take_part(raw, part.is_thought(), turn)?,
            }
        }
        if let Some(citations) = &candidate.citations {
            self.sources.add_citations(citations, turn);
        }
        if is_set(&candidate.grounding)
            && let Some(grounding) = candidate.grounding
        {
            self.sources.add_grounding(grounding, turn);
        }
        if is_set(&candidate.url_context)
            && let Some(url_context) = candidate.url_context
        {
            self.sources.add_url_context(url_context);
        }
        if let Some(tokens) = candidate.logprobs.as_ref().map(logprobs).filter(|tokens| !tokens.is_empty()) {
            turn.emit(ModelEvent::Logprobs(tokens));
        }
        if !candidate.finish_reason.is_empty() {
            self.finish_reason = Some(candidate.finish_reason.into_cow().into_owned());
        }
        Ok(())
    }

    /// Takes a part that is no text.
    fn take_part(&mut self, part: Value, is_thought: bool, turn: &mut dyn Turn) -> Result<(), ErrorInfo> {
        let has = |key: &str| part.get(key).is_some_and(Value::is_object);
        if has("functionCall") {
            return self.calls.add(part, &mut self.answer, turn);
        }
        if has("inlineData") || has("fileData") {
            // An image that was drawn while thinking is no answer.
            if !is_thought {
                self.media.emit(&part, turn);
            }
        } else if has("executableCode") {
            let code = &part["executableCode"];
            self.code_id = id_of(code);
            self.answer.must_return();
            let arguments = Some(code.clone());
            turn.emit(ModelEvent::ServerToolCall { call_id: &self.code_id, name: CODE_EXECUTION, arguments });
        } else if has("codeExecutionResult") {
            let result = &part["codeExecutionResult"];
            self.answer.must_return();
            if self.code_id.is_empty() {
                self.code_id = id_of(result);
            }
            turn.emit(ModelEvent::ServerToolResult {
                call_id: &self.code_id,
                name: CODE_EXECUTION,
                result: result.clone(),
                is_error: result["outcome"] != "OUTCOME_OK",
            });
        } else if has("toolCall") {
            let call = &part["toolCall"];
            self.answer.must_return();
            let arguments = call.get("args").cloned();
            turn.emit(ModelEvent::ServerToolCall { call_id: &id_of(call), name: &tool_name(call), arguments });
        } else if has("toolResponse") {
            let response = &part["toolResponse"];
            self.answer.must_return();
            turn.emit(ModelEvent::ServerToolResult {
                call_id: &id_of(response),
                name: &tool_name(response),
                result: response["response"].clone(),
                is_error: false,
            });
        } else if part.get("thoughtSignature").is_none() {
            turn.skipped();
        }
        if part.is_object() {
            self.answer.push(part);
        }
        Ok(())
    }

    /// Emits usage that is new. Until the finish it is a running number.
    fn take_usage(&mut self, usage: Usage, turn: &mut dyn Turn) {
        let is_partial = self.finish_reason.is_none() && self.block_reason.is_none();
        let usage = Usage { is_partial, ..usage };
        if self.usage != Some(usage) {
            self.usage = Some(usage);
            turn.emit(ModelEvent::Usage(usage));
        }
    }
}

impl MediaCount {
    fn emit(&mut self, part: &Value, turn: &mut dyn Turn) {
        let text = |value: &'_ Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let (blob, source) = match part.get("inlineData") {
            Some(blob) => (blob, MediaSource::Data(Cow::Borrowed(blob["data"].as_str().unwrap_or_default()))),
            None => {
                let file = &part["fileData"];
                (file, MediaSource::Url(Cow::Borrowed(file["fileUri"].as_str().unwrap_or_default())))
            }
        };
        let media_type = text(blob, "mimeType");
        let is_audio = media_type.starts_with("audio/") && matches!(source, MediaSource::Data(_));
        if self.audio.as_ref().is_some_and(|open| *open != media_type) {
            self.close_audio(turn);
        }
        if is_audio {
            self.audio = Some(media_type.clone());
        }
        let index = self.count;
        self.count += u32::from(!is_audio);
        turn.emit(ModelEvent::Media { index, media_type: media_type.into(), source, has_more: is_audio });
    }

    /// Says that no piece of the open audio follows.
    fn close_audio(&mut self, turn: &mut dyn Turn) {
        if let Some(media_type) = self.audio.take() {
            let source = MediaSource::Data("".into());
            turn.emit(ModelEvent::Media { index: self.count, media_type: media_type.into(), source, has_more: false });
            self.count += 1;
        }
    }
}

const CODE_EXECUTION: &str = "code_execution";

/// Emits text, and keeps it for the answer that goes back to the model.
struct Recorder<'r> {
    answer: &'r mut Answer,
    turn: &'r mut dyn Turn,
}

impl Turn for Recorder<'_> {
    fn emit(&mut self, event: ModelEvent<'_>) {
        match &event {
            ModelEvent::Text(text) => self.answer.add_text(text, false),
            ModelEvent::Reasoning(text) => self.answer.add_text(text, true),
            _ => {}
        }
        self.turn.emit(event);
    }
}

/// The id of something that the provider ran; made up where there is none.
fn id_of(object: &Value) -> String {
    match object["id"].as_str() {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => format!("call_{}", Uuid::new_v4().simple()),
    }
}

/// `GOOGLE_SEARCH_WEB` is `google_search_web`.
fn tool_name(object: &Value) -> String {
    let name = object["toolType"].as_str().unwrap_or("tool");
    name.to_ascii_lowercase()
}

/// Reads `logprobsResult`: the chosen tokens, and what else could have stood at the place of each.
fn logprobs(result: &Value) -> Vec<TokenLogprob> {
    fn token(candidate: &Value) -> Option<(String, f64)> {
        Some((candidate["token"].as_str()?.to_owned(), candidate["logProbability"].as_f64()?))
    }
    let list = |key: &str| result[key].as_array().map_or(&[][..], Vec::as_slice);
    let tops = list("topCandidates");
    let chosen = list("chosenCandidates").iter().enumerate();
    let tokens = chosen.filter_map(|(position, chosen)| {
        let (token_text, logprob) = token(chosen)?;
        let top = tops.get(position).and_then(|top| top["candidates"].as_array());
        let top = top.into_iter().flatten().filter_map(token);
        let top = top.map(|(token, logprob)| TopLogprob { token, logprob }).collect();
        Some(TokenLogprob { token: token_text, logprob, top })
    });
    tokens.collect()
}
