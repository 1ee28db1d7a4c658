"""The providers whose SDKs Tokenwire is held against, and what is known to differ."""

from dataclasses import dataclass, field
from typing import Callable

KEY = "key"


@dataclass(eq=False)
class Provider:
    name: str
    # The script in `python` and `node`.
    script: str
    model: str
    # What configures it; `{url}` is the recorder.
    env: dict
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


PROVIDERS = [
    Provider(
        name="openai",
        script="openai_chat",
        model="gpt-4.1",
        models={"effort": "gpt-5"},
        env={"OPENAI_BASE_URL": "{url}/v1", "OPENAI_API_KEY": KEY},
        left_out={"penalties": ["top_k"], "budget": ["reasoning_budget"]},
        # Asked without the budget, it is like `plain` with `max_tokens`.
        unsaid=["budget"],
        body_type='import("openai").default.ChatCompletionCreateParamsStreaming',
    ),
    Provider(
        name="anthropic",
        script="anthropic_messages",
        model="claude-sonnet-4-5",
        models={"effort": "claude-opus-4-6"},
        env={"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": KEY},
        refused={"audio": "messages[0].content[1]", "logprobs": "logprobs"},
        left_out={"sampling": ["seed"], "penalties": ["presence_penalty", "frequency_penalty"]},
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
        body_type='import("@mistralai/mistralai/models/components").ChatCompletionStreamRequest$Outbound',
    ),
]
