"""Amazon Bedrock's ConverseStream."""

import base64
import json

import boto3
from botocore.config import Config

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
QUESTION = {"role": "user", "content": [{"text": "Why is the sky blue?"}]}
WEATHER_QUESTION = {"role": "user", "content": [{"text": "What is the weather in Rome?"}]}
WEATHER = {
    "toolSpec": {
        "name": "weather",
        "description": "Looks outside.",
        "inputSchema": {
            "json": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
}
NOW = {
    "toolSpec": {
        "name": "now",
        "description": "Tells the time.",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
}


def connect(base_url):
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=base_url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def ask(client, *messages, model=MODEL, **fields):
    client.converse_stream(modelId=model, messages=messages, **fields)


def show(client, text, part):
    ask(client, {"role": "user", "content": [{"text": text}, part]})


def plain(client):
    ask(client, QUESTION)


def turns(client):
    answer = {"role": "assistant", "content": [{"text": "Scattering."}]}
    follow = {"role": "user", "content": [{"text": "And at dusk?"}]}
    ask(client, QUESTION, answer, follow, system=[{"text": "Be brief."}])


def sampling(client):
    # This model refuses `topP` beside it.
    config = {"temperature": 0.5, "maxTokens": 100}
    ask(client, QUESTION, system=[{"text": "Be brief."}], inferenceConfig=config)


def stop(client):
    ask(client, QUESTION, inferenceConfig={"stopSequences": ["END"]})


def penalties(client):
    ask(client, QUESTION, additionalModelRequestFields={"top_k": 40})


def image(client):
    data = base64.b64decode("iVBORw0KGgo=")
    show(client, "What is this?", {"image": {"format": "png", "source": {"bytes": data}}})


def file(client):
    data = base64.b64decode("JVBERi0=")
    show(client, "Sum it up.", {"document": {"format": "pdf", "name": "paper", "source": {"bytes": data}}})


def audio(client):
    data = base64.b64decode("UklGRg==")
    show(client, "What is said?", {"audio": {"format": "wav", "source": {"bytes": data}}})


def tool_forced(client):
    config = {"tools": [WEATHER, NOW], "toolChoice": {"tool": {"name": "weather"}}}
    ask(client, WEATHER_QUESTION, toolConfig=config)


def tool_required(client):
    ask(client, WEATHER_QUESTION, toolConfig={"tools": [WEATHER, NOW], "toolChoice": {"any": {}}})


def tool_results(client):
    ask(
        client,
        {"role": "user", "content": [{"text": "What is the weather in Rome and Atlantis?"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "I look."},
                {"toolUse": {"toolUseId": "callRome1", "name": "weather", "input": {"city": "Rome"}}},
                {"toolUse": {"toolUseId": "callAtla2", "name": "weather", "input": {"city": "Atlantis"}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "callRome1", "content": [{"text": "sunny"}]}},
                {
                    "toolResult": {
                        "toolUseId": "callAtla2",
                        "content": [{"text": "no such city"}],
                        "status": "error",
                    }
                },
            ],
        },
        toolConfig={"tools": [WEATHER]},
    )


def schema(client):
    schema = (
        '{"type":"object","properties":{"answer":{"type":"string"}},'
        '"required":["answer"],"additionalProperties":false}'
    )
    structure = {"jsonSchema": {"name": "answer", "schema": schema}}
    ask(client, QUESTION, outputConfig={"textFormat": {"type": "json_schema", "structure": structure}})


def effort(client):
    ask(
        client,
        QUESTION,
        model="us.anthropic.claude-opus-4-6-v1",
        outputConfig={"effort": "high"},
        additionalModelRequestFields={"thinking": {"type": "adaptive"}},
    )


def budget(client):
    ask(
        client,
        QUESTION,
        inferenceConfig={"maxTokens": 4096},
        additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 2048}},
    )


def round_trip(client):
    fields = {
        "modelId": "us.anthropic.claude-opus-4-6-v1",
        "toolConfig": {"tools": [WEATHER]},
        "outputConfig": {"effort": "high"},
        "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
    }
    stream = client.converse_stream(messages=[WEATHER_QUESTION], **fields)["stream"]
    thinking, call, arguments = {"text": "", "signature": ""}, {}, ""
    for event in stream:
        call |= event.get("contentBlockStart", {}).get("start", {}).get("toolUse", {})
        delta = event.get("contentBlockDelta", {}).get("delta", {})
        for name, piece in delta.get("reasoningContent", {}).items():
            thinking[name] += piece
        arguments += delta.get("toolUse", {}).get("input", "")
    answer = {
        "role": "assistant",
        "content": [
            {"reasoningContent": {"reasoningText": thinking}},
            {"toolUse": {**call, "input": json.loads(arguments)}},
        ],
    }
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "sunny"}]}}
    client.converse_stream(messages=[WEATHER_QUESTION, answer, {"role": "user", "content": [result]}], **fields)
