"""Run ministack with two things as they are in AWS, which it leaves out.

GuardDuty's findings: ministack has no GuardDuty, and PutEvents refuses sources that begin with `aws.`, as AWS does. Here
a test may play its part.
Web identity tokens: ministack signs them with HS256 and names no key; AWS signs with RS256, which Entra insists on.
"""

import base64
import inspect
import json
import re
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from ministack.app import main
from ministack.services import eventbridge, sts

_ISSUER = "https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_TOKEN = re.compile(rb"[\w-]{10,}\.([\w-]{10,})\.[\w-]{10,}")


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _sign_as_aws(token: re.Match[bytes]) -> bytes:
    claims = json.loads(base64.urlsafe_b64decode(token[1] + b"=="))
    header = {"alg": "RS256", "kid": "RSA_0", "typ": "JWT"}
    parts = [json.dumps(part).encode() for part in (header, claims | {"iss": _ISSUER})]
    text = b".".join(_encode(part) for part in parts)
    return text + b"." + _encode(_KEY.sign(text, padding.PKCS1v15(), SHA256()))


def let_tests_play_guardduty() -> None:
    """Let PutEvents take sources of AWS."""
    if inspect.signature(eventbridge._put_events).parameters["allow_aws_source"].default is not False:
        raise SystemExit("this version of ministack is not the one in requirements-local.txt")
    eventbridge._put_events.__defaults__ = (True,)


def sign_tokens_as_aws() -> None:
    """Sign web identity tokens anew on their way out."""
    answer = sts.handle_request

    async def signed(*arguments: Any, **named: Any) -> Any:
        status, headers, body = await answer(*arguments, **named)
        content = body.encode() if isinstance(body, str) else body
        if b"WebIdentityToken" in content:
            content = _TOKEN.sub(_sign_as_aws, content)
        return status, headers, content

    sts.handle_request = signed


if __name__ == "__main__":
    let_tests_play_guardduty()
    sign_tokens_as_aws()
    main()
