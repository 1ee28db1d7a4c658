"""Anthropic's Messages."""

from anthropic import Anthropic

MODEL = "claude-sonnet-4-5"
# What Tokenwire asks for when the client does not say: the API wants a number.
MAX_TOKENS = 8192
QUESTION = "Why is the sky blue?"
WEATHER = {
    "name": "weather",
    "description": "Looks outside.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
NOW = {"name": "now", "description": "Tells the time.", "input_schema": {"type": "object", "properties": {}}}


def connect(base_url):
    return Anthropic(api_key="key", base_url=base_url)


def text(text):
    return {"type": "text", "text": text}


def user(*content):
    return {"role": "user", "content": content}


def ask(client, *messages, model=MODEL, max_tokens=MAX_TOKENS, **fields):
    client.messages.create(model=model, max_tokens=max_tokens, messages=messages, stream=True, **fields)


def plain(client):
    ask(client, user(text(QUESTION)))


def turns(client):
    assistant = {"role": "assistant", "content": [text("Scattering.")]}
    ask(client, user(text(QUESTION)), assistant, user(text("And at dusk?")), system="Be brief.")


def sampling(client):
    ask(
        client,
        user(text(QUESTION)),
        system="Be brief.",
        temperature=0.5,
        max_tokens=100,
    )


def stop(client):
    ask(client, user(text(QUESTION)), stop_sequences=["END"])


def penalties(client):
    ask(client, user(text(QUESTION)), top_k=40)


def image(client):
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    ask(client, user(text("What is this?"), {"type": "image", "source": source}))


def image_url(client):
    source = {"type": "url", "url": "https://example.com/cat.png"}
    ask(client, user(text("What is this?"), {"type": "image", "source": source}))


def file(client):
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    ask(client, user(text("Sum it up."), {"type": "document", "title": "paper.pdf", "source": source}))


def tool_forced(client):
    choice = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    ask(client, user(text("What is the weather in Rome?")), tools=[WEATHER, NOW], tool_choice=choice)


def tool_required(client):
    ask(client, user(text("What is the weather in Rome?")), tools=[WEATHER, NOW], tool_choice={"type": "any"})


def tool_results(client):
    ask(
        client,
        user(text("What is the weather in Rome and Atlantis?")),
        {
            "role": "assistant",
            "content": [
                text("I look."),
                {"type": "tool_use", "id": "callRome1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "callAtla2", "name": "weather", "input": {"city": "Atlantis"}},
            ],
        },
        user(
            {"type": "tool_result", "tool_use_id": "callRome1", "content": [text("sunny")]},
            {
                "type": "tool_result",
                "tool_use_id": "callAtla2",
                "content": [text("no such city")],
                "is_error": True,
            },
        ),
        tools=[WEATHER],
    )


def schema(client):
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    ask(client, user(text(QUESTION)), output_config={"format": {"type": "json_schema", "schema": schema}})


def effort(client):
    ask(
        client,
        user(text(QUESTION)),
        model="claude-opus-4-6",
        max_tokens=4 * MAX_TOKENS,
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
    )


def budget(client):
    ask(client, user(text(QUESTION)), max_tokens=4096, thinking={"type": "enabled", "budget_tokens": 2048})


def round_trip(client):
    fields = {
        "model": "claude-opus-4-6",
        "max_tokens": 4 * MAX_TOKENS,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "tools": [WEATHER],
    }
    messages = [user(text("What is the weather in Rome?"))]
    with client.messages.stream(messages=messages, **fields) as stream:
        answer = stream.get_final_message()
    result = {"type": "tool_result", "tool_use_id": answer.content[-1].id, "content": [text("sunny")]}
    messages += [{"role": "assistant", "content": answer.content}, user(result)]
    client.messages.create(messages=messages, stream=True, **fields)
