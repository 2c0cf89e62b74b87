"""Sessions with the API's hosts. A session is authenticated as an application or as the application's account."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.api.auth import Bearer
from voicectl.api.client import VoiceApi
from voicectl.api.session import WAIT_BUDGET_SECONDS, Session
from voicectl.api.wire import Wire
from voicectl.core.identity.profiles import SANDBOX
from voicectl.interrupts import Interrupts
from voicectl.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voicectl.api.auth import Credentials
    from voicectl.api.session import Limiter
    from voicectl.clock import Clock
    from voicectl.core.identity.target import Target
    from voicectl.store.rate_limiter import RateLimiter


@dataclass(kw_only=True)
class Sessions:
    """Creates the sessions of one command, which share the rate limiter, the options and the clock offset.

    Attributes:
        target: The application and host on which the command acts.
        timeout: How long a request may take, in seconds.
        dry_run: True if the command is a dry run.
        offset: How far the API's clock is ahead of this machine's clock, in seconds, as last measured.
        on_offset: A function that is called with the new offset whenever the offset has changed.
        identify: A function that returns a description of the application and its key, for error messages.
        debug: A function that is called with one line of text for every request and reply.
        closing: An exit stack that closes the connections when the command ends.
    """

    target: Target
    environ: Mapping[str, str]
    clock: Clock
    interrupts: Interrupts
    rate_limiter: RateLimiter
    timeout: float
    dry_run: bool
    offset: float
    on_offset: Callable[[float], None]
    identify: Callable[[], str]
    debug: Callable[[str], None]
    closing: ExitStack
    _known: dict[str, Session] = field(default_factory=dict, init=False)

    def bearer(self, target: Target) -> Bearer:
        """Return credentials for *target*'s application. They must be used in one thread only."""
        return Bearer(target.application_id, target.load_key, self.clock, offset=self.offset)

    @property
    def home(self) -> Session:
        """The session with the base URL's host, authenticated as the application."""
        return self.at(self.target.base_url)

    def at(self, origin: str) -> Session:
        """Return the session with the host at *origin*, authenticated as the application."""
        if origin not in self._known:
            self._known[origin] = self.make(origin, self._bearer, self.identify)
        return self._known[origin]

    @contextmanager
    def reader(self, origin: str, target: Target | None = None) -> Iterator[VoiceApi]:
        """Yield an API client for reads in another thread.

        The client is authenticated as *target*'s application, or as the command's application if *target* is None.
        """
        bearer = self._bearer if target is None else self.bearer(target)
        with ExitStack() as closing:
            yield VoiceApi(
                self.make(origin, bearer, str, interrupts=Interrupts(), target=target, closing=closing)
            )

    def make(
        self,
        origin: str,
        credentials: Credentials,
        identify: Callable[[], str],
        *,
        interrupts: Interrupts | None = None,
        target: Target | None = None,
        closing: ExitStack | None = None,
        limiter: Limiter | None = None,
        wait_budget: float = WAIT_BUDGET_SECONDS,
    ) -> Session:
        """Return a new session with the host at *origin*.

        Args:
            identify: A function that returns a description of the credentials, for error messages.
            interrupts: The object that handles signals, or None to use the command's own object. A session that is
                used outside the main thread needs a separate object, since signals arrive only in the main thread.
            target: The target whose credentials these are, or None for the command's target.
            closing: The stack that closes the connection, or None to close it when the command ends.
            limiter: The rate limiter for the session's requests, or None for the command's own.
            wait_budget: The longest time to wait for the rate limiter and after 429 responses, in seconds.
        """
        target = target or self.target
        is_sandbox = target.profile == SANDBOX and is_loopback(urlsplit(origin).hostname or "")
        return Session(
            self.wire(origin, ca_file=target.ca_file, closing=closing),
            credentials,
            limiter or self.rate_limiter,
            self.clock,
            request_timeout=self.timeout,
            dry_run=self.dry_run,
            identify=identify,
            absence_hint="Start the sandbox: voicectl sandbox start --detach" if is_sandbox else None,
            on_clock_offset=self.on_offset,
            debug=self.debug,
            interrupts=interrupts or self.interrupts,
            before_first=None if target.prove is None else partial(target.prove, origin),
            wait_budget=wait_budget,
        )

    def wire(self, origin: str, *, ca_file: str | None = None, closing: ExitStack | None = None) -> Wire:
        """Return an unauthenticated connection to the host at *origin*.

        Args:
            ca_file: A file of CA certificates for TLS, or None to use the file of the command's target.
            closing: The stack that closes the connection, or None to close it when the command ends.
        """
        wire = Wire(origin, ca_file=ca_file or self.target.ca_file, environ=self.environ)
        (closing or self.closing).callback(wire.close)
        return wire

    @cached_property
    def _bearer(self) -> Bearer:
        return self.bearer(self.target)
