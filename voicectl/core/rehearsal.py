"""Talking to a sandbox: who it is, and the control routes behind ``voicectl sandbox ...``."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlsplit

from voicectl.api.wire import NoAnswer, NotSent, Wire
from voicectl.core import guards
from voicectl.errors import ConfigError, DryRun, InputError, LegError, TransportError
from voicectl.loopback import is_loopback

CONTROL_SECONDS = 10.0
MAX_LOG_BYTES = 1 << 28


class SandboxControl:
    """The control routes of one sandbox.

    Args:
        url: Its base URL.
        source: Where the URL came from, for errors.
        dry_run: Raise :class:`~voicectl.errors.DryRun` instead of sending anything that changes something.

    Raises:
        ConfigError: *url* is not loopback: a rehearsal reaches nothing else.
    """

    def __init__(self, url: str, *, source: str, dry_run: bool = False) -> None:
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            host = ""
        if not is_loopback(host):
            raise ConfigError(
                f"{source} is not a loopback address: a sandbox is on this machine.",
                hint="Start one: voicectl sandbox start --detach",
            )
        self.url = guards.base_url(url)
        self._wire = Wire(self.url)
        self._dry_run = dry_run

    def identity(self) -> dict[str, Any]:
        """``application_id``, ``private_key`` (a path), ``from``, ``api_key``; ``regions``: their base URLs, by name.

        Raises:
            TransportError: No sandbox answers there.
        """
        found = self.get("/sandbox/identity")
        if (
            not isinstance(found, dict)
            or not all(isinstance(found.get(key), str) for key in ("application_id", "private_key", "from"))
            or not isinstance(found.get("regions", {}), dict)
        ):
            raise TransportError(f"What answers at {self.url} is not a voicectl sandbox.")
        return found

    def get(self, path: str, *, timeout: float = CONTROL_SECONDS) -> Any:
        """Read a control route."""
        return self._ask("GET", path, timeout=timeout)

    def post(self, path: str, body: dict[str, Any] | None = None, *, timeout: float = CONTROL_SECONDS) -> Any:
        """Ask for something.

        Raises:
            DryRun: Nothing may be sent.
        """
        if self._dry_run:
            raise DryRun("POST", self.url + path, body or {})
        return self._ask("POST", path, body or {}, timeout=timeout)

    def delete(self, path: str) -> Any:
        """Take something back; raises as :meth:`post`."""
        if self._dry_run:
            raise DryRun("DELETE", self.url + path, None)
        return self._ask("DELETE", path)

    def hear(self, leg: str) -> list[dict[str, Any]]:
        """What a leg's party heard, in order."""
        return list(self.get(f"/sandbox/hear/{quote(leg, safe='')}"))

    def log(self) -> bytes:
        """Every request and every move of a leg, in order, as JSON lines."""
        return self._exchange("GET", "/sandbox/log", None, CONTROL_SECONDS)

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout: float = CONTROL_SECONDS
    ) -> Any:
        content = self._exchange(method, path, body, timeout)
        try:
            return json.loads(content)
        except ValueError as exc:
            raise TransportError(f"What answers at {self.url} is not a voicectl sandbox.") from exc

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            reply = self._wire.exchange(
                method,
                path,
                headers=headers,
                body=content,
                timeout=timeout,
                fresh=True,
                max_bytes=MAX_LOG_BYTES,
            )
        except (NotSent, NoAnswer) as exc:
            raise TransportError(
                f"No sandbox answers at {self.url}: {exc}.", hint="Start one: voicectl sandbox start --detach"
            ) from exc
        if reply.status < 300:
            return reply.body
        try:
            said = json.loads(reply.body)
        except ValueError:
            said = {}
        why = said.get("detail") or said.get("title") or f"status {reply.status}"
        if reply.status == 404 and "candidates" in said:
            raise LegError(f"{why}", hint=candidates(said["candidates"]))
        raise InputError(f"The sandbox refused: {why}", hint="See 'voicectl sandbox --help'.")


def candidates(legs: list[dict[str, Any]]) -> str:
    """A line that lists legs to choose from."""
    shown = [f"{leg.get('uuid')} ({leg.get('status')}, to {leg.get('to')})" for leg in legs[:10]]
    more = f" and {len(legs) - 10} more" if len(legs) > 10 else ""
    return "Live legs: " + ", ".join(shown) + more if shown else "No leg is live: voicectl call list --all"
