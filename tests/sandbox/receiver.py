"""A web server of the user's: answers as told, path by path, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .parts import Client

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def fields(self) -> dict[str, Any]:
        return json.loads(self.body) if self.body else self.query

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


def raw(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def ncco(*actions: Any) -> Answer:
    return raw(200, json.dumps(actions).encode())


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a byte."""
    handler.close_connection = True


OK = raw(200, b"OK")


class Receiver:
    """The server. Unless :meth:`on` says otherwise each path answers 200.

    Attributes:
        asked: Every request, in the order in which they came.
        url: Its base URL.
        closing: Set at the end: wait for it in order not to answer.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._answers: dict[str, list[Answer]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.asked.append(Asked(self.command, self.path, headers, body))
                receiver._next(urlsplit(self.path).path)(self)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # the sandbox has had enough, and has closed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def on(self, path: str, *answers: Answer) -> str:
        """Have *path* give one answer after the other, and from then on the last; its URL."""
        self._answers[path] = list(answers)
        return self.url + path

    def never(self, handler: BaseHTTPRequestHandler) -> None:
        """Do not answer."""
        self.closing.wait(30)
        handler.close_connection = True

    def at(self, path: str) -> list[Asked]:
        """What was asked there."""
        return [asked for asked in self.asked if asked.path == path]

    def statuses(self, path: str = "/event") -> list[str]:
        """The status of each event that came."""
        return [asked.fields["status"] for asked in self.at(path)]

    def _next(self, path: str) -> Answer:
        answers = self._answers.get(path, [OK])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs while the block does."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def set_up(client: Client, *, signed: bool = False, **urls: str | dict[str, Any]) -> None:
    """Give the application its webhooks: ``answer``, ``event``, ``fallback`` and ``rtc``, each a URL or an object.

    They are set behind the API's back, which would have no time-out of less than a second.
    """
    names = {"answer": "answer_url", "event": "event_url", "fallback": "fallback_answer_url"}
    hooks = {
        names[name]: given if isinstance(given, dict) else {"address": given}
        for name, given in urls.items()
        if name != "rtc"
    }
    capabilities: dict[str, Any] = {"voice": {"webhooks": hooks, "signed_callbacks": signed}}
    if "rtc" in urls:
        capabilities["rtc"] = {
            "webhooks": {"event_url": {"address": urls["rtc"]}},
            "signed_callbacks": signed,
        }
    applications = client.sandbox.applications
    own = applications.by_id[applications.own]
    applications.by_id[own.id] = replace(own, capabilities=capabilities)


def webhooks(client: Client, event: str | None = None) -> list[dict[str, Any]]:
    """The entries of the log for webhooks, of all kinds or of one."""
    found = [entry for entry in client.log() if entry["kind"] == "webhook"]
    return [entry for entry in found if event in (None, entry["event"])]
