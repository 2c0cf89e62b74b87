"""Sets up a receiver from the options of ``webhook serve`` and the application's resources, and runs it."""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from voicectl import http_server
from voicectl.background import BackgroundThread
from voicectl.core.identity import account, signature_secrets
from voicectl.core.recordings.downloads import Downloader, directory_for
from voicectl.core.webhooks import lease
from voicectl.core.webhooks.application import webhooks
from voicectl.errors import ConfigError, InputError, StoreError, VoicectlError
from voicectl.interrupts import Interrupts
from voicectl.store import receiver_lock
from voicectl.store.events import Outcome, Stored
from voicectl.voice import ncco
from voicectl.webhook import server
from voicectl.webhook.answers import Answers
from voicectl.webhook.connection_limits import ConnectionLimiter
from voicectl.webhook.settings import Settings
from voicectl.webhook.signature import Verifier
from voicectl.webhook.warnings import Warnings

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from voicectl.api.applications import ApplicationApi
    from voicectl.clock import Clock
    from voicectl.core.identity.policy import Policy
    from voicectl.core.identity.target import Target
    from voicectl.core.recordings.fetch import Fetcher, Progress
    from voicectl.core.webhooks.lease_record import Lease
    from voicectl.store.events import Arrival, EventStore, Kept
    from voicectl.store.events_spool import Spool
    from voicectl.webhook.forward import Forwarder

    Secrets = Callable[[], Mapping[str | None, tuple[str, ...]]]
    Say = Callable[[str], None]
    Showing = Callable[[Warnings], AbstractContextManager[Callable[[Stored], None]]]

FETCHING_SECONDS = 1.0
"""How long to wait, when the receiver ends, for recordings that are still being fetched, in seconds."""

CHECKING_SECONDS = 1.0
RESTORING_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of ``webhook serve``.

    Attributes:
        host: The address to listen on.
        port: The port to listen on.
        answer: The file with the NCCO or the rules that answer calls, or None to answer no calls.
        forward_to: The URL of the user's own app, or None to forward nothing.
        public_url: The URL to which the application's webhooks are set, or None to leave them unchanged.
        allow_unsigned: True to accept unsigned webhooks as well.
        store: The URL of the event store, or None for the default store.
        recordings: The directory in which recordings are saved, or None to fetch no recordings.
        proxies: The IP addresses of the proxies in front of the receiver.
    """

    host: str
    port: int
    answer: Path | None
    forward_to: str | None
    public_url: str | None
    allow_unsigned: bool
    store: str | None
    recordings: Path | None
    proxies: Sequence[str]


class Resources(Protocol):
    """The clock, credentials, state and API clients that a receiver needs."""

    clock: Clock
    interrupts: Interrupts

    @property
    def target(self) -> Target:
        """The application whose webhooks are received, and its credentials."""

    @property
    def state_directory(self) -> Path:
        """The directory that contains the application's state."""

    def events(self, store: str | None) -> EventStore:
        """Open the event store with the URL *store*, or the default store, and return it."""

    def spool(self, store: str | None) -> Spool:
        """Return the spool, which keeps events while the event store cannot be used."""

    def application_api(self, interrupts: Interrupts) -> ApplicationApi:
        """Return a client for the Application API, for use in one thread."""

    def fetcher(self, directory: Path, on_progress: Progress | None, *, threaded: bool = False) -> Fetcher:
        """Return a fetcher that saves recordings to *directory*, for use in one thread."""


