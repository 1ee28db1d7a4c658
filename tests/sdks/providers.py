"""The providers whose SDKs Tokenwire is held against, and what is known to differ."""

import copy
import json
import re
from dataclasses import dataclass, field
from typing import Callable

import answers
import signature
from conversations import CONVERSATIONS

KEY = "key"


@dataclass(eq=False)
class Provider:
    name: str
    # The script in `python` and `node`.
    script: str
    model: str
    # What configures it; `{url}` is the recorder.
    env: dict
    # Those of its SDKs that are asked.
    sdks: tuple = ("python", "node")
    # Other models, by conversation.
    models: dict = field(default_factory=dict)
    # Conversations that it cannot have, with the field that the error names. No SDK can say them either.
    refused: dict = field(default_factory=dict)
    # Conversations that are had without these fields, with a warning for each.
    left_out: dict = field(default_factory=dict)
    # Conversations that its SDKs have no words for, though Tokenwire has.
    unsaid: list = field(default_factory=list)
    # Makes bodies alike that mean the same to the provider: each says why.
    alike: list[Callable] = field(default_factory=list)
    # The SDK's TypeScript type of a body.
    body_type: str = ""
    # Headers that must be equal.
    headers: tuple = ("authorization",)
    # What thinks and calls a tool, where thinking must come back.
    answer: tuple = None
    # Whether requests are signed as AWS wants it.
    aws: bool = False

    def conversations(self):
        return [name for name in CONVERSATIONS if self.answer or name != "round_trip"]

    def alike_body(self, body):
        body = copy.deepcopy(body)
        for make_alike in self.alike:
            make_alike(body)
        return body


def responses_parsed(body):
    """The Node SDK's stream adds a field of its own to calls, which it sends back as it is."""
    for item in body["input"]:
        item.pop("parsed_arguments", None)


def mistral_defaults(body):
    """The SDK writes out the defaults of some fields of assistant messages, and numbers no calls."""
    for message in body["messages"]:
        if message["role"] == "assistant":
            message.setdefault("prefix", False)
            for call in message.get("tool_calls", []):
                call.setdefault("index", 0)


def ollama_call_ids(body):
    """Newer servers know ids of calls, which the SDKs drop."""
    for message in body["messages"]:
        message.pop("tool_call_id", None)
        for call in message.get("tool_calls", []):
            call.pop("id", None)


def ollama_empty(body):
    """The Python SDK offers an empty list where there are no tools, and leaves out empty content."""
    if body.get("tools") == []:
        del body["tools"]
    for message in body["messages"]:
        message.setdefault("content", "")


def gemini_defaults(body):
    """The SDKs give the system a role and write out an empty configuration; the API looks at neither."""
    body.get("systemInstruction", {}).pop("role", None)
    if body.get("generationConfig") == {}:
        del body["generationConfig"]


def gemini_turns(body):
    """The SDKs keep each chunk of an answer as a content of its own; contents of one role are one to the API."""
    joined = []
    for content in body["contents"]:
        if joined and joined[-1]["role"] == content["role"]:
            joined[-1]["parts"] += content["parts"]
        else:
            joined.append(content)
    body["contents"] = joined


def gemini_names(body):
    """The API takes a field's name in both spellings, and the Python SDK uses both. Upper and lower case of a
    level are the same, too."""

    def respell(value):
        if isinstance(value, list):
            return [respell(item) for item in value]
        if not isinstance(value, dict):
            return value
        fields = {re.sub("_([a-z])", lambda match: match[1].upper(), name): field for name, field in value.items()}
        # Below these the names are the user's.
        own = ("args", "response", "parametersJsonSchema", "responseJsonSchema")
        return {name: field if name in own else respell(field) for name, field in fields.items()}

    spelled = respell(body)
    body.clear()
    body.update(spelled)
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    if "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = thinking["thinkingLevel"].upper()


def parsed_schema(body):
    """A schema that is sent as text may be written in another order."""
    format = body.get("outputConfig", {}).get("textFormat")
    if format:
        schema = format["structure"]["jsonSchema"]
        schema["schema"] = json.loads(schema["schema"])


