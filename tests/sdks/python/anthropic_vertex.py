"""Claude on Vertex AI: Anthropic's SDK, told another place."""

from anthropic import AnthropicVertex

from anthropic_messages import *  # noqa: F403


def connect(base_url):
    return AnthropicVertex(
        region="us-central1", project_id="my-project", access_token="key", base_url=f"{base_url}/v1"
    )
