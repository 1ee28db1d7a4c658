"""Google's Gemini API."""

import base64

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash"
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="Looks outside.",
    parameters_json_schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
NOW = types.FunctionDeclaration(name="now", description="Tells the time.")


def connect(base_url):
    # The version that the Node SDK asks for, too: it has everything that `v1` has, and more.
    options = types.HttpOptions(base_url=base_url, api_version="v1beta")
    return genai.Client(api_key="key", http_options=options)


def user(*parts):
    return types.UserContent([types.Part(text=part) if isinstance(part, str) else part for part in parts])


QUESTION = user("Why is the sky blue?")
WEATHER_QUESTION = user("What is the weather in Rome?")


def ask(client, *contents, model=MODEL, **config):
    contents = list(contents)
    for _ in client.models.generate_content_stream(
        model=model, contents=contents, config=types.GenerateContentConfig(**config)
    ):
        pass


def tools(*declarations):
    return [types.Tool(function_declarations=list(declarations))]


def calling(**config):
    return types.ToolConfig(function_calling_config=types.FunctionCallingConfig(**config))


def plain(client):
    ask(client, QUESTION)


def turns(client):
    answer = types.ModelContent("Scattering.")
    ask(client, QUESTION, answer, user("And at dusk?"), system_instruction="Be brief.")


def sampling(client):
    ask(
        client,
        QUESTION,
        system_instruction="Be brief.",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=100,
        seed=7,
    )


def stop(client):
    ask(client, QUESTION, stop_sequences=["END"])


def penalties(client):
    ask(client, QUESTION, presence_penalty=0.5, frequency_penalty=0.25, top_k=40)


def image(client):
    data = base64.b64decode("iVBORw0KGgo=")
    ask(client, user("What is this?", types.Part.from_bytes(data=data, mime_type="image/png")))


def image_url(client):
    uri = "https://example.com/cat.png"
    ask(client, user("What is this?", types.Part.from_uri(file_uri=uri, mime_type="image/png")))


def file(client):
    data = base64.b64decode("JVBERi0=")
    ask(client, user("Sum it up.", types.Part.from_bytes(data=data, mime_type="application/pdf")))


def audio(client):
    data = base64.b64decode("UklGRg==")
    ask(client, user("What is said?", types.Part.from_bytes(data=data, mime_type="audio/wav")))


def tool_forced(client):
    config = calling(mode="ANY", allowed_function_names=["weather"])
    ask(client, WEATHER_QUESTION, tools=tools(WEATHER, NOW), tool_config=config)


def tool_required(client):
    ask(client, WEATHER_QUESTION, tools=tools(WEATHER, NOW), tool_config=calling(mode="ANY"))


def tool_results(client):
    ask(
        client,
        user("What is the weather in Rome and Atlantis?"),
        types.ModelContent([
            types.Part(text="I look."),
            types.Part.from_function_call(name="weather", args={"city": "Rome"}),
            types.Part.from_function_call(name="weather", args={"city": "Atlantis"}),
        ]),
        user(
            types.Part.from_function_response(name="weather", response={"output": "sunny"}),
            types.Part.from_function_response(name="weather", response={"error": "no such city"}),
        ),
        tools=tools(WEATHER),
    )


def schema(client):
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    ask(client, QUESTION, response_mime_type="application/json", response_json_schema=schema)


def effort(client):
    config = types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH")
    ask(client, QUESTION, model="gemini-3-pro-preview", thinking_config=config)


def budget(client):
    config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
    ask(client, QUESTION, max_output_tokens=4096, thinking_config=config)


def logprobs(client):
    ask(client, QUESTION, response_logprobs=True, logprobs=2)


def round_trip(client):
    config = types.GenerateContentConfig(
        tools=tools(WEATHER),
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level="HIGH"),
    )
    chat = client.chats.create(model="gemini-3-pro-preview", config=config)
    for _ in chat.send_message_stream("What is the weather in Rome?"):
        pass
    result = types.Part.from_function_response(name="weather", response={"output": "sunny"})
    for _ in chat.send_message_stream(result):
        pass
