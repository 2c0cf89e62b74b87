"""Checking the account's key and secret, which the Application API takes in place of a token.

Source: Vonage documentation on authentication: Basic, and one method at a time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from voicectl.sandbox.account.identity import Identity

_SCHEME = "basic "
_IN_QUERY = ("api_key", "api_secret")


def signs_twice(request: Request) -> bool:
    """Whether *request* carries more than one kind of credentials, or one twice."""
    headers = request.headers.getlist("authorization")
    return len(headers) + any(name in request.query_params for name in _IN_QUERY) > 1


def is_account(request: Request, identity: Identity) -> bool:
    """Whether *request* carries the account's key and secret. How long that takes tells nothing about either."""
    sent = request.headers.get("authorization", "")
    if sent[: len(_SCHEME)].lower() != _SCHEME or not identity.api_secret:
        return False
    try:
        pair = base64.b64decode(sent[len(_SCHEME) :].strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(pair, f"{identity.api_key}:{identity.api_secret}".encode())
