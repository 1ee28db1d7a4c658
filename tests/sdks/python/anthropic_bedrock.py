"""Claude on Amazon Bedrock in Anthropic's own format: Anthropic's SDK, told another place."""

from anthropic import AnthropicBedrock

from anthropic_messages import *  # noqa: F403


def connect(base_url):
    return AnthropicBedrock(
        aws_region="us-east-1", aws_access_key="AKIDEXAMPLE", aws_secret_key="secret", base_url=base_url
    )


# Bedrock fetches no images.
del image_url  # noqa: F821
