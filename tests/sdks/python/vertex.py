"""Gemini on Vertex AI: the same SDK, told another place."""

from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from gemini import *  # noqa: F403


def connect(base_url):
    return genai.Client(
        vertexai=True,
        project="my-project",
        location="us-central1",
        credentials=Credentials(token="key"),
        http_options=types.HttpOptions(base_url=base_url, api_version="v1"),
    )
