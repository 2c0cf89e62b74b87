"""A web server for tests: returns canned answers for each path, and records the requests."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tests.sandbox.parts import Client
from tests.support.servers import Answer, Canned, Drip, Request, reply

OK = reply(200, b"OK")
HANG_UP = b""
"""Answer that closes the connection without a byte."""

NEVER = None
"""Answer that never comes."""


def ncco(*actions: Any) -> bytes:
    return reply(200, actions)


class Receiver(Canned):
    """A receiver that answers 200 on each path unless :meth:`on` sets another answer; functions run in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._by_path: dict[str, list[Answer | None]] = {}
        self._planned: dict[str, tuple[Answer | None, ...]] = {}
        self._threads = ThreadPoolExecutor(32, "receiver")

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._threads.shutdown()

    def on(self, path: str, *answers: Answer | None) -> str:
        """Make *path* give each answer in turn, then repeat the last one; return its URL."""
        self._by_path[path] = list(answers)
        self._planned[path] = answers
        return self.url + path

    def planned(self, path: str, number: int) -> Answer | None:
        """Return the answer to a request to *path*, given how many requests to *path* came before."""
        answers = self._planned.get(path, (OK,))
        return answers[min(number, len(answers) - 1)]

    def at(self, path: str) -> list[Request]:
        """Return the requests to *path*."""
        return [request for request in self.requests if request.path == path]

    def statuses(self, path: str = "/event") -> list[str]:
        """Return the status of each event received."""
        return [request.fields["status"] for request in self.at(path)]

    async def answer(self, request: Request) -> bytes | Drip:
        answers = self._by_path.get(request.path, [OK])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if callable(answer):
            return await asyncio.get_running_loop().run_in_executor(self._threads, answer, request)
        assert answer is not None
        return answer


def set_up(client: Client, *, signed: bool = False, **urls: str | dict[str, Any]) -> None:
    """Set the application's webhooks: ``answer``, ``event``, ``fallback`` and ``rtc``, each a URL or an object.

    This bypasses the API, which allows no time-out of less than a second.
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
    """Return the log entries of webhooks, of all kinds or one, once all are sent or have failed."""
    client.settle()
    found = [entry for entry in client.log() if entry["kind"] == "webhook"]
    return [entry for entry in found if event in (None, entry["event"])]
