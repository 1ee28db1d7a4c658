"""Answers that think and then call a tool, in every wire format that wants its thinking back with the result."""

import base64
import json
import struct
import zlib

SSE, NDJSON, FRAMES = "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"


def events(*messages, name="type"):
    """Server-sent events, named by their type where they have one."""
    lines = []
    for message in messages:
        if name in message:
            lines.append(f"event: {message[name]}\n")
        lines.append(f"data: {json.dumps(message)}\n\n")
    return SSE, "".join(lines).encode()


def frame(kind, payload):
    """A frame of an AWS event stream."""
    headers = b""
    for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = json.dumps(payload).encode()
    start = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    rest = start + struct.pack(">I", zlib.crc32(start)) + headers + body
    return rest + struct.pack(">I", zlib.crc32(rest))


ANTHROPIC_EVENTS = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "I look "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "outside."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "I look."}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    },
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '"Rome"}'}},
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 20},
    },
    {"type": "message_stop"},
]

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "I look outside."}],
    "encrypted_content": "ZW5jcnlwdGVk",
}
FUNCTION_CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Rome"}',
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1760000000,
    "status": "in_progress",
    "model": "gpt-5",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}

ANTHROPIC = events(*ANTHROPIC_EVENTS)

ANTHROPIC_ON_BEDROCK = FRAMES, b"".join(
    frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}) for event in ANTHROPIC_EVENTS
)

RESPONSES = events(
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
    {
        "type": "response.output_item.added",
        "sequence_number": 1,
        "output_index": 0,
        "item": {**REASONING, "summary": [], "encrypted_content": ""},
    },
    {
        "type": "response.reasoning_summary_part.added",
        "sequence_number": 2,
        "item_id": "rs_1",
        "output_index": 0,
        "summary_index": 0,
        "part": {"type": "summary_text", "text": ""},
    },
    {
        "type": "response.reasoning_summary_text.delta",
        "sequence_number": 3,
        "item_id": "rs_1",
        "output_index": 0,
        "summary_index": 0,
        "delta": "I look outside.",
    },
    {"type": "response.output_item.done", "sequence_number": 4, "output_index": 0, "item": REASONING},
    {
        "type": "response.output_item.added",
        "sequence_number": 5,
        "output_index": 1,
        "item": {**FUNCTION_CALL, "status": "in_progress", "arguments": ""},
    },
    {
        "type": "response.function_call_arguments.delta",
        "sequence_number": 6,
        "item_id": "fc_1",
        "output_index": 1,
        "delta": '{"city":"Rome"}',
    },
    {
        "type": "response.function_call_arguments.done",
        "sequence_number": 7,
        "item_id": "fc_1",
        "output_index": 1,
        "name": "weather",
        "arguments": '{"city":"Rome"}',
    },
    {"type": "response.output_item.done", "sequence_number": 8, "output_index": 1, "item": FUNCTION_CALL},
    {
        "type": "response.completed",
        "sequence_number": 9,
        "response": {**RESPONSE, "status": "completed", "output": [REASONING, FUNCTION_CALL]},
    },
)

GEMINI = events(
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "I look outside.", "thought": True}]}}]},
    {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"name": "weather", "args": {"city": "Rome"}},
                            "thoughtSignature": "c2lnbmVk",
                        }
                    ],
                },
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18},
    },
)

BEDROCK = FRAMES, b"".join(
    frame(kind, payload)
    for kind, payload in [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "I look outside."}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2lnbmVk"}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        (
            "contentBlockStart",
            {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}},
        ),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"city":"Rome"}'}}}),
        ("contentBlockStop", {"contentBlockIndex": 1}),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": {"inputTokens": 9, "outputTokens": 9, "totalTokens": 18}}),
    ]
)

COHERE_CALL = {"id": "weather_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}

COHERE = events(
    {"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}},
    {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I look outside."}}},
    {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": COHERE_CALL}}},
    {"type": "tool-call-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
)

OLLAMA = NDJSON, b"".join(
    json.dumps({"model": "qwen3", "created_at": "2025-10-09T08:53:20Z", **line}).encode() + b"\n"
    for line in [
        {"message": {"role": "assistant", "content": "", "thinking": "I look outside."}, "done": False},
        {
            "message": {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Rome"}}}],
            },
            "done": False,
        },
        {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    ]
)
