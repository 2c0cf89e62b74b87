"""Serving an ASGI application of a test on a loopback port, from a thread."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass
class Served:
    """An application that is served, and the requests it received.

    Attributes:
        asked: Path and fields of each request, from the query or the JSON body.
    """

    url: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def fields(self, path: str) -> list[dict[str, Any]]:
        return [fields for asked, fields in self.asked if asked == path]


@contextmanager
def serving(make: Callable[[str], ASGIApp]) -> Iterator[Served]:
    """Serve the application that *make* returns for the base URL."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        served = Served(url=f"http://127.0.0.1:{sock.getsockname()[1]}")
        config = uvicorn.Config(
            _Recorded(make(served.url), served), lifespan="off", log_config=None, ws="none", loop="asyncio"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
        thread.start()
        try:
            yield served
        finally:
            server.should_exit = True
            thread.join()


class _Recorded:
    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        fields = json.loads(body) if body else dict(parse_qsl(scope["query_string"].decode()))
        self._served.asked.append((scope["path"], fields))
        replayed = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Any:
            return replayed.pop() if replayed else await receive()

        await self._app(scope, replay, send)
