"""The client for a sandbox's control routes, which the ``voicectl sandbox`` commands use."""

from __future__ import annotations

import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from voicectl.api.wire import Wire
from voicectl.core import hosts
from voicectl.errors import (
    ConfigError,
    DryRun,
    GuardError,
    InputError,
    LegError,
    NoAnswer,
    NotFoundError,
    NotSent,
    TransportError,
)
from voicectl.loopback import is_loopback
from voicectl.sandbox_proof import proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.api.replies import Reply

CONTROL_SECONDS = 10.0
ACT_SECONDS = 60.0
"""How long a change may take, in seconds. A sandbox with a frozen clock first sends all webhooks and retries."""

MAX_LOG_BYTES = 1 << 28

_TOO_EARLY = "too-early"
"""The ``code`` in the reply if a leg does not have the necessary status yet."""


class SandboxControl:
    """A client for the control routes of one sandbox.

    Args:
        url: The sandbox's base URL.
        source: The source of the URL, for error messages.
        application_id: The id of the application that the sandbox must serve for changes to be allowed, or None to
            allow changes for any application.
        secret: A function that returns a secret. Changes are allowed only if the sandbox proves that it knows the
            secret. None to require no proof.
        dry_run: True to raise :class:`~voicectl.errors.DryRun` instead of sending a change.

    Raises:
        ConfigError: *url* is not on loopback.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str,
        application_id: str | None = None,
        secret: Callable[[], str] | None = None,
        dry_run: bool = False,
    ) -> None:
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            host = ""
        if not is_loopback(host):
            raise ConfigError(
                f"{source} does not name a loopback address: a sandbox runs only on this machine.",
                hint="Start one: voicectl sandbox start --detach",
            )
        self.url = hosts.base_url(url)
        self._wire = Wire(self.url)
        self._source = source
        self._expected = application_id
        self._secret = secret
        self._dry_run = dry_run

    def identity(self, *, timeout: float = CONTROL_SECONDS) -> dict[str, Any]:
        """Return the identity of the sandbox.

        The result has the fields ``application_id``, ``private_key`` (a path), ``from``, ``api_key``, ``regions``
        (base URLs by region name) and ``answer_url`` (None if the application has no answer URL).

        Raises:
            TransportError: No sandbox answers at the URL.
        """
        return self._identity("/sandbox/identity", timeout)

    def proven_identity(self) -> dict[str, Any]:
        """Return the identity of the sandbox, after the sandbox has proved that it knows the secret.

        The request contains nothing but a random number.

        Raises:
            GuardError: The server does not know the secret, or passes on the replies of a sandbox at another address.
            TransportError: No sandbox answers at the URL.
        """
        nonce = secrets.token_hex(16)
        found = self._identity(f"/sandbox/identity?nonce={nonce}", CONTROL_SECONDS)
        given = str(found.pop("proof", ""))
        if self._secret is None:
            return found
        expected = proof(self._secret(), nonce, found)
        is_here = urlsplit(str(found.get("url", ""))).port == urlsplit(self.url).port
        if not is_here or not hmac.compare_digest(given.encode(), expected.encode()):
            raise GuardError(
                f"The server at {self.url} does not prove that it is your sandbox, so nothing was sent to it.",
                hint="If it is a sandbox of an earlier version, stop it and start it again.",
            )
        return found

    def _identity(self, path: str, timeout: float) -> dict[str, Any]:
        found = self.get(path, timeout=timeout)
        if (
            not isinstance(found, dict)
            or not all(isinstance(found.get(key), str) for key in ("application_id", "private_key", "from"))
            or not isinstance(found.get("regions", {}), dict)
        ):
            raise TransportError(f"The server at {self.url} is not a voicectl sandbox.")
        return found

    def get(self, path: str, *, timeout: float = CONTROL_SECONDS) -> Any:
        """Send a GET request to a control route, and return the JSON value of the reply."""
        return self._read(self._exchange("GET", path, None, timeout))

    def post(self, path: str, body: dict[str, Any] | None = None, *, timeout: float = ACT_SECONDS) -> Any:
        """Send a POST request to a control route, and return the JSON value of the reply.

        Raises:
            DryRun: This is a dry run.
            InputError: The sandbox serves another application, or refused the request.
            LegError, NotFoundError: The sandbox does not have the leg or the other item that the request names.
            TransportError: No sandbox gave a usable answer.
        """
        return self._change("POST", path, body or {}, timeout)

    def delete(self, path: str) -> Any:
        """Send a DELETE request to a control route, and return the JSON value of the reply.

        The errors are the same as for :meth:`post`.
        """
        return self._change("DELETE", path, None, ACT_SECONDS)

    def stop(self) -> bool:
        """Stop the sandbox.

        The errors are the same as for :meth:`post`, except that it is not an error if no sandbox is running.

        Returns:
            True if the sandbox was stopped, False if no sandbox was running.
        """
        try:
            self.post("/sandbox/stop")
        except TransportError as exc:
            if isinstance(exc.__cause__, NotSent):
                return False
            raise
        return True

    def hear(self, leg: str) -> list[dict[str, Any]]:
        """Return what could be heard at the other end of a leg, in chronological order."""
        return list(self.get(f"/sandbox/hear/{quote(leg, safe='')}"))

    def remark(self, leg: str) -> str | None:
        """Return the reason why the flow of a leg did not run as written, or None if there is no such reason."""
        found = self.get(f"/sandbox/remark/{quote(leg, safe='')}")
        return found.get("remark") if isinstance(found, dict) else None

    def log(self) -> Iterator[dict[str, Any]]:
        """Yield the entries in the sandbox's log (requests, webhooks, changes to legs) in chronological order."""
        for line in self._exchange("GET", "/sandbox/log", None, CONTROL_SECONDS).splitlines():
            yield self._read(line)

    def _change(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        if self._dry_run:
            raise DryRun(method, self.url + path, body)
        self._require_own()
        return self._read(self._exchange(method, path, body, timeout))

    def _require_own(self) -> None:
        """Check that the sandbox serves the expected application. Another sandbox may have taken over the port.

        Raises:
            GuardError: The server does not prove that it knows the secret.
            InputError: The sandbox serves another application.
            TransportError: No sandbox answers at the URL.
        """
        if self._secret is not None:
            self.proven_identity()
        if self._expected is None:
            return
        found = self.identity()["application_id"]
        if found != self._expected:
            raise InputError(
                f"{self._source} is for application {self._expected}, but the sandbox at {self.url} serves"
                f" {found}.",
                hint="Start yours on another port: voicectl sandbox start --detach --port 0",
            )

    def _read(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError as exc:
            raise TransportError(f"The server at {self.url} is not a voicectl sandbox.") from exc

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
        except NotSent as exc:
            raise TransportError(
                f"No sandbox answers at {self.url}: {exc}.", hint="Start one: voicectl sandbox start --detach"
            ) from exc
        except NoAnswer as exc:
            hint = (
                "It may be waiting for a webhook reply, and may have made the change. To check: voicectl sandbox"
                " log"
            )
            raise TransportError(
                f"The sandbox at {self.url} gave no usable answer: {exc}.", hint=hint
            ) from exc
        if reply.status < 300:
            return reply.body
        raise _refusal(reply, path)


def _refusal(reply: Reply, path: str) -> InputError | LegError | NotFoundError:
    """Return the error, with a hint, for a reply in which the sandbox refuses a request."""
    try:
        said = json.loads(reply.body)
    except ValueError:
        said = {}
    why = said.get("detail") or said.get("title") or f"status {reply.status}"
    if reply.status == 404 and "candidates" in said:
        return LegError(f"{why}", hint=candidates(said["candidates"]))
    if reply.status == 404 and path.startswith("/sandbox/faults/"):
        return NotFoundError(
            f"The sandbox refused: {why}", status=404, hint="See 'voicectl sandbox fault list'."
        )
    hint = "See 'voicectl sandbox --help'."
    if path == "/sandbox/faults":
        hint = "See 'voicectl sandbox fault add --help'."
    elif said.get("code") == _TOO_EARLY:
        hint = "Wait, or advance the clock of a frozen sandbox: voicectl sandbox advance 5s"
    elif reply.status == 409:
        hint = "To see what happened: voicectl sandbox log"
    return InputError(f"The sandbox refused: {why}", hint=hint)


def candidates(legs: list[dict[str, Any]]) -> str:
    """Format *legs* as one line of text that lists the legs from which the user can choose."""
    shown = [f"{leg.get('uuid')} ({leg.get('status')}, to {leg.get('to')})" for leg in legs[:10]]
    more = f" and {len(legs) - 10} more" if len(legs) > 10 else ""
    return (
        "Live legs: " + ", ".join(shown) + more
        if shown
        else "There are no live legs. See all legs: voicectl call list --all"
    )
