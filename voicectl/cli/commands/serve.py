"""``webhook serve``: the receiver, with what this user and application give it."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl.background import Beside
from voicectl.cli import event_options
from voicectl.cli.context import App, current
from voicectl.cli.event_options import Store
from voicectl.cli.output import views
from voicectl.cli.output.background_writer import Outlet
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import Format, Writer
from voicectl.core.identity import account, signature_secrets
from voicectl.core.recordings.downloads import KEPT_SECONDS, Downloader, directory_for, missed
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

    from voicectl.store.events import Arrival, EventStore, Kept

    Say = Callable[[str], None]

MAX_LINES = 10_000
"""How many events may wait to be shown; so ``MAX_REMARKS`` for what is said beside them."""

MAX_REMARKS = 1_000
SHOWING_SECONDS = 1.0
"""How long is waited at the end for what is not shown yet; so ``FETCHING_SECONDS`` for recordings under way."""

FETCHING_SECONDS = 1.0
CHECKING_SECONDS = 1.0
RESTORING_SECONDS = 1.0


def serve(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address of this machine to listen at.")
    ] = server.HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="PORT", help="0: any free one.")
    ] = server.PORT,
    answer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Answer calls with this NCCO, or by these rules (TOML)."),
    ] = None,
    forward_to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Pass each request on to your app, and return its answer."),
    ] = None,
    set_urls: Annotated[
        str | None,
        typer.Option(metavar="PUBLIC_URL", help="Point the application's webhooks here meanwhile."),
    ] = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Keep what nobody vouches for, too.")
    ] = False,
    store: Store = None,
    recordings: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Download each recording that is announced.")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="A proxy, which may have any number of connections. Repeatable."
        ),
    ] = None,
) -> None:
    """Answer calls, and keep every event.

    It serves /webhooks/answer, /webhooks/event, /webhooks/fallback and /webhooks/rtc until Ctrl-C or SIGTERM, and
    tells its state at /healthz and /metrics. An event is acknowledged once it is on disk, and shown as it arrives;
    'webhook list' finds it again. Only what the platform signed is believed: give the account's signature secret to
    the profile (profile add --signature-secret-file FILE), or set VOICECTL_SIGNATURE_SECRET.

    It listens on this machine alone; the platform reaches it through a tunnel or a proxy with TLS. If your app is
    late or wrong with an answer, --answer is served in its place. Without both, events are kept and no call is
    answered; --set-urls leaves the answer URLs alone then.

    If the webhooks that --set-urls took cannot be put back within 5 s at the end, it says how to do that by hand, the
    next start does it, and the exit status is 7 where the API gave no usable answer.

    Examples:
      $ voicectl webhook serve --answer answer.toml
      $ voicectl webhook serve --set-urls https://voice.example.org --recordings recordings -o jsonl
      $ voicectl webhook serve --forward-to "$APP_URL" --answer sorry.json
    """
    app = current(ctx)
    app.refuse_dry_run()
    if app.format is Format.JSON:  # it never ends, so each record is whole
        app.options.output = Format.JSONL
    elif app.format is Format.TABLE and app.options.fields:
        app.options.output = Format.TSV
    out = app.writer(views.EVENT_LINE, is_many=True)
    secrets = signature_secrets.load(app.target.signature)
    if secrets is None and not allow_unsigned:
        raise ConfigError(
            "No signature secret is known, so nobody could tell the platform's webhooks from anybody else's.",
            hint="Store it (profile add --replace NAME ... --signature-secret-file FILE), set"
            " VOICECTL_SIGNATURE_SECRET, or give --allow-unsigned to keep what anybody sends.",
        )
    limiter = ConnectionLimiter(proxies=[_address(each) for each in proxy or ()])
    with ExitStack() as stack:
        say = stack.enter_context(_saying())
        troubles = Warnings(say)
        answers = None if answer is None else Answers(answer, say, allows=_allowed(app))
        forwarder = None
        if forward_to is not None:
            from voicectl.webhook.forward import Forwarder  # noqa: PLC0415 (loads httpx, for this only)

            app.check_reach(forward_to)
            forwarder = Forwarder(forward_to, on_trouble=lambda line: troubles(line, line))
        sock = stack.enter_context(_listening(host, port))
        opened = _open(app, store)
        downloader: Downloader | None = None
        look_back: Callable[[EventStore], None] = _nobody
        if recordings is not None:
            downloader, look_back = _downloader(app, recordings, say, allow_unsigned=allow_unsigned)
            stack.callback(downloader.close, FETCHING_SECONDS)
            for each in opened:
                look_back(each)
        is_answering = answers is not None or forwarder is not None
        application = stack.enter_context(_webhooks(app, set_urls, say, is_answering=is_answering))
        show = stack.enter_context(_showing(out, troubles, say))
        url = server.url(sock)

        def on_kept(pairs: Sequence[tuple[Arrival, Kept]]) -> None:
            for arrival, kept in pairs:
                if kept.outcome is Outcome.NEW:
                    stored = Stored(kept.id, arrival, 0)
                    show(stored)
                    if downloader is not None:
                        downloader.announce(stored)

        def open_store() -> EventStore:
            if opened:
                return opened.pop()
            found = app.events(store)
            look_back(found)  # it could not be used at the start
            return found

        def ready() -> None:
            say(f"Receiving at {url}/webhooks/answer, .../event, .../fallback and .../rtc; Ctrl-C ends it.")
            if not is_answering:
                say("No call is answered here: there is neither --answer nor --forward-to.")
            if secrets is None:
                say("warning: --allow-unsigned and no signature secret: whoever reaches this is believed")
            elif allow_unsigned:
                say("warning: --allow-unsigned: what nobody vouches for is kept too, and marked")

        setup = Settings(
            open_store=open_store,
            spool=app.spool(store),
            verifier=None
            if secrets is None
            else Verifier(secrets, application_id=app.target.application_id, clock=app.clock),
            is_unsigned_allowed=allow_unsigned,
            answers=answers,
            forwarder=forwarder,
            limiter=limiter,
            clock=app.clock,
            on_kept=on_kept,
            warn=troubles,
        )
        with _checking(app, application, say):
            server.serve(setup, sock, ready, echoes=app.interrupts.echoes)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as exc:
        raise InputError(
            f"--proxy: {text!r} is not an address.", hint="Write it as 10.0.0.5 or 2001:db8::5."
        ) from exc


def _allowed(app: App) -> Callable[[ncco.Ncco], None]:
    """Whom answers may dial: the profile says."""
    policy = app.target.policy
    return lambda flow: policy.check_dialled(ncco.dialled(flow))


def _listening(host: str, port: int) -> socket.socket:
    try:
        return server.listen(host, port)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InputError(
            f"{host!r} port {port} cannot be listened at: {why}.",
            hint="Choose another with --port, or --host with an address of this machine.",
        ) from exc


def _open(app: App, store: str | None) -> list[EventStore]:
    """The store; none if it cannot be used yet: the keeper says so, and spools, for calls come in all the same."""
    try:
        return [app.events(store)]
    except StoreError:
        return []


def _downloader(
    app: App, directory: Path, say: Say, *, allow_unsigned: bool
) -> tuple[Downloader, Callable[[EventStore], None]]:
    """What fetches recordings as they are announced, and what has it fetch those that a store tells were missed."""
    directory_for(directory)
    found = Downloader(
        lambda progress: app.fetcher(directory, progress, threaded=True),
        app.clock,
        remark=say,
        on_saved=lambda saved: say(f"fetched {saved.name}"),
        allow_unsigned=allow_unsigned,
    )

    def look_back(store: EventStore) -> None:
        since = app.clock.time() - KEPT_SECONDS
        try:
            for recording in missed(store, directory, since=since, allow_unsigned=allow_unsigned):
                found.add(recording)
        except VoicectlError as exc:  # calls come in all the same
            say(f"warning: {exc.message} What was missed is fetched by 'voicectl recording download'.")

    return found, look_back


def _nobody(_store: EventStore) -> None:
    return


@contextmanager
def _webhooks(
    app: App, public_url: str | None, say: Say, *, is_answering: bool
) -> Iterator[dict[str, Any] | None]:
    """With --set-urls the application as it is meanwhile; what a receiver that was killed left is put back, too.

    Nobody waits for the latter: what it left may lead here, and calls are answered while the API is asked.
    """
    directory, application_id = app.state_directory, app.target.application_id
    if public_url is not None:
        with lease.urls(
            app.application_api(Interrupts()),
            app.clock,
            application_id,
            directory,
            public_url,
            say,
            is_answering=is_answering,
            interrupts=app.interrupts,
        ) as application:
            yield application
        return
    if not lease.is_left(directory):
        yield None
        return

    def restore() -> None:
        try:
            api = app.application_api(Interrupts())
        except VoicectlError as exc:
            say(f"warning: what a receiver left that was killed cannot be put back: {exc.message}")
            return
        with suppress(VoicectlError):  # it says so itself, and the next start tries again
            lease.restore_left(api, app.clock, application_id, directory, say)

    restoring = Beside(restore)
    try:
        yield None
    finally:
        if not restoring.is_done(RESTORING_SECONDS):
            say("warning: what a receiver left that was killed is not put back yet; the next start does that")


@contextmanager
def _checking(app: App, application: dict[str, Any] | None, say: Say) -> Iterator[None]:
    """Meanwhile find out whether the platform signs, where there are credentials for that; nobody waits for it."""
    if application is None and app.target.account.name == account.NOWHERE:
        yield
        return

    def check() -> None:
        with suppress(VoicectlError):  # where it cannot be found out, signatures decide all the same
            found = application or app.applications.get_application(app.target.application_id)
            if any(each["address"] and each["signed_callbacks"] is False for each in webhooks(found)):
                say(
                    "warning: the application's webhooks are not signed. Turn that on: voicectl app urls --signed"
                )

    thread = Thread(target=check, name="check", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(CHECKING_SECONDS)


@contextmanager
def _showing(out: Writer, troubles: Warnings, say: Say) -> Iterator[Callable[[Stored], None]]:
    """What shows events, each in a while: nobody who sends one waits for a terminal or a pipe."""

    def write(batch: list[Stored]) -> None:
        for stored in batch:
            record = event_options.record(stored)
            out.add(record if stored.id else record | {"id": None})  # spooled: its id is not known yet
        out.flush()

    outlet = Outlet(write, most=MAX_LINES)

    def show(stored: Stored) -> None:
        if not outlet.put(stored):
            gone = outlet.failure and (outlet.failure.strerror or "nobody reads them")
            why = f"no longer: {gone}" if gone else "not all of them: whoever reads them is too slow"
            troubles("lines", f"events are kept, and shown {why}")

    try:
        yield show
    finally:
        is_done = outlet.close(SHOWING_SECONDS)
        if outlet.dropped:
            say(f"{outlet.dropped} events were not shown; they are kept: voicectl webhook list")
        if not is_done:
            sys.stdout = None  # whatever else is written to it would wait as well


@contextmanager
def _saying() -> Iterator[Say]:
    """What makes remarks, each in a while."""

    def write(lines: list[str]) -> None:
        for line in lines:
            remark(line)

    outlet = Outlet(write, most=MAX_REMARKS)

    def say(line: str) -> None:
        outlet.put(line)

    try:
        yield say
    finally:
        if not outlet.close(SHOWING_SECONDS):
            sys.stderr = None  # see stdout
