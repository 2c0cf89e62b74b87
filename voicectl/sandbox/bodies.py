"""Functions that read and write the JSON bodies of requests and responses, with limits on size and depth."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from voicectl import strict_json

MAX_BODY = 1_048_576
MAX_DEPTH = 64
MASK = "***"

MOST_LOGGED = 16_384
"""The maximum size of a request body whose content is logged, in bytes. For larger bodies, only the size is logged.
"""

_SECRETS = {"api_secret", "authorization", "jwt", "password", "private_key", "token"}
_USER_OF_URL = re.compile(r"(://)[^/?#\s]*@")


class UnreadableBody(Exception):
    """Raised if a body is not valid JSON or exceeds a limit. The exception's message gives the reason."""


class BodyTooLarge(Exception):
    """Raised if a body is larger than :data:`MAX_BODY` bytes."""


class Json(Response):
    """A JSON response.

    Non-ASCII characters are escaped, so that a string with a lone surrogate can be returned as it was sent.
    """

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return *content* as JSON text that contains only ASCII characters."""
        return json.dumps(content, separators=(",", ":")).encode()


def parse_json(data: bytes) -> Any:
    """Parse *data* as strict JSON.

    The text must be in UTF-8. It must not contain ``NaN``, or be nested more than :data:`MAX_DEPTH` levels deep.

    Raises:
        UnreadableBody: *data* breaks one of these rules, or is larger than :data:`MAX_BODY` bytes.
    """
    if len(data) > MAX_BODY:
        raise UnreadableBody(f"larger than {MAX_BODY} bytes")
    try:
        value = strict_json.loads(data.decode())
    except (ValueError, RecursionError) as exc:
        raise UnreadableBody("not JSON") from exc
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [each for container in level for each in _contents(container)]
        if not level:
            return value
    raise UnreadableBody(f"nested more than {MAX_DEPTH} levels deep")


def logged(value: Any, size: int) -> Any:
    """Return the log entry for a body.

    The entry is the parsed body with its secrets masked. If the body is large, the entry contains only the size.

    Args:
        value: The parsed body.
        size: The size of the body, in bytes.
    """
    return without_secrets(value) if size <= MOST_LOGGED else f"({size} bytes, not kept)"


def without_secrets(value: Any) -> Any:
    """Return *value* with secrets masked: fields such as ``token``, and the user names and passwords in URLs."""
    match value:
        case list():
            return [without_secrets(each) for each in value]
        case dict():
            return {
                name: MASK if name.lower() in _SECRETS else without_secrets(each)
                for name, each in value.items()
            }
        case str():
            return _USER_OF_URL.sub(rf"\1{MASK}@", value)
    return value


def is_json(request: Request) -> bool:
    """Return True if the Content-Type of *request* is ``application/json``."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


async def read_body(request: Request) -> bytes:
    """Return the whole body of *request*.

    Raises:
        BodyTooLarge: The body is larger than :data:`MAX_BODY` bytes. The rest of the body is not read.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise BodyTooLarge
    return bytes(body)


def _contents(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
