"""Cohere's chat, version 2."""

from cohere import ClientV2, Thinking

MODEL = "command-a-03-2025"
QUESTION = {"role": "user", "content": "Why is the sky blue?"}
WEATHER_QUESTION = {"role": "user", "content": "What is the weather in Rome?"}
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


def connect(base_url):
    return ClientV2(api_key="key", base_url=base_url)


def ask(client, *messages, **fields):
    for _ in client.chat_stream(model=MODEL, messages=messages, **fields):
        pass


def show(client, text, part):
    ask(client, {"role": "user", "content": [{"type": "text", "text": text}, part]})


def plain(client):
    ask(client, QUESTION)


def turns(client):
    ask(
        client,
        {"role": "system", "content": "Be brief."},
        QUESTION,
        {"role": "assistant", "content": "Scattering."},
        {"role": "user", "content": "And at dusk?"},
    )


def sampling(client):
    system = {"role": "system", "content": "Be brief."}
    ask(client, system, QUESTION, temperature=0.5, p=0.9, max_tokens=100, seed=7)


def stop(client):
    ask(client, QUESTION, stop_sequences=["END"])


def penalties(client):
    ask(client, QUESTION, presence_penalty=0.5, frequency_penalty=0.25, k=40)


def image(client):
    show(client, "What is this?", {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}})


def image_url(client):
    show(client, "What is this?", {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}})


def tool_forced(client):
    # No tool can be named, so only that one is offered.
    ask(client, WEATHER_QUESTION, tools=[WEATHER], tool_choice="REQUIRED")


def tool_required(client):
    ask(client, WEATHER_QUESTION, tools=[WEATHER, NOW], tool_choice="REQUIRED")


def tool_results(client):
    ask(
        client,
        {"role": "user", "content": "What is the weather in Rome and Atlantis?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "callRome1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                },
                {
                    "id": "callAtla2",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Atlantis"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "callRome1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "callAtla2", "content": "no such city"},
        tools=[WEATHER],
    )


def schema(client):
    ask(client, QUESTION, response_format={
        "type": "json_object",
        "json_schema": {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    })


def effort(client):
    ask(client, QUESTION, thinking=Thinking(type="enabled"))


def budget(client):
    ask(client, QUESTION, max_tokens=4096, thinking=Thinking(type="enabled", token_budget=2048))


def logprobs(client):
    ask(client, QUESTION, logprobs=True)


def round_trip(client):
    plan, calls = "", []
    fields = {"model": MODEL, "tools": [WEATHER], "thinking": Thinking(type="enabled")}
    for event in client.chat_stream(messages=[WEATHER_QUESTION], **fields):
        if event.type == "tool-plan-delta":
            plan += event.delta.message.tool_plan
        if event.type == "tool-call-start":
            calls.append(event.delta.message.tool_calls)
    answer = {"role": "assistant", "tool_plan": plan, "tool_calls": calls}
    result = {"role": "tool", "tool_call_id": calls[0].id, "content": "sunny"}
    ask(client, WEATHER_QUESTION, answer, result, tools=[WEATHER], thinking=fields["thinking"])
