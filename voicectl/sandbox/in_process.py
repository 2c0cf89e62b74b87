"""Requests to a sandbox from another thread of its own process, without a connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Message, Receive, Send

from voicectl.errors import NoAnswer, NotSent
from voicectl.sandbox.http.app import app
from voicectl.sandbox.platform import Sandbox

_HEADERS = ((b"content-type", b"application/json"),)
_PEER = ("127.0.0.1", 0)


class InProcess:
    """Sends requests to a sandbox that is served by another thread. It takes a third of the time of a connection.

    Args:
        sandbox: The sandbox, which is being served.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._app = app(sandbox)
        self._loop = sandbox.loop
        self._address = urlsplit(sandbox.url)

    def __call__(self, method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        """Send a request, and return the status and the body of the response.

        Args:
            path: The path, without a query.
            timeout: The time limit for the response, in seconds.

        Raises:
            NotSent: The sandbox is not served.
            NoAnswer: There was no response in time.
        """
        if self._loop is None or self._loop.is_closed():
            raise NotSent("it has stopped")
        answer = asyncio.run_coroutine_threadsafe(self._answer(method, path, body), self._loop)
        try:
            return answer.result(timeout)
        except TimeoutError as exc:
            answer.cancel()
            raise NoAnswer(f"there was no response within {timeout:g} s") from exc
        except CancelledError as exc:
            raise NoAnswer("it has stopped") from exc

    async def _answer(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        parts: list[Message] = []
        await self._app(self._scope(method, path), _receive_once(body or b""), _append(parts))
        content = b"".join(part.get("body", b"") for part in parts[1:])
        return parts[0]["status"], content

    def _scope(self, method: str, path: str) -> dict[str, Any]:
        host = (b"host", self._address.netloc.encode())
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [host, *_HEADERS],
            "client": _PEER,
            "server": (self._address.hostname, self._address.port),
        }


def _receive_once(body: bytes) -> Receive:
    """Return an ASGI channel with *body*, whose sender then never disconnects."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Future()

    return receive


def _append(parts: list[Message]) -> Send:
    async def send(message: Message) -> None:
        parts.append(message)

    return send
