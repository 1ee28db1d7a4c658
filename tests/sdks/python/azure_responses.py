"""Responses on Azure OpenAI without an API version: OpenAI's SDK, told another place."""

from openai import OpenAI

from openai_responses import *  # noqa: F403


def connect(base_url):
    # The key goes as a bearer token, too, which Azure takes as well.
    return OpenAI(api_key="key", base_url=f"{base_url}/openai/v1", default_headers={"api-key": "key"})
