"""Replays stored webhooks: sends them again, as they were received."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_from_bytes, urlsplit

from voicectl import strict_json, tokens
from voicectl.errors import InputError, TransportError
from voicectl.webhook.signature import signed_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.api.wire import Wire
    from voicectl.clock import Clock
    from voicectl.core.identity.signature_secrets import Secrets
    from voicectl.store.events import Arrival

    Sign = Callable[[str, bytes, bytes], str]
    """A function that takes a request's method, query and body, and returns a token that signs the request."""

SUCCESSES = range(200, 300)

ANY_ACCOUNT = "voicectl"
"""The API key to put into a token when the account of the signature secret is unknown."""

_QUERY_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))


def signer(secrets: Secrets, application_id: str, clock: Clock) -> Sign:
    """Return a function that signs webhooks with the first of *secrets*."""
    api_key, (secret, *_) = next(iter(secrets.items()))

    def sign(method: str, query: bytes, body: bytes) -> str:
        return tokens.webhook_token(
            signed_content(method, query, body),
            secret=secret,
            api_key=api_key or ANY_ACCOUNT,
            application_id=application_id,
            now=clock.time(),
        )

    return sign


class Sent(NamedTuple):
    """The outcome of replaying a webhook.

    Attributes:
        status: The HTTP status of the response, or None if there was no response.
        trouble: The reason why the replay failed, or None if the webhook was accepted.
    """

    status: int | None
    trouble: str | None


class Replayer:
    """Sends webhooks to one URL, with their original method, query and body. Redirects are not followed.

    Args:
        wire: The connection to the origin of the URL.
        url: The URL to which webhooks are sent. If this URL has a query, the query is put before the
            query of each webhook.
        timeout: The time limit for each webhook, in seconds.
        sign: The function that signs webhooks, or None to send all webhooks unsigned.

    Raises:
        InputError: The URL contains a user name or a password.
    """

    def __init__(self, wire: Wire, url: str, *, timeout: float, sign: Sign | None) -> None:
        self._parts = urlsplit(url)
        if self._parts.username is not None:
            raise InputError("The --to URL contains a user name.", hint="Write it as http://HOST:PORT/PATH.")
        self._wire = wire
        self._timeout = timeout
        self._sign = sign

    def send(self, arrival: Arrival) -> Sent:
        """Send a webhook once, and return the outcome."""
        query = self._query(arrival)
        headers = {"Content-Type": "application/json"} if arrival.body else {}
        if self._sign is not None:
            headers["Authorization"] = f"Bearer {self._sign(arrival.method, query.encode(), arrival.body)}"
        try:
            reply = self._wire.exchange(
                arrival.method,
                self._target(query),
                headers=headers,
                body=arrival.body or None,
                timeout=self._timeout,
                fresh=True,
            )
        except TransportError as exc:
            return Sent(None, exc.message)
        if reply.status in SUCCESSES:
            return Sent(reply.status, None)
        what = "a redirect, which is not followed" if 300 <= reply.status < 400 else "refused"
        return Sent(reply.status, f"the receiver returned {reply.status}: {what}")

    def request(self, arrival: Arrival) -> tuple[str, str, Any]:
        """Return the method, URL and body of the request that sends a webhook.

        The body is a JSON value or, if the webhook's body is not JSON, text. It is None if the webhook has no body.
        """
        text = arrival.body.decode("utf-8", "replace")
        try:
            body = strict_json.loads(text)
        except (ValueError, RecursionError):
            body = text or None
        return arrival.method, self._wire.origin + self._target(self._query(arrival)), body

    def curl(self, arrival: Arrival) -> str:
        """Return a POSIX shell command that sends a webhook without a signature."""
        url = self._wire.origin + self._target(self._query(arrival))
        words = ["curl", "-X", arrival.method, shlex.quote(url)]
        if not arrival.body:
            return " ".join(words)
        words += ["-H", "'Content-Type: application/json'"]
        text = arrival.body.decode("utf-8", "replace")
        if text.isprintable() and text.encode() == arrival.body:
            return " ".join([*words, "--data-raw", shlex.quote(text)])
        octal = "".join(f"\\{byte:03o}" for byte in arrival.body)
        return " ".join(["printf", f"'{octal}'", "|", *words, "--data-binary", "@-"])

    def _query(self, arrival: Arrival) -> str:
        came = quote_from_bytes(arrival.query, safe=_QUERY_CHARACTERS)
        return "&".join(filter(None, [self._parts.query, came]))

    def _target(self, query: str) -> str:
        return (self._parts.path or "/") + (f"?{query}" if query else "")
