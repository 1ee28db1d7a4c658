"""OpenAI's Responses."""

from openai import OpenAI

MODEL = "gpt-4.1"
QUESTION = {"role": "user", "content": "Why is the sky blue?"}
WEATHER_QUESTION = {"role": "user", "content": "What is the weather in Rome?"}
# Unlike chat completions this API is strict unless told otherwise.
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Looks outside.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
NOW = {
    "type": "function",
    "name": "now",
    "description": "Tells the time.",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def connect(base_url):
    return OpenAI(api_key="key", base_url=f"{base_url}/v1")


def ask(client, *items, model=MODEL, **fields):
    client.responses.create(model=model, input=items, store=False, stream=True, **fields)


def show(client, text, part):
    ask(client, {"role": "user", "content": [{"type": "input_text", "text": text}, part]})


def plain(client):
    ask(client, QUESTION)


def turns(client):
    answer = {"role": "assistant", "content": "Scattering."}
    ask(client, QUESTION, answer, {"role": "user", "content": "And at dusk?"}, instructions="Be brief.")


def sampling(client):
    ask(client, QUESTION, instructions="Be brief.", temperature=0.5, top_p=0.9, max_output_tokens=100)


def penalties(client):
    ask(client, QUESTION)


def image(client):
    url = "data:image/png;base64,iVBORw0KGgo="
    show(client, "What is this?", {"type": "input_image", "image_url": url, "detail": "auto"})


def image_url(client):
    url = "https://example.com/cat.png"
    show(client, "What is this?", {"type": "input_image", "image_url": url, "detail": "auto"})


def file(client):
    data = "data:application/pdf;base64,JVBERi0="
    show(client, "Sum it up.", {"type": "input_file", "filename": "paper.pdf", "file_data": data})


def tool_forced(client):
    choice = {"type": "function", "name": "weather"}
    ask(client, WEATHER_QUESTION, tools=[WEATHER, NOW], tool_choice=choice, parallel_tool_calls=False)


def tool_required(client):
    ask(client, WEATHER_QUESTION, tools=[WEATHER, NOW], tool_choice="required")


def tool_results(client):
    ask(
        client,
        {"role": "user", "content": "What is the weather in Rome and Atlantis?"},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "callRome1", "name": "weather", "arguments": '{"city":"Rome"}'},
        {"type": "function_call", "call_id": "callAtla2", "name": "weather", "arguments": '{"city":"Atlantis"}'},
        {"type": "function_call_output", "call_id": "callRome1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "callAtla2", "output": "no such city"},
        tools=[WEATHER],
    )


def schema(client):
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    format = {"type": "json_schema", "name": "answer", "strict": True, "schema": schema}
    ask(client, QUESTION, text={"format": format})


def effort(client):
    ask(
        client,
        QUESTION,
        model="gpt-5",
        reasoning={"effort": "high", "summary": "auto"},
        include=["reasoning.encrypted_content"],
    )


def budget(client):
    ask(client, QUESTION, max_output_tokens=4096)


def logprobs(client):
    ask(client, QUESTION, include=["message.output_text.logprobs"], top_logprobs=2)


def round_trip(client):
    fields = {
        "model": "gpt-5",
        "tools": [WEATHER],
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    items = [WEATHER_QUESTION]
    with client.responses.stream(input=items, **fields) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_response()
    items += answer.output
    items.append({"type": "function_call_output", "call_id": answer.output[-1].call_id, "output": "sunny"})
    client.responses.create(input=items, stream=True, **fields)
