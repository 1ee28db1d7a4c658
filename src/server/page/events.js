// What events make of an answer, and what a model reads of it later.
//
// An answer is `{ key, state, parts, after, ... }`: its generation's id, how far it is (`running`, how it has ended, or `lost`), what it
// is made of, and the last `seq`.

/** Puts an event into an answer. */
export function apply(answer, frame) {
  if (frame.type === "started" && answer.recalled) Object.assign(answer, { state: "running", parts: [], recalled: false });
  const { parts } = answer;
  const call = () => {
    const { call_id, name } = frame;
    return parts.find((part) => part.call_id === call_id) ?? (parts.push({ kind: "call", text: "", call_id, name }), parts.at(-1));
  };
  const end = (state, { usage, timing, reason, by, error }) => {
    Object.assign(answer, { state, usage, timing, reason, by, error, start: undefined });
    for (const part of parts) part.waits = part.asks = false;
    answer.pending = undefined;
  };
  if (frame.delta) measure(answer, frame.seq);
  if (frame.seq) answer.after = frame.seq;
  switch (frame.type) {
    case "started":
      Object.assign(answer, { epoch: frame.epoch, model: answer.model ?? `${frame.provider}/${frame.model}`, start: undefined });
      break;
    case "text":
    case "reasoning":
    case "refusal":
      if (parts.at(-1)?.kind !== frame.type) parts.push({ kind: frame.type, text: "" });
      parts.at(-1).text += frame.delta;
      break;
    case "tool_call_delta":
      call().text += frame.delta;
      break;
    case "tool_call":
      Object.assign(call(), { text: frame.invalid ? frame.arguments : JSON.stringify(frame.arguments), whole: true });
      break;
    case "server_tool_call":
    case "server_tool_result": {
      const { call_id, name, arguments: args, result, is_error } = frame;
      const found = parts.find((part) => part.kind === "served" && part.call_id === call_id);
      const part = found ?? (parts.push({ kind: "served", call_id, name }), parts.at(-1));
      Object.assign(part, args !== undefined && { args }, result !== undefined && { result, isError: is_error });
      break;
    }
    case "citation": {
      const source = { url: frame.url, title: frame.title ?? frame.url ?? frame.quote };
      const sources = (answer.sources ??= []);
      if (source.title && !sources.some(({ url, title }) => url === source.url && title === source.title)) sources.push(source);
      break;
    }
    case "media": {
      const { index, media_type, data, url } = frame;
      const part = parts.find((one) => one.kind === "media" && one.index === index) ?? (parts.push({ kind: "media", index, media_type, url, pieces: [] }), parts.at(-1));
      if (data) part.pieces.push(data);
      break;
    }
    case "native":
      parts.push({ kind: "native", native: { provider: frame.provider, content: frame.content } });
      break;
    case "object":
      parts.push({ kind: "object", text: JSON.stringify(frame.value, null, 2), valid: frame.valid, errors: frame.errors });
      break;
    case "warning":
      parts.push({ kind: "warning", text: `${frame.field}: ${frame.message}` });
      break;
    case "tool_approval":
      Object.assign(call(), { asks: true });
      break;
    case "tool_decision":
      Object.assign(call(), { asks: false, denied: !frame.approved, edited: frame.arguments && JSON.stringify(frame.arguments) });
      break;
    case "tool_progress":
      Object.assign(call(), { progress: frame.message ?? [frame.progress, frame.total].filter((n) => n != null).join(" / ") });
      break;
    case "input":
      answer.pending = (answer.pending ?? []).filter(({ input_id }) => input_id !== frame.input_id);
      for (const { content } of frame.messages) {
        parts.push({ kind: "input", text: plainText(content), dropped: frame.state === "dropped" });
      }
      break;
    case "tool_wait":
      answer.pace = undefined;
      for (const part of parts) if (frame.call_ids.includes(part.call_id)) part.waits = true;
      break;
    case "tool_result": {
      const { content, is_error } = frame;
      Object.assign(call(), { result: plainText(content), isError: is_error, waits: false });
      break;
    }
    case "retry":
      parts.push({ kind: "retry", attempt: frame.attempt, provider: frame.provider, continues: frame.continues, code: frame.reason.code, delay: frame.delay_ms });
      break;
    case "finished":
    case "cancelled":
    case "failed":
      end(frame.type, frame);
      break;
    case "error":
      end(["gap", "generation_not_found"].includes(frame.code) ? "lost" : "failed", { error: frame });
  }
}

/** The pace as it is seen here, from the first delta that is not only caught up on. */
function measure(answer, seq) {
  const now = Date.now();
  answer.firstAt ??= now;
  if (now > (answer.liveFrom ?? 0)) answer.pace ??= { seq, from: now };
  if (answer.pace) answer.pace.to = now;
}

/** Tokens per second, or undefined. */
export function tokensPerSecond({ usage, timing, parts, pace, after }) {
  const ms = timing?.total_ms - timing?.first_token_ms;
  if (usage && ms > 100 && !parts.some(({ kind }) => kind === "call")) return (usage.output_tokens / ms) * 1000;
  return pace?.to - pace?.from > 250 ? ((after - pace.seq) / (pace.to - pace.from)) * 1000 : undefined;
}

/** The answer as messages; tool calls only with their result. */
export function turns(parts) {
  const messages = [];
  let content = "";
  let calls = [];
  let native;
  let isWhole = true;
  const flush = () => {
    if (!content && !calls.length) return;
    const tool_calls = calls.map(({ call_id, name, text }) => ({ id: call_id, type: "function", function: { name, arguments: text || "{}" } }));
    // It holds every call: with one that has no result, the provider would refuse it.
    messages.push({ role: "assistant", content: content || null, ...(calls.length && { tool_calls }), ...(isWhole && native && { native }) });
    for (const { call_id, result } of calls) messages.push({ role: "tool", tool_call_id: call_id, content: result });
    content = "";
    calls = [];
    native = undefined;
    isWhole = true;
  };
  for (const { kind, text, ...part } of parts) {
    // The native answer is the last thing that its turn says.
    if (native || (calls.length && kind === "text") || kind === "input") flush();
    if (kind === "input" && !part.dropped) messages.push({ role: "user", content: text });
    if (kind === "text" || kind === "refusal") content += text;
    else if (kind === "call" && part.result != null) calls.push({ text, ...part });
    else if (kind === "call") isWhole = false;
    else if (kind === "native") native = part.native;
  }
  flush();
  return messages;
}

/** Text of a message's content. */
export const plainText = (content) => (typeof content === "string" ? content : (content ?? []).map(({ type, text }) => text ?? `[${type}]`).join(""));

/** Parts that are made of messages, for an answer whose events are gone. */
export function partsOf(messages) {
  const parts = [];
  for (const { role, content, tool_calls, tool_call_id } of messages) {
    const text = plainText(content);
    if (role === "user") parts.push({ kind: "input", text });
    if (role === "assistant" && text) parts.push({ kind: "text", text });
    for (const { id, function: called } of tool_calls ?? []) {
      parts.push({ kind: "call", call_id: id, name: called.name, text: called.arguments, whole: true });
    }
    const call = role === "tool" && parts.find(({ call_id }) => call_id === tool_call_id);
    if (call) call.result = text;
  }
  return parts;
}

/** Shows what the server's history says of an answer. Its events, should they still come, take the place of it. */
export function recall(answer, { state, model, answer: messages, usage, finish_reason: reason, by, error }) {
  Object.assign(answer, { state, model, usage, reason, by, error, parts: partsOf(messages), after: 0, recalled: true, start: undefined });
}
