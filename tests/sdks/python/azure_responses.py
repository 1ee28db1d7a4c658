"""Responses on Azure OpenAI without an API version: OpenAI's SDK, told another place."""

from openai import OpenAI

from openai_responses import *  # noqa: F403


def connect(base_url):
    return OpenAI(api_key="", base_url=f"{base_url}/openai/v1", default_headers={"api-key": "key"})
