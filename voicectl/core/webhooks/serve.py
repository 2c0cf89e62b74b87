"""A receiver put together from what its user asks for and what their application gives it, and run until a signal."""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from voicectl import http_server
from voicectl.background import Beside
from voicectl.core.identity import account, signature_secrets
from voicectl.core.recordings.downloads import Downloader, directory_for
from voicectl.core.webhooks import lease
from voicectl.core.webhooks.application import webhooks
from voicectl.errors import ConfigError, InputError, StoreError, VoicectlError
from voicectl.interrupts import Interrupts
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
    from voicectl.store.events import Arrival, EventStore, Kept
    from voicectl.store.events_spool import Spool
    from voicectl.webhook.forward import Forwarder

    Secrets = Callable[[], Mapping[str | None, tuple[str, ...]]]
    Say = Callable[[str], None]
    Showing = Callable[[Warnings], AbstractContextManager[Callable[[Stored], None]]]

FETCHING_SECONDS = 1.0
"""How long is waited at the end for recordings under way."""

CHECKING_SECONDS = 1.0
RESTORING_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of ``webhook serve``.

    Attributes:
        answer: The NCCO, or the rules, that answer calls.
        forward_to: The URL of the user's own app.
        public_url: Where the platform reaches the receiver, if the application's webhooks are to be set to it.
        store: The URL of the store of events.
        recordings: The directory for recordings.
        proxies: The addresses of proxies.
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
    """The user's and the application's: state, credentials and APIs."""

    clock: Clock
    interrupts: Interrupts

    @property
    def target(self) -> Target:
        """The application to act on."""

    @property
    def state_directory(self) -> Path:
        """Where the application's state is kept."""

    def events(self, store: str | None) -> EventStore:
        """Open the store of events."""

    def spool(self, store: str | None) -> Spool:
        """Return where events are put aside while their store cannot be used."""

    def application_api(self, interrupts: Interrupts) -> ApplicationApi:
        """Return the Application API, for one thread."""

    def fetcher(self, directory: Path, on_progress: Progress | None, *, threaded: bool = False) -> Fetcher:
        """Return what fetches recordings, for one thread."""

    def check_reach(self, url: str) -> None:
        """Refuse a URL that may not be sent to."""


def serve(options: ServeOptions, resources: Resources, say: Say, showing: Showing) -> None:
    """Receive webhooks until a signal.

    Args:
        say: Takes remarks, from any thread; returns at once.
        showing: Gives what takes each new event, and returns at once, for as long as it is entered.

    Raises:
        VoicectlError: An option is wrong, or the application's webhooks cannot be set or put back.
    """
    target, clock = resources.target, resources.clock
    allow_unsigned = options.allow_unsigned
    secrets = _secrets(target, is_needed=not allow_unsigned)
    limiter = ConnectionLimiter(proxies=[_address(each) for each in options.proxies])
    warn = Warnings(say)
    answers = _answers(options.answer, target.policy, say) if options.answer is not None else None
    forwarder = _forwarder(options.forward_to, resources, warn) if options.forward_to is not None else None
    is_answering = answers is not None or forwarder is not None
    with ExitStack() as stack:
        sock = stack.enter_context(_listening(options.host, options.port))
        opened = _opened(resources, options.store)
        downloader: Downloader | None = None
        if options.recordings is not None:
            downloader = _downloader(options.recordings, resources, say, allow_unsigned=allow_unsigned)
            stack.callback(downloader.close, FETCHING_SECONDS)
            for store in opened:
                downloader.add_missed(store)
        application = stack.enter_context(
            _webhooks(options.public_url, resources, say, is_answering=is_answering)
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
    say(f"Receiving at {url}/webhooks/answer, .../event, .../fallback and .../rtc; Ctrl-C ends it.")
    if settings.answers is None and settings.forwarder is None:
        say("No call is answered here: there is neither --answer nor --forward-to.")
    if settings.verifier is None:
        say("warning: --allow-unsigned and no signature secret: whoever reaches this is believed")
    elif settings.is_unsigned_allowed:
        say("warning: --allow-unsigned: what nobody vouches for is kept too, and marked")


def _opened(resources: Resources, store: str | None) -> list[EventStore]:
    """The store; none if it cannot be used yet: the writer says so, and spools, for calls come in all the same."""
    try:
        return [resources.events(store)]
    except StoreError:
        return []


def _secrets(target: Target, *, is_needed: bool) -> Secrets | None:
    secrets = signature_secrets.load(target.signature)
    if secrets is None and is_needed:
        raise ConfigError(
            "No signature secret is known, so nobody could tell the platform's webhooks from anybody else's.",
            hint="Store it (profile add --replace NAME ... --signature-secret-file FILE), set"
            " VOICECTL_SIGNATURE_SECRET, or give --allow-unsigned to keep what anybody sends.",
        )
    return secrets


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as exc:
        raise InputError(
            f"--proxy: {text!r} is not an address.", hint="Write it as 10.0.0.5 or 2001:db8::5."
        ) from exc


def _answers(path: Path, policy: Policy, say: Say) -> Answers:
    """The NCCOs of *path*, which dial only whom the profile allows."""
    return Answers(path, say, allows=lambda flow: policy.check_dialled(ncco.dialled(flow)))


def _forwarder(url: str, resources: Resources, warn: Warnings) -> Forwarder:
    from voicectl.webhook.forward import Forwarder  # noqa: PLC0415 (loads httpx, for this only)

    resources.check_reach(url)
    return Forwarder(url, on_trouble=lambda line: warn(line, line))


def _listening(host: str, port: int) -> socket.socket:
    try:
        return server.listen(host, port)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(
            f"{host!r} port {port} cannot be listened at: {why}.",
            hint="Choose another with --port, or --host with an address of this machine.",
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
    public_url: str | None, resources: Resources, say: Say, *, is_answering: bool
) -> Iterator[dict[str, Any] | None]:
    """Give with --set-urls the application as it is meanwhile; what a receiver that was killed left is put back, too.

    Nobody waits for the latter: what it left may lead here, and calls are answered while the API is asked.
    """
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
            say(f"warning: what a receiver left that was killed cannot be put back: {exc.message}")
            return
        with suppress(VoicectlError):  # it says so itself, and the next start tries again
            lease.restore_left(api, clock, application_id, directory, say)

    restoring = Beside(restore)
    try:
        yield None
    finally:
        if not restoring.is_done(RESTORING_SECONDS):
            say("warning: what a receiver left that was killed is not put back yet; the next start does that")


@contextmanager
def _checking_signing(resources: Resources, application: dict[str, Any] | None, say: Say) -> Iterator[None]:
    """Meanwhile find out whether the platform signs, where there are credentials for that; nobody waits for it."""
    target = resources.target
    if application is None and target.account.name == account.NOWHERE:
        yield
        return

    def check() -> None:
        with suppress(VoicectlError):  # where it cannot be found out, signatures decide all the same
            found = application
            if found is None:
                found = resources.application_api(Interrupts()).get_application(target.application_id)
            if any(each["address"] and each["signed_callbacks"] is False for each in webhooks(found)):
                say(
                    "warning: the application's webhooks are not signed. Turn that on: voicectl app urls --signed"
                )

    checking = Beside(check)
    try:
        yield
    finally:
        if checking.is_done(CHECKING_SECONDS):
            checking.wait()
