"""AWS signatures: botocore says whether one is right."""

import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "secret"


def is_right(request):
    """Whether botocore would have signed the same headers and the same body with the same signature."""
    authorization = request.headers.get("authorization", "")
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\S+), ?SignedHeaders=(\S+), ?Signature=(\w+)", authorization)
    if not match or not match[1].startswith(f"{ACCESS_KEY}/"):
        return False
    _, _, region, service, _ = match[1].split("/")
    signed = {name: request.headers[name] for name in match[2].split(";")}
    url = f"http://{request.headers['host']}{request.raw_path}"
    again = AWSRequest(request.method, url, signed, request.raw_body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), service, region)
    string = signer.string_to_sign(again, signer.canonical_request(again))
    return signer.signature(string, again) == match[3]
