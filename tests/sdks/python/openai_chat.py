"""OpenAI's chat completions."""

from openai import OpenAI

MODEL = "gpt-4.1"
QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
WEATHER_QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]
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
    return OpenAI(api_key="key", base_url=f"{base_url}/v1")


def ask(client, messages, model=MODEL, **fields):
    client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}, **fields
    )


def show(client, text, part):
    ask(client, [{"role": "user", "content": [{"type": "text", "text": text}, part]}])


def plain(client):
    ask(client, QUESTION)


def turns(client):
    ask(client, [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why is the sky blue?"},
        {"role": "assistant", "content": "Scattering."},
        {"role": "user", "content": "And at dusk?"},
    ])


def sampling(client):
    messages = [{"role": "system", "content": "Be brief."}, *QUESTION]
    ask(client, messages, temperature=0.5, top_p=0.9, max_completion_tokens=100, seed=7)


def stop(client):
    ask(client, QUESTION, stop=["END"])


def penalties(client):
    ask(client, QUESTION, presence_penalty=0.5, frequency_penalty=0.25)


def image(client):
    show(client, "What is this?", {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}})


def image_url(client):
    show(client, "What is this?", {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}})


def file(client):
    data = "data:application/pdf;base64,JVBERi0="
    show(client, "Sum it up.", {"type": "file", "file": {"filename": "paper.pdf", "file_data": data}})


def audio(client):
    show(client, "What is said?", {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}})


def tool_forced(client):
    ask(
        client,
        WEATHER_QUESTION,
        tools=[WEATHER, NOW],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        parallel_tool_calls=False,
    )


def tool_required(client):
    ask(client, WEATHER_QUESTION, tools=[WEATHER, NOW], tool_choice="required")


def tool_results(client):
    ask(client, [
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
    ], tools=[WEATHER])


def schema(client):
    ask(client, QUESTION, response_format={
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"answer": {"type": "string"}},
                "required": ["answer"],
                "additionalProperties": False,
            },
        },
    })


def effort(client):
    ask(client, QUESTION, model="gpt-5", reasoning_effort="high")


def logprobs(client):
    ask(client, QUESTION, logprobs=True, top_logprobs=2)