ANTHROPIC_REFUSED = {"audio": "messages[0].content[1]", "logprobs": "logprobs"}
ANTHROPIC_LEFT_OUT = {"sampling": ["seed", "top_p"], "penalties": ["presence_penalty", "frequency_penalty"]}

AWS_ENV = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": signature.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": signature.SECRET_KEY,
}

PROVIDERS = [
    Provider(
        name="openai",
        script="openai_chat",
        model="gpt-4.1",
        models={"effort": "gpt-5", "round_trip": "gpt-5"},
        env={"OPENAI_BASE_URL": "{url}/v1", "OPENAI_API_KEY": KEY},
        left_out={"penalties": ["top_k"], "budget": ["reasoning_budget"]},
        # Asked without the budget, it is like `plain` with `max_tokens`.
        unsaid=["budget"],
        body_type='import("openai").default.ChatCompletionCreateParamsStreaming',
    ),
    Provider(
        name="openai-responses",
        script="openai_responses",
        model="gpt-4.1",
        models={"effort": "gpt-5", "round_trip": "gpt-5"},
        answer=answers.RESPONSES,
        env={"OPENAI_BASE_URL": "{url}/v1", "OPENAI_API_KEY": KEY},
        refused={"audio": "messages[0].content[1]", "stop": "stop"},
        left_out={
            "sampling": ["seed"],
            "penalties": ["top_k", "presence_penalty", "frequency_penalty"],
            "budget": ["reasoning_budget"],
        },
        alike=[responses_parsed],
        body_type='import("openai").default.Responses.ResponseCreateParamsStreaming',
    ),
    Provider(
        name="azure",
        script="azure",
        model="gpt-4.1",
        models={"effort": "gpt-5", "round_trip": "gpt-5"},
        env={
            "AZURE_OPENAI_ENDPOINT": "{url}",
            "AZURE_OPENAI_API_KEY": KEY,
            "OPENAI_API_VERSION": "2025-04-01-preview",
        },
        left_out={"penalties": ["top_k"], "budget": ["reasoning_budget"]},
        unsaid=["budget"],
        body_type='import("openai").default.ChatCompletionCreateParamsStreaming',
        headers=("api-key",),
    ),
    Provider(
        name="azure-responses",
        script="azure_responses",
        sdks=("python",),
        model="gpt-4.1",
        models={"effort": "gpt-5", "round_trip": "gpt-5"},
        answer=answers.RESPONSES,
        env={"AZURE_OPENAI_ENDPOINT": "{url}", "AZURE_OPENAI_API_KEY": KEY},
        refused={"audio": "messages[0].content[1]", "stop": "stop"},
        left_out={
            "sampling": ["seed"],
            "penalties": ["top_k", "presence_penalty", "frequency_penalty"],
            "budget": ["reasoning_budget"],
        },
        headers=("api-key",),
    ),
    Provider(
        name="anthropic",
        script="anthropic_messages",
        model="claude-sonnet-4-5",
        models={"effort": "claude-opus-4-6", "round_trip": "claude-opus-4-6"},
        answer=answers.ANTHROPIC,
        env={"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": KEY},
        refused=ANTHROPIC_REFUSED,
        left_out=ANTHROPIC_LEFT_OUT,
        body_type='import("@anthropic-ai/sdk").default.MessageCreateParamsStreaming',
        headers=("x-api-key", "anthropic-version"),
    ),
    Provider(
        name="mistral",
        script="mistral",
        model="mistral-medium-latest",
        env={"MISTRAL_BASE_URL": "{url}/v1", "MISTRAL_API_KEY": KEY},
        left_out={"penalties": ["top_k"], "budget": ["reasoning_budget"]},
        refused={"logprobs": "logprobs"},
        unsaid=["budget"],
        alike=[mistral_defaults],
        body_type='import("@mistralai/mistralai/models/components").ChatCompletionStreamRequest$Outbound',
    ),
    Provider(
        name="cohere",
        script="cohere_chat",
        model="command-a-03-2025",
        answer=answers.COHERE,
        env={"COHERE_BASE_URL": "{url}", "CO_API_KEY": KEY},
        refused={"file": "messages[0].content[1]", "audio": "messages[0].content[1]"},
        left_out={"tool_forced": ["parallel_tool_calls"], "logprobs": ["top_logprobs"]},
        body_type='import("./node_modules/cohere-ai/dist/serialization/resources/v2/client/requests/V2ChatStreamRequest.js")'
        ".V2ChatStreamRequest.Raw & { stream: true }",
    ),
    Provider(
        name="ollama",
        script="ollama_chat",
        model="qwen3",
        answer=answers.OLLAMA,
        env={"OLLAMA_BASE_URL": "{url}", "OLLAMA_API_KEY": KEY},
        refused={
            "image_url": "messages[0].content[1]",
            "file": "messages[0].content[1]",
            "audio": "messages[0].content[1]",
            "tool_forced": "tool_choice",
            "tool_required": "tool_choice",
        },
        left_out={"budget": ["reasoning_budget"]},
        alike=[ollama_call_ids, ollama_empty],
        body_type='import("ollama").ChatRequest',
    ),
    Provider(
        name="gemini",
        script="gemini",
        model="gemini-2.5-flash",
        models={"effort": "gemini-3-pro-preview", "round_trip": "gemini-3-pro-preview"},
        answer=answers.GEMINI,
        env={"GOOGLE_GEMINI_BASE_URL": "{url}", "GEMINI_API_KEY": KEY},
        left_out={"tool_forced": ["parallel_tool_calls"]},
        alike=[gemini_names, gemini_defaults, gemini_turns],
        headers=("x-goog-api-key",),
    ),
    Provider(
        name="vertex",
        script="vertex",
        model="gemini-2.5-flash",
        models={"effort": "gemini-3-pro-preview", "round_trip": "gemini-3-pro-preview"},
        answer=answers.GEMINI,
        env={
            "GOOGLE_VERTEX_BASE_URL": "{url}",
            "GOOGLE_CLOUD_PROJECT": "my-project",
            "GOOGLE_CLOUD_LOCATION": "us-central1",
            "VERTEX_API_KEY": KEY,
        },
        left_out={"tool_forced": ["parallel_tool_calls"]},
        alike=[gemini_names, gemini_defaults, gemini_turns],
    ),
    Provider(
        name="vertex-anthropic",
        script="anthropic_vertex",
        sdks=("python",),
        model="claude-sonnet-4-5",
        models={"effort": "claude-opus-4-6", "round_trip": "claude-opus-4-6"},
        answer=answers.ANTHROPIC,
        env={
            "ANTHROPIC_VERTEX_BASE_URL": "{url}/v1",
            "ANTHROPIC_VERTEX_PROJECT_ID": "my-project",
            "CLOUD_ML_REGION": "us-central1",
            "VERTEX_ANTHROPIC_API_KEY": KEY,
        },
        refused=ANTHROPIC_REFUSED,
        left_out=ANTHROPIC_LEFT_OUT,
    ),
    Provider(
        name="bedrock",
        script="bedrock",
        model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        models={"effort": "us.anthropic.claude-opus-4-6-v1", "round_trip": "us.anthropic.claude-opus-4-6-v1"},
        answer=answers.BEDROCK,
        env={"BEDROCK_BASE_URL": "{url}", **AWS_ENV},
        refused={"image_url": "messages[0].content[1]", "logprobs": "logprobs"},
        left_out={
            "sampling": ["seed", "top_p"],
            "penalties": ["presence_penalty", "frequency_penalty"],
            "tool_forced": ["parallel_tool_calls"],
        },
        alike=[parsed_schema],
        aws=True,
    ),
    Provider(
        name="bedrock-anthropic",
        script="anthropic_bedrock",
        sdks=("python",),
        model="claude-sonnet-4-5",
        models={"effort": "claude-opus-4-6", "round_trip": "claude-opus-4-6"},
        answer=answers.ANTHROPIC_ON_BEDROCK,
        env={"ANTHROPIC_BEDROCK_BASE_URL": "{url}", **AWS_ENV},
        refused={**ANTHROPIC_REFUSED, "image_url": "messages[0].content[1]"},
        left_out=ANTHROPIC_LEFT_OUT,
        aws=True,
    ),
]
