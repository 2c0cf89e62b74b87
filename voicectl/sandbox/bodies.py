"""Bodies: JSON in, bounded in size and depth, and JSON out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY = 1_048_576
MAX_DEPTH = 64
MASK = "***"


class UnreadableBody(Exception):
    """Not JSON that we would read; the message says why."""


class BodyTooLarge(Exception):
    """More than :data:`MAX_BODY` bytes."""


class Json(Response):
    """A JSON answer, all ASCII: text that came in with half a surrogate pair goes out as it came."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See :class:`starlette.responses.Response`."""
        return json.dumps(content, separators=(",", ":")).encode()


def parse_json(data: bytes) -> Any:
    """Read *data* strictly: UTF-8, no ``NaN``, at most :data:`MAX_DEPTH` deep.

    Raises:
        UnreadableBody: It is something else.
    """
    if len(data) > MAX_BODY:
        raise UnreadableBody(f"larger than {MAX_BODY} bytes")
    try:
        value = json.loads(data.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise UnreadableBody("not JSON") from exc
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [each for container in level for each in _contents(container)]
        if not level:
            return value
    raise UnreadableBody(f"nested more than {MAX_DEPTH} deep")


def without_secrets(value: Any) -> Any:
    """*value* as the log may show it: what signs a WebSocket in is masked, wherever it stands."""
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: {**each, "value": MASK} if _is_authorization(name, each) else without_secrets(each)
        for name, each in value.items()
    }


def _is_authorization(name: str, value: object) -> bool:
    return name == "authorization" and isinstance(value, dict) and "value" in value


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: It is longer than :data:`MAX_BODY`; the rest of it is not read.
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


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