def serve(options: ServeOptions, resources: Resources, say: Say, showing: Showing) -> None:
    """Receive webhooks until the process receives a signal to stop.

    Args:
        say: A function that is called with each message for the user, from any thread. It must not block.
        showing: A function that returns a context manager. The context manager yields a callback, which is called
            with each new event and must not block.

    Raises:
        VoicectlError: An option is invalid, or the application's webhooks cannot be set or restored.
    """
    target, clock = resources.target, resources.clock
    allow_unsigned = options.allow_unsigned
    secrets = _secrets(target, is_needed=not allow_unsigned)
    limiter = ConnectionLimiter(proxies=[_address(each) for each in options.proxies])
    warn = Warnings(say)
    answers = _answers(options.answer, target.policy, say) if options.answer is not None else None
    forwarder = _forwarder(options, options.forward_to, resources, warn) if options.forward_to else None
    is_answering = answers is not None or forwarder is not None
    with ExitStack() as stack:
        sock = stack.enter_context(_listening(options.host, options.port))
        stack.enter_context(receiver_lock.receiving(resources.state_directory))
        opened = _opened(resources, options.store)
        downloader: Downloader | None = None
        if options.recordings is not None:
            downloader = _downloader(options.recordings, resources, say, allow_unsigned=allow_unsigned)
            stack.callback(downloader.close, FETCHING_SECONDS)
            for store in opened:
                downloader.add_missed(store)
        application = stack.enter_context(
            _webhooks(options.public_url, resources, say, forwarder, is_answering=is_answering)
        )
        show = stack.enter_context(showing(warn))
        stack.enter_context(_checking_signing(resources, application, say))

        def open_store() -> EventStore:
            if opened:
                return opened.pop()
            store = resources.events(options.store)
            if downloader is not None:
                downloader.add_missed(store)
            return store

        def on_kept(pairs: Sequence[tuple[Arrival, Kept]]) -> None:
            for arrival, kept in pairs:
                if kept.outcome is Outcome.NEW:
                    stored = Stored(kept.id, arrival, 0)
                    show(stored)
                    if downloader is not None:
                        downloader.announce(stored)

        verifier = secrets and Verifier(secrets, application_id=target.application_id, now=clock.time)
        settings = Settings(
            open_store=open_store,
            spool=resources.spool(options.store),
            verifier=verifier,
            is_unsigned_allowed=allow_unsigned,
            public_host=urlsplit(options.public_url).hostname if options.public_url else None,
            answers=answers,
            forwarder=forwarder,
            limiter=limiter,
            clock=clock,
            on_kept=on_kept,
            warn=warn,
        )
        server.serve(settings, sock, partial(_greet, settings, sock, say), echoes=resources.interrupts.echoes)


def _greet(settings: Settings, sock: socket.socket, say: Say) -> None:
    url = http_server.url(sock)
    say(f"Receiving at {url}/webhooks/answer, .../event, .../fallback and .../rtc; press Ctrl-C to stop.")
    if settings.answers is None and settings.forwarder is None:
        say("Calls are not answered: neither --answer nor --forward-to is given.")
    if settings.verifier is None:
        say(
            "warning: --allow-unsigned without a signature secret: requests from anyone who can reach this port are"
            " accepted"
        )
    elif settings.is_unsigned_allowed:
        say("warning: --allow-unsigned: unsigned events are stored too, and marked as such")


def _opened(resources: Resources, store: str | None) -> list[EventStore]:
    """Return a list with the open event store, or an empty list if the store cannot be opened."""
    try:
        return [resources.events(store)]
    except StoreError:
        return []


def _secrets(target: Target, *, is_needed: bool) -> Secrets | None:
    secrets = signature_secrets.load(target.signature)
    if secrets is None and is_needed:
        raise ConfigError(
            "No signature secret is known, so the platform's webhooks cannot be verified.",
            hint="Store it (voicectl profile add --replace NAME ... --signature-secret-file FILE), set"
            " VOICECTL_SIGNATURE_SECRET, or use --allow-unsigned to accept unsigned webhooks too.",
        )
    return secrets


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as exc:
        raise InputError(
            f"--proxy: {text!r} is not an IP address.",
            hint="Write an IP address, such as 10.0.0.5 or 2001:db8::5.",
        ) from exc


def _answers(path: Path, policy: Policy, say: Say) -> Answers:
    """Return the answers in the file *path*, after checking that they dial only numbers that *policy* allows."""
    return Answers(path, say, allows=lambda flow: policy.check_dialled(ncco.dialled(flow)))


