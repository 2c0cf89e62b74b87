"""The client for a sandbox's control routes, which the ``voicectl sandbox`` commands use."""

from __future__ import annotations

import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple
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

    Send = Callable[[str, str, bytes | None, float], tuple[int, bytes]]

CONTROL_SECONDS = 10.0
ACT_SECONDS = 60.0
"""How long a change may take, in seconds. A sandbox with a frozen clock first sends all webhooks and retries."""

MAX_LOG_BYTES = 1 << 28

_TOO_EARLY = "too-early"
"""The ``code`` in the reply if a leg does not have the necessary status yet."""


class ExpectedSandbox(NamedTuple):
    """The application of a user's own sandbox, and the secret that only this sandbox and the user know."""

    application_id: str
    secret: str


class SandboxControl:
    """A client for the control routes of one sandbox.

    Args:
        url: The sandbox's base URL.
        source: The source of the URL, for error messages.
        expected: A function that returns the sandbox that must respond. Before each change, the server must prove
            that it is this sandbox. If the argument is None, no proof is required.
        dry_run: True to raise :class:`~voicectl.errors.DryRun` instead of sending a change.
        send: A function that takes a method, a path, a body and a time-out in seconds, and returns the status and the
            body of the response. It may raise the same errors as :class:`~voicectl.api.wire.Wire`. If it is None,
            each request is sent over a connection of its own.

    Raises:
        ConfigError: *url* is not on loopback.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str,
        expected: Callable[[], ExpectedSandbox] | None = None,
        dry_run: bool = False,
        send: Send | None = None,
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
        self._send = send or _over_http(self.url)
        self._expected = expected
        self._dry_run = dry_run
        self._is_identified = False

    def identity(self, *, timeout: float = CONTROL_SECONDS) -> dict[str, Any]:
        """Return the identity of the sandbox.

        The result has the fields ``url``, ``application_id``, ``regions`` (base URLs by region name), ``tls_url``
        (None if the sandbox is not served by HTTPS) and ``answer_url`` (None if the application has no answer URL).

        Raises:
            TransportError: No sandbox responds at the URL.
        """
        return self._identity("/sandbox/identity", timeout)

    def prove(self) -> dict[str, Any]:
        """Let the server prove that it is the sandbox that must respond, and return the sandbox's identity.

        Nothing is sent but a random number.

        Raises:
            GuardError: The server is not this sandbox, or passes on the replies of this sandbox from another address.
            TransportError: No sandbox responds at the URL.
        """
        nonce = secrets.token_hex(16)
        found = self._identity(f"/sandbox/identity?nonce={nonce}", CONTROL_SECONDS)
        given = str(found.pop("proof", ""))
        if self._expected is not None:
            application_id, secret = self._expected()
            right = proof(secret, nonce, found)
            is_here = found.get("url") == self.url
            if not is_here or not hmac.compare_digest(given.encode(errors="replace"), right.encode()):
                raise self._foreign(found["application_id"], application_id)
        return found

    def _identity(self, path: str, timeout: float) -> dict[str, Any]:
        try:
            found = self._read(self._exchange("GET", path, None, timeout))
        except (InputError, LegError, NotFoundError):  # the server has no such route
            found = None
        if (
            not isinstance(found, dict)
            or not isinstance(found.get("application_id"), str)
            or not isinstance(found.get("regions", {}), dict)
        ):
            raise self._no_sandbox()
        self._is_identified = True
        return found

    def status(self) -> dict[str, Any]:
        """Return the state of the sandbox.

        Raises:
            TransportError: No sandbox responds at the URL.
        """
        return self._record(self._get("/sandbox/status"))

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults of the sandbox. The errors are the same as for :meth:`status`."""
        return self._records(self._get("/sandbox/faults"))

    def post(self, path: str, body: dict[str, Any] | None = None, *, timeout: float = ACT_SECONDS) -> Any:
        """Send a POST request to a control route, and return the JSON value of the reply.

        Raises:
            DryRun: This is a dry run.
            GuardError: The server does not prove that it is the sandbox that must respond.
            InputError: The sandbox refused the request.
            LegError, NotFoundError: The sandbox does not have the leg or the other item that the request names.
            TransportError: No sandbox gave a usable response.
        """
        return self._change("POST", path, body or {}, timeout)

    def delete(self, path: str) -> Any:
        """Send a DELETE request to a control route, and return the JSON value of the reply.

        The errors are the same as for :meth:`post`.
        """
        return self._change("DELETE", path, None, ACT_SECONDS)

    def stop(self, application_id: str) -> bool:
        """Stop the sandbox if it serves the application *application_id*.

        A proof is not required, since nothing is sent, and a sandbox of an earlier version cannot give it.

        Returns:
            True if the sandbox was stopped, False if no sandbox was running.

        Raises:
            DryRun: This is a dry run.
            GuardError: The sandbox serves another application.
            TransportError: The server gave no usable response.
        """
        path = "/sandbox/stop"
        if self._dry_run:
            raise DryRun("POST", self.url + path, {})
        try:
            found = self.identity()["application_id"]
            if found != application_id:
                raise self._foreign(found, application_id)
            self._exchange("POST", path, {}, ACT_SECONDS)
        except TransportError as exc:
            if isinstance(exc.__cause__, NotSent):
                return False
            raise
        return True

    def hear(self, leg: str) -> list[dict[str, Any]]:
        """Return what could be heard at the other end of a leg, in chronological order."""
        return self._records(self._get(f"/sandbox/hear/{quote(leg, safe='')}"))

    def remark(self, leg: str) -> str | None:
        """Return the reason why the flow of a leg did not run as written, or None if there is no such reason."""
        return self._record(self._get(f"/sandbox/remark/{quote(leg, safe='')}")).get("remark")

    def log(self) -> Iterator[dict[str, Any]]:
        """Yield the entries in the sandbox's log (requests, webhooks, changes to legs) in chronological order."""
        self._identify()
        for line in self._exchange("GET", "/sandbox/log", None, CONTROL_SECONDS).splitlines():
            yield self._record(self._read(line))

    def _get(self, path: str) -> Any:
        """Return the JSON value of a control route, after the server has said that it is a sandbox."""
        self._identify()
        return self._read(self._exchange("GET", path, None, CONTROL_SECONDS))

    def _identify(self) -> None:
        if not self._is_identified:
            self.identity()

    def _change(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        if self._dry_run:
            raise DryRun(method, self.url + path, body)
        if self._expected is not None:
            self.prove()
        return self._read(self._exchange(method, path, body, timeout))

    def _foreign(self, found: str, expected: str) -> GuardError:
        """Return the error for a server that is not the user's sandbox.

        Args:
            found: The id of the application that the server names.
            expected: The id of the application of the user's sandbox.
        """
        message = (
            f"The server at {self.url} does not prove that it is your sandbox, so nothing was sent to it."
        )
        if found == expected:
            hint = (
                "If an earlier version of voicectl started your sandbox, restart it: voicectl sandbox stop,"
                " then start"
            )
            return GuardError(message, hint=hint)
        return GuardError(
            f"{message} It serves application {found}; your sandbox serves {expected}.",
            hint="Start your sandbox on another port: voicectl sandbox start --detach --port 0",
        )

    def _read(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise self._no_sandbox() from exc

    def _record(self, found: Any) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise self._no_sandbox()
        return found

    def _records(self, found: Any) -> list[dict[str, Any]]:
        if not isinstance(found, list):
            raise self._no_sandbox()
        return [self._record(each) for each in found]

    def _no_sandbox(self) -> TransportError:
        return TransportError(f"The server at {self.url} is not a voicectl sandbox.")

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        try:
            status, found = self._send(method, path, content, timeout)
        except NotSent as exc:
            raise TransportError(
                f"No sandbox responds at {self.url}: {exc}.",
                hint="Start one: voicectl sandbox start --detach",
            ) from exc
        except NoAnswer as exc:
            hint = (
                "It may still be waiting for a webhook response, and may already have carried out the request."
                " To check: voicectl sandbox log"
            )
            raise TransportError(
                f"The sandbox at {self.url} gave no usable response: {exc}.", hint=hint
            ) from exc
        if status < 300:
            return found
        raise _refusal(status, found, path)


def _over_http(url: str) -> Send:
    wire = Wire(url)

    def send(method: str, path: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        reply = wire.exchange(
            method, path, headers=headers, body=body, timeout=timeout, fresh=True, max_bytes=MAX_LOG_BYTES
        )
        return reply.status, reply.body

    return send


def _refusal(status: int, body: bytes, path: str) -> InputError | LegError | NotFoundError:
    """Return the error, with a hint, for a response in which the sandbox refuses a request."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = {}
    if not isinstance(said, dict):
        said = {}
    why = said.get("detail") or said.get("title") or f"status {status}"
    legs = said.get("candidates")
    if status == 404 and isinstance(legs, list):
        return LegError(f"{why}", hint=candidates([leg for leg in legs if isinstance(leg, dict)]))
    if status == 404 and path.startswith("/sandbox/faults/"):
        return NotFoundError(
            f"The sandbox refused the request: {why}", status=404, hint="See 'voicectl sandbox fault list'."
        )
    hint = "See 'voicectl sandbox --help'."
    if path == "/sandbox/faults":
        hint = "See 'voicectl sandbox fault add --help'."
    elif said.get("code") == _TOO_EARLY:
        hint = "Wait, or advance the clock of a frozen sandbox: voicectl sandbox advance 5s"
    elif status == 409:
        hint = "To see what happened: voicectl sandbox log"
    return InputError(f"The sandbox refused the request: {why}", hint=hint)


def candidates(legs: list[dict[str, Any]]) -> str:
    """Format *legs* as one line of text that lists the legs from which the user can choose."""
    shown = [f"{leg.get('uuid')} ({leg.get('status')}, to {leg.get('to')})" for leg in legs[:10]]
    more = f" and {len(legs) - 10} more" if len(legs) > 10 else ""
    return (
        "Live legs: " + ", ".join(shown) + more
        if shown
        else "There are no live legs. See all legs: voicectl call list --all"
    )
