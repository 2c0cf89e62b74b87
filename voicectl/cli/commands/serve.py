"""``webhook serve``: run the webhook receiver for the current user and application."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli.context import current
from voicectl.cli.options import events as event_options
from voicectl.cli.options.events import AllEvents, EventWriter, Store
from voicectl.cli.output.background_writer import BackgroundWriter
from voicectl.cli.output.text import remark
from voicectl.core.webhooks import serve as receiver
from voicectl.core.webhooks.serve import ServeOptions
from voicectl.webhook import server
from voicectl.webhook.connection_limits import Limits

if TYPE_CHECKING:
    from types import FrameType

    from voicectl.clock import Clock
    from voicectl.store.events import Stored
    from voicectl.webhook.warnings import Warnings

    Say = Callable[[str], None]

MAX_LINES = 10_000
"""The greatest number of events that can wait to be shown. The limit for remarks is ``MAX_REMARKS``."""

MAX_REMARKS = 1_000
SHOWING_SECONDS = 1.0
"""How long the command waits for the remaining output before ending, in seconds."""


def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen on this local address.")] = server.HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="PORT", help="Listen on this port (0: any free port).")
    ] = server.PORT,
    answer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Answer calls with the NCCO in this JSON file, or by the rules in this TOML file, which"
            " select an NCCO for each call (see 'voicectl help answer-rules').",
        ),
    ] = None,
    forward_to: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Forward each request to your server at this URL, and return its response."
        ),
    ] = None,
    set_urls: Annotated[
        str | None,
        typer.Option(
            metavar="PUBLIC_URL", help="Point the application's webhooks to this URL while serving."
        ),
    ] = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Also accept unsigned webhooks.")
    ] = False,
    store: Store = None,
    recordings: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Download each new recording to this directory.")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help=f"Address of your reverse proxy, which is exempt from the limit of {Limits().per_address}"
            " connections per address. Repeatable.",
        ),
    ] = None,
    all_events: AllEvents = False,
) -> None:
    r"""Receive webhooks: answer calls, and store every event.

    voicectl serves /webhooks/answer, /webhooks/event, /webhooks/fallback and /webhooks/rtc until Ctrl-C or SIGTERM,
    and reports the receiver's state at /healthz and /metrics. Each event is written to disk, then acknowledged and
    printed; 'webhook list' shows it later. Only signed webhooks are accepted: add the account's signature secret to
    the profile with 'profile add --signature-secret-file FILE', or set VOICECTL_SIGNATURE_SECRET.

    By default, the receiver listens on the loopback interface only; the platform reaches it through a tunnel or a
    proxy with TLS. With --forward-to, signed requests, including those to other paths, are forwarded to your server.
    The --answer file is then a fallback: it is used if your server responds late, with an error or with an invalid
    NCCO. If no rule in the --answer file matches, the platform receives your server's own response. With neither
    option, events are stored but calls are not answered, and --set-urls does not change the answer URLs.

    On exit, voicectl restores the webhooks that --set-urls changed. If it cannot do so within 5 s, it prints the
    command to restore them, and tries again when 'webhook serve' is next started; the exit status is 7 if the API
    gave no usable response.

    Examples:
      $ voicectl webhook serve --answer answer.toml
      $ voicectl webhook serve --set-urls https://voice.example.org \
          --recordings recordings -o jsonl
      $ voicectl webhook serve --forward-to "$APP_URL" --answer sorry.json
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    out = event_options.event_writer(app, all_events=all_events)
    options = ServeOptions(
        host=host,
        port=port,
        answer=answer,
        forward_to=forward_to,
        public_url=set_urls,
        allow_unsigned=allow_unsigned,
        store=store,
        recordings=recordings,
        proxies=proxy or (),
    )
    with _saying() as say, _suspendable(app.clock):
        receiver.serve(options, app, say, partial(_showing, out, say))


@contextmanager
def _showing(out: EventWriter, say: Say, warn: Warnings) -> Iterator[Callable[[Stored], None]]:
    """Yield a function that prints events in the background.

    Because of this, a slow terminal or pipe does not delay the acknowledgement of webhooks.
    """

    def write(batch: list[Stored]) -> None:
        for stored in batch:
            out.add(stored)
        out.flush()

    outlet = BackgroundWriter(write, most=MAX_LINES)

    def show(stored: Stored) -> None:
        if not outlet.put(stored):
            gone = outlet.failure and (outlet.failure.strerror or "nothing is reading the output")
            why = (
                f"events are no longer shown: {gone}"
                if gone
                else "some events are not shown: the output is being read too slowly"
            )
            warn("lines", f"{why}; all events are stored")

    try:
        yield show
    finally:
        is_done = outlet.close(SHOWING_SECONDS)
        if outlet.dropped:
            say(f"Events stored but not shown: {outlet.dropped}. To list them: voicectl webhook list")
        if not is_done:
            sys.stdout = None  # further writes would block as well


@contextmanager
def _saying() -> Iterator[Say]:
    """Yield a function that writes remarks to standard error in the background."""

    def write(lines: list[str]) -> None:
        for line in lines:
            remark(line)

    outlet = BackgroundWriter(write, most=MAX_REMARKS)

    def say(line: str) -> None:
        outlet.put(line)

    try:
        yield say
    finally:
        if not outlet.close(SHOWING_SECONDS):
            sys.stderr = None  # further writes would block as well


@contextmanager
def _suspendable(clock: Clock) -> Iterator[None]:
    """Let Ctrl-Z suspend the receiver. Warn that it receives nothing and, afterwards, say how long this lasted."""

    def suspend(_signum: int, _frame: FrameType | None) -> None:
        remark("No webhooks will be received until you resume this command (fg).")
        since = clock.monotonic()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # this returns once the shell continues the process
        signal.signal(signal.SIGTSTP, suspend)
        remark(f"Receiving again after {clock.monotonic() - since:.0f} s.")

    if (before := signal.getsignal(signal.SIGTSTP)) is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
