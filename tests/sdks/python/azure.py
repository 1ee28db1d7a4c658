"""Azure OpenAI with the date of an API version: OpenAI's SDK, told another place."""

from openai import AzureOpenAI

from openai_chat import *  # noqa: F403


def connect(base_url):
    return AzureOpenAI(api_key="key", azure_endpoint=base_url, api_version="2025-04-01-preview")
