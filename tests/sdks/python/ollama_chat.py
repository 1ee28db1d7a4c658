"""Ollama's own chat."""

import base64

from ollama import Client

MODEL = "qwen3"
QUESTION = {"role": "user", "content": "Why is the sky blue?"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Looks outside.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def connect(base_url):
    return Client(host=base_url, headers={"authorization": "Bearer key"})


def ask(client, *messages, **fields):
    for _ in client.chat(model=MODEL, messages=messages, stream=True, **fields):
        pass


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
    options = {"temperature": 0.5, "top_p": 0.9, "num_predict": 100, "seed": 7}
    ask(client, system, QUESTION, options=options)


def stop(client):
    ask(client, QUESTION, options={"stop": ["END"]})


def penalties(client):
    ask(client, QUESTION, options={"presence_penalty": 0.5, "frequency_penalty": 0.25, "top_k": 40})


def image(client):
    ask(client, {"role": "user", "content": "What is this?", "images": [base64.b64decode("iVBORw0KGgo=")]})


def tool_results(client):
    ask(
        client,
        {"role": "user", "content": "What is the weather in Rome and Atlantis?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Rome"}}},
                {"function": {"name": "weather", "arguments": {"city": "Atlantis"}}},
            ],
        },
        {"role": "tool", "tool_name": "weather", "content": "sunny"},
        {"role": "tool", "tool_name": "weather", "content": "no such city"},
        tools=[WEATHER],
    )


def schema(client):
    ask(client, QUESTION, format={
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    })


def effort(client):
    ask(client, QUESTION, think="high")


def budget(client):
    ask(client, QUESTION, think=True, options={"num_predict": 4096})


def logprobs(client):
    ask(client, QUESTION, logprobs=True, top_logprobs=2)


def round_trip(client):
    question = {"role": "user", "content": "What is the weather in Rome?"}
    answer = {"role": "assistant", "content": "", "thinking": "", "tool_calls": []}
    for line in client.chat(model=MODEL, messages=[question], tools=[WEATHER], think="high", stream=True):
        answer["thinking"] += line.message.thinking or ""
        answer["tool_calls"] += line.message.tool_calls or []
    result = {"role": "tool", "tool_name": "weather", "content": "sunny"}
    ask(client, question, answer, result, tools=[WEATHER], think="high")