def _forwarder(options: ServeOptions, url: str, resources: Resources, warn: Warnings) -> Forwarder:
    from voicectl.webhook.forward import Forwarder  # noqa: PLC0415 (this import loads httpx)

    resources.target.check_reach(url)
    scheme = urlsplit(options.public_url).scheme if options.public_url else None
    return Forwarder(url, on_trouble=lambda line: warn(line, line), scheme=scheme)


def _listening(host: str, port: int) -> socket.socket:
    try:
        return server.listen(host, port)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(
            f"Cannot listen on {host!r} port {port}: {why}.",
            hint="Choose another port with --port, or an address of this machine with --host.",
        ) from exc


def _downloader(directory: Path, resources: Resources, say: Say, *, allow_unsigned: bool) -> Downloader:
    return Downloader(
        directory_for(directory),
        lambda progress: resources.fetcher(directory, progress, threaded=True),
        resources.clock,
        remark=say,
        on_saved=lambda saved: say(f"fetched {saved.name}"),
        allow_unsigned=allow_unsigned,
    )


@contextmanager
def _webhooks(
    public_url: str | None,
    resources: Resources,
    say: Say,
    forwarder: Forwarder | None,
    *,
    is_answering: bool,
) -> Iterator[dict[str, Any] | None]:
    """Lease the webhooks. If *public_url* is None, restore the webhooks that a killed receiver leased, if any.

    With a public URL, this yields what :func:`.lease.urls` yields; without one, it yields None. Until the webhooks
    that a killed receiver leased are restored, calls may still arrive here. They are therefore restored in a thread
    of their own, so that the ``with`` block can answer these calls. The forwarder is given the URLs that the
    application had before.
    """

    def on_lease(taken: Lease) -> None:
        if forwarder is not None:
            forwarder.follow(taken.earlier)

    clock, application_id = resources.clock, resources.target.application_id
    directory = resources.state_directory
    if public_url is not None:
        with lease.urls(
            resources.application_api(Interrupts()),
            clock,
            application_id,
            directory,
            public_url,
            say,
            is_answering=is_answering,
            interrupts=resources.interrupts,
            on_lease=on_lease,
        ) as application:
            yield application
        return
    if not lease.is_left(directory):
        yield None
        return

    def restore() -> None:
        try:
            api = resources.application_api(Interrupts())
        except VoicectlError as exc:
            say(
                "warning: the webhooks changed by a receiver that was killed cannot be restored:"
                f" {exc.message}"
            )
            return
        with suppress(VoicectlError):  # restore_left reports the error, and the next start tries again
            lease.restore_left(api, clock, application_id, directory, say)

    restoring = BackgroundThread(restore)
    try:
        yield None
    finally:
        if not restoring.is_done(RESTORING_SECONDS):
            say(
                "warning: the webhooks changed by a receiver that was killed are not restored yet; the next"
                " 'voicectl webhook serve' tries again"
            )


@contextmanager
def _checking_signing(resources: Resources, application: dict[str, Any] | None, say: Say) -> Iterator[None]:
    """Warn the user if the platform does not sign the application's webhooks.

    A thread checks this while the ``with`` block runs, unless there are no credentials for the API.
    """
    target = resources.target
    if application is None and target.account.name == account.NOWHERE:
        yield
        return

    def check() -> None:
        with suppress(VoicectlError):  # only a warning is lost: signatures are verified in any case
            found = application
            if found is None:
                found = resources.application_api(Interrupts()).get_application(target.application_id)
            if any(each["address"] and each["signed_callbacks"] is False for each in webhooks(found)):
                say(
                    "warning: the application's webhooks are not signed. Turn signing on: voicectl app urls --signed"
                )

    checking = BackgroundThread(check)
    try:
        yield
    finally:
        if checking.is_done(CHECKING_SECONDS):
            checking.wait()
