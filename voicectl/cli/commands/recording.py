"""``recording``: list and download recordings and transcriptions."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli import errors
from voicectl.cli.arguments import check_conversation, check_once, grouped
from voicectl.cli.context import App, current
from voicectl.cli.options import events as event_options
from voicectl.cli.options.events import Store
from voicectl.cli.options.listing import ListOptions
from voicectl.cli.output import writer
from voicectl.cli.output.text import has_screen, is_terminal, may_color
from voicectl.cli.output.writer import View
from voicectl.cli.targets import stop, stops_all
from voicectl.core.history import is_conversation
from voicectl.core.recordings.announcement import UUID_FORM, Recording, announced, announcements, file_id
from voicectl.core.recordings.checksums import Manifest
from voicectl.core.recordings.downloads import KINDS, directory_for, missed
from voicectl.core.recordings.file_urls import file_url, is_same
from voicectl.errors import DryRun, InputError, VoicectlError
from voicectl.store.events import Query
from voicectl.voice.call import is_leg_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voicectl.cli.output.progress import Bars
    from voicectl.core.recordings.fetch import Fetcher, Saved
    from voicectl.store.events import EventStore, Stored

RECORDING = View(
    columns=(
        "recording_uuid",
        "start_time",
        "end_time",
        "size",
        "conversation_uuid",
        "recording_url",
        "transcription_url",
        "file",
    ),
    more=("transcription_file", "received_at", "signed"),
    id="recording_uuid",
    times=frozenset({"start_time", "end_time"}),
    utc_times=frozenset({"received_at"}),
    table=("recording_uuid", "start_time", "size", "file", "conversation_uuid"),
)
FILE = View(
    columns=("recording_uuid", "file", "size", "sha256", "outcome"),
    id="file",
    table=("file", "size", "outcome", "recording_uuid"),
)


@grouped
def list_(
    ctx: typer.Context,
    conversation: Annotated[
        str | None, typer.Option(metavar="CON-ID", help="List only recordings of this conversation.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="List only recordings reported at or after this time.")
    ] = None,
    store: Store = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Show which recordings are in this directory.")
    ] = None,
    *,
    listing: ListOptions,
) -> None:
    """List the recordings reported by stored events.

    The list comes from the events that 'webhook serve' stored: the platform cannot list recordings. TIME is an RFC
    3339 timestamp or a relative time: 10m means 10 minutes ago.

    Examples:
      $ voicectl recording list
      $ voicectl recording list --since 1h --dir recordings
    """
    app = current(ctx)
    with app.terminal.writer(RECORDING, is_many=True) as out:
        kept = event_options.open_store(app, store)
        query = Query(
            kinds=KINDS,
            conversation=None if conversation is None else _conversation(kept, conversation),
            since=None if since is None else event_options.parse_time(app, since),
        )
        manifest = Manifest(directory or Path())
        records = _records(() if kept is None else kept.find(query))
        for record in records:
            uuid = str(record.pop("id"))
            if directory is not None:
                for name, is_transcription in (("file", False), ("transcription_file", True)):
                    listed = manifest.find(uuid, is_transcription)
                    record[name] = listed.name if listed and (directory / listed.name).exists() else None
        for record in listing.arrange(records, RECORDING, is_newest_last=True):
            out.add(record)


def _conversation(kept: EventStore | None, text: str) -> str:
    return check_conversation(text, lambda id_: kept is not None and is_conversation(kept, id_))


def download(
    ctx: typer.Context,
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL|UUID...]",
            help="A recording_uuid, a file's id or its URL; - reads a list from standard input.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Save to this directory, creating it if necessary.")
    ] = Path(),
    store: Store = None,
) -> None:
    """Download recordings and transcriptions.

    Without an argument, the command downloads every file that an event reported and that is not yet in DIR. Files are
    named START_CONVERSATION_UUID.EXTENSION: the recording's start, its conversation's id, the recording's id, and the
    file type. If no event reported a file, START is the time that the server gives for it; if the server gives no
    time, the name is UUID.EXTENSION. Complete files are listed in SHA256SUMS, for 'sha256sum -c'. A file in
    SHA256SUMS is downloaded again only if you deleted it and give it as an argument. Nothing is overwritten, and an
    interrupted download is resumed. voicectl sends its token only to the API's own hosts and those given with
    'profile add --host'.

    Examples:
      $ voicectl recording download --dir recordings
      $ voicectl recording list -q --since 1h | voicectl recording download -
    """
    app = current(ctx)
    named = check_once(list(which or ()))
    is_many = len(named) != 1 or "://" not in named[0]
    with app.consent.writer(FILE, is_many=is_many) as out:
        named = app.legs.words(named)
        kept = event_options.open_store(app, store, is_needed=not which)
        if which:
            wanted = _find(app, kept, named)
        else:
            wanted = [] if kept is None else missed(kept, directory, allow_unsigned=True)
        if app.options.dry_run:
            _show(app, wanted)
            return
        directory_for(directory)
        bars = _bars(app, len(wanted))
        fetcher = app.fetcher(directory, None if bars is None else bars.update)
        _fetch_each(app, fetcher, wanted, out, bars, is_many=is_many, is_named=bool(which))


def _fetch_each(
    app: App,
    fetcher: Fetcher,
    wanted: Sequence[Recording],
    out: writer.Writer,
    bars: Bars | None,
    *,
    is_many: bool,
    is_named: bool,
) -> None:
    """Download the files one after another. If one fails, continue, unless the credentials were refused."""
    statuses: list[int] = []
    for recording in wanted:
        shown = recording.id or recording.url
        try:
            app.interrupts.check()
            with nullcontext() if bars is None else bars.showing(shown):
                saved = fetcher.fetch(recording, is_wanted=is_named)
        except VoicectlError as exc:
            if stops_all(exc):
                stop(app, exc, statuses)
            if not is_many:
                raise
            app.report(exc, shown)
            statuses.append(errors.exit_status(exc))
        else:
            out.add(_record(saved))
            out.flush()
    if statuses:
        raise typer.Exit(errors.combined_status(statuses, len(wanted)))


def _record(saved: Saved) -> dict[str, Any]:
    return {
        "recording_uuid": saved.uuid,
        "file": saved.name,
        "size": saved.size,
        "sha256": saved.sha256,
        "outcome": saved.outcome,
    }


def _find(app: App, kept: EventStore | None, named: Sequence[str]) -> list[Recording]:
    """Return the files that the arguments *named* stand for.

    Each argument is the id of a recording, which stands for all of its files, or the id or URL of a single file.
    A file can be named even if no event has reported it.

    Raises:
        InputError: An argument is neither a UUID nor a URL.
    """
    known = [] if kept is None else announced(kept.find(Query(kinds=KINDS)))
    found: dict[tuple[str, bool | None], Recording] = {}
    for name in map(str.strip, named):
        if "://" in name:
            meant = [each for each in known if is_same(each.url, name)]
        elif not is_leg_id(name) or "-" not in name:
            raise InputError(f"{name!r} is not the id or the URL of a recording.", hint=UUID_FORM)
        else:
            uuid = name.lower()
            meant = [each for each in known if each.uuid == uuid]
            meant = meant or [each for each in known if file_id(each.url) == uuid]
        url = name if "://" in name else f"{app.target.base_url}/v1/files/{name}"
        for each in meant or [Recording(url=url)]:
            found.setdefault(each.key, each)
    return list(found.values())


def _show(app: App, wanted: Iterable[Recording]) -> None:
    """Print the request for each file as a curl command. Refuse URLs to which no token may be sent."""
    for recording in wanted:
        place = file_url(recording.url, app.target.hosts)
        app.consent.show_request(DryRun("GET", place.origin + place.path, None))


def _records(kept: Iterable[Stored]) -> list[dict[str, Any]]:
    """Return one record for each recording, including its transcription.

    ``signed`` is true if every event about the recording or its transcription is signed.
    """
    found: dict[str, dict[str, Any]] = {}
    for recording, stored in announcements(kept):
        names = ("transcription_url",) if recording.is_transcription else RECORDING.columns[:6]
        fields = stored.arrival.fields
        announced_fields = {name: fields[name] for name in names if fields.get(name) is not None}
        first = {
            "id": recording.key[0],
            "recording_uuid": fields.get("recording_uuid"),
            "conversation_uuid": fields.get("conversation_uuid"),
            "received_at": times.utc(stored.arrival.received),
            "signed": True,
        }
        known = found.setdefault(recording.key[0], first)
        known |= announced_fields | {"signed": known["signed"] and recording.is_signed}
    return list(found.values())


def _bars(app: App, count: int) -> Bars | None:
    """Return progress bars, or None if there are no files or the output is not a terminal that can show bars."""
    is_seen = is_terminal(sys.stdout) and is_terminal(sys.stderr)
    if not count or not is_seen or not has_screen(app.environ, sys.stderr):
        return None
    from voicectl.cli.output.progress import Bars  # noqa: PLC0415 (loads rich, on a terminal only)

    return Bars(sys.stderr, count, is_colored=may_color(app.environ, sys.stderr))
