"""``webhook serve``: the receiver, with what this user and application give it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli import event_options
from voicectl.cli.context import current
from voicectl.cli.event_options import Store
from voicectl.cli.output.background_writer import BackgroundWriter
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import Writer
from voicectl.core.webhooks import serve as receiver
from voicectl.core.webhooks.serve import ServeOptions
from voicectl.webhook import server

if TYPE_CHECKING:
    from voicectl.store.events import Stored
    from voicectl.webhook.warnings import Warnings

    Say = Callable[[str], None]

MAX_LINES = 10_000
"""How many events may wait to be shown; so ``MAX_REMARKS`` for what is said beside them."""

MAX_REMARKS = 1_000
SHOWING_SECONDS = 1.0
"""How long is waited at the end for what is not shown yet."""


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
    app.consent.refuse_dry_run()
    out = event_options.event_writer(app)
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
    with _saying() as say:
        receiver.serve(options, app, say, partial(_showing, out, say))


@contextmanager
def _showing(out: Writer, say: Say, warn: Warnings) -> Iterator[Callable[[Stored], None]]:
    """What shows events, each in a while: nobody who sends one waits for a terminal or a pipe."""

    def write(batch: list[Stored]) -> None:
        for stored in batch:
            record = event_options.event_record(stored)
            out.add(record if stored.id else record | {"id": None})  # spooled: its id is not known yet
        out.flush()

    outlet = BackgroundWriter(write, most=MAX_LINES)

    def show(stored: Stored) -> None:
        if not outlet.put(stored):
            gone = outlet.failure and (outlet.failure.strerror or "nobody reads them")
            why = f"no longer: {gone}" if gone else "not all of them: whoever reads them is too slow"
            warn("lines", f"events are kept, and shown {why}")

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

    outlet = BackgroundWriter(write, most=MAX_REMARKS)

    def say(line: str) -> None:
        outlet.put(line)

    try:
        yield say
    finally:
        if not outlet.close(SHOWING_SECONDS):
            sys.stderr = None  # see stdout
