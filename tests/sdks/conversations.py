"""The conversations that every SDK and Tokenwire are asked to have, as fields of a `start` frame.

Each SDK's script says the same once more, in the words of that SDK. What counts is the last
request of each.
"""

PNG = "iVBORw0KGgo="
PDF = "JVBERi0="
WAV = "UklGRg=="

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Looks outside.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
NOW = {
    "type": "function",
    "function": {"name": "now", "description": "Tells the time.", "parameters": {"type": "object", "properties": {}}},
}
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def ask(text, **fields):
    return {"messages": [{"role": "user", "content": text}], **fields}


def show(text, part):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text}, part]}]}


def call(id, name, arguments):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = {
    "plain": ask("Why is the sky blue?"),
    "turns": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why is the sky blue?"},
            {"role": "assistant", "content": "Scattering."},
            {"role": "user", "content": "And at dusk?"},
        ]
    },
    "sampling": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why is the sky blue?"},
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "seed": 7,
    },
    "stop": ask("Why is the sky blue?", stop=["END"]),
    "penalties": ask("Why is the sky blue?", presence_penalty=0.5, frequency_penalty=0.25, top_k=40),
    "image": show("What is this?", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}),
    "image_url": show("What is this?", {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}),
    "file": show("Sum it up.", {
        "type": "file",
        "file": {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
    }),
    "audio": show("What is said?", {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}),
    "tool_forced": ask(
        "What is the weather in Rome?",
        tools=[WEATHER, NOW],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
    ),
    "tool_required": ask("What is the weather in Rome?", tools=[WEATHER, NOW], tool_choice="required"),
    "tool_results": {
        "messages": [
            {"role": "user", "content": "What is the weather in Rome and Atlantis?"},
            {
                "role": "assistant",
                "content": "I look.",
                # Nine letters and digits, which is what Mistral wants and nobody else minds.
                "tool_calls": [
                    call("callRome1", "weather", '{"city":"Rome"}'),
                    call("callAtla2", "weather", '{"city":"Atlantis"}'),
                ],
            },
            {"role": "tool", "tool_call_id": "callRome1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "callAtla2", "content": "no such city", "is_error": True},
        ],
        "tools": [WEATHER],
    },
    "schema": ask("Why is the sky blue?", response_format={
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": ANSWER_SCHEMA},
    }),
    "effort": ask("Why is the sky blue?", reasoning_effort="high"),
    "budget": ask("Why is the sky blue?", reasoning_budget=2048, max_tokens=4096),
    # The answer thinks and calls the tool; what counts is the request with the result.
    "round_trip": ask("What is the weather in Rome?", tools=[WEATHER], reasoning_effort="high"),
    "logprobs": ask("Why is the sky blue?", logprobs=True, top_logprobs=2),
}
