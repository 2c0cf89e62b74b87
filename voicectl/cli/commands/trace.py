"""``trace``: show what happened to a leg or in a conversation, in order."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voicectl import times
from voicectl.cli.arguments import LEG_FORMS, check_conversation
from voicectl.cli.context import App, current
from voicectl.cli.output.fields import find, parse_fields
from voicectl.cli.output.ladder import ladder
from voicectl.cli.output.text import remark, to_json
from voicectl.cli.output.writer import Format, View
from voicectl.core.history import is_conversation
from voicectl.core.timeline.gaps import Gap
from voicectl.core.timeline.sources import NO_STORE, Gathered, Gatherer, kept_legs
from voicectl.errors import InputError, JournalError, StoreError
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicectl.cli.output.ladder import Ladder
    from voicectl.core.timeline.order import Step, Trace
    from voicectl.store.events import EventStore
    from voicectl.store.journal import Journal
    from voicectl.voice.call import Call

VIEW = View(
    columns=("at", "uuid", "who", "what", "source", "detail", "conversation_uuid", "events"),
    more=("known_by", "outcome", "reference", "repeats", "reordered", "facts"),
    utc_times=frozenset({"at"}),
)
GAP = "gap"


def trace(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="LEG|CON-ID",
            help=f"The leg, live or ended: {LEG_FORMS}; or a conversation's id, from 'conversation list'.",
            show_default=False,
        ),
    ],
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also save the diagram in this new file, as SVG.")
    ] = None,
    all_events: Annotated[
        bool,
        typer.Option("--all-events", help="Also show each RTC event that repeats another entry."),
    ] = False,
) -> None:
    """Show what happened to a leg or in a conversation, in order.

    The trace combines the API's records, the events that 'webhook serve' stored, the journal of calls created on this
    machine, and the log of actions taken from this machine; each line names its source. The trace includes the legs
    that shared a conversation with the leg. An RTC event that repeats another entry is shown as part of that entry. A
    gap marks something that must or may have happened, but that no source reports.

    On a terminal, the trace is a ladder diagram with a lane for each leg. In a pipe, or with -o jsonl, the output has
    one line per entry or gap; with -o json, it is one object with legs, entries and gaps. The trace shows only how
    many keys were pressed and how many words were spoken; to read the keys and words, look up the event by its id in
    'webhook list'. -q prints the ids of the legs. --svg does not overwrite an existing file.

    Examples:
      $ voicectl trace "$LEG"
      $ voicectl trace "$CONVERSATION" -o json
      $ voicectl trace "$LEG" --svg incident.svg
    """
    app = current(ctx)
    if svg is not None:
        _check_new(svg)
    out = app.terminal.writer(VIEW, is_many=True)
    found, what = _gathered(app, which)
    traced, records = found.trace(all_events=all_events), found.records()
    for gap in found.gaps:
        if gap.what != NO_STORE:
            remark(f"warning: {gap.detail}")
    if svg is not None:
        title = f"Trace of {what}, made {times.utc(app.clock.time())}"
        _write_svg(svg, ladder(traced, records), title, is_dry=app.options.dry_run)
    if app.options.quiet:
        with out:
            for leg in traced.legs:
                out.add({"uuid": leg})
    elif app.terminal.format is Format.JSON:
        app.terminal.write(to_json(_object(traced, records, app.options.fields), indent=2) + "\n")
    elif app.terminal.format.is_table and not app.options.fields:
        from voicectl.cli.output import ladder_text  # noqa: PLC0415 (for a ladder only)

        shown = ladder(traced, records, is_local=app.terminal.is_local)
        width = shutil.get_terminal_size().columns
        colored, cut = app.terminal.may_color, app.terminal.cut
        app.terminal.write(ladder_text.draw(shown, width, is_colored=colored, cut=cut))
    else:
        with out:
            for line in traced.lines():
                out.add(_gap_row(line, records) if isinstance(line, Gap) else _entry(line, records))


def _gathered(app: App, which: str) -> tuple[Gathered, str]:
    """Return everything known about the leg or conversation that *which* names, and its full id."""
    gaps: list[Gap] = []
    events = _events(app, gaps)
    conversation = _conversation(events, which) if which.strip().upper().startswith("CON-") else None
    journal = _journal(app, gaps)
    gatherer = Gatherer(app.api, app.clock, app.action_log, events=events, journal=journal, gaps=gaps)
    if conversation is not None:
        return gatherer.of_conversation(conversation), conversation
    uuid = app.legs.any_leg(which, *(() if events is None else (partial(kept_legs, events),)))
    return gatherer.of_leg(uuid), uuid


def _conversation(events: EventStore | None, which: str) -> str:
    """Return the conversation id *which*. An id of an unusual form must be in *events*."""

    def is_known(text: str) -> bool:
        with suppress(StoreError):  # the gatherer reports it
            return events is not None and is_conversation(events, text)
        return False

    return check_conversation(which, is_known)


def _events(app: App, gaps: list[Gap]) -> EventStore | None:
    """Return the event store, or None. If the store exists but is unusable, add a gap to *gaps*."""
    try:
        return app.event_store
    except StoreError as exc:
        gaps.append(Gap(what="events", detail=exc.message))
        return None


def _journal(app: App, gaps: list[Gap]) -> Journal | None:
    """Return the journal, or None if it does not exist. If it is unusable, add a gap to *gaps* and return None."""
    if not (app.state_directory / "journal.db").exists():
        return None
    try:
        return app.journal
    except JournalError as exc:
        gaps.append(Gap(what="journal", detail=exc.message))
        return None


def _object(traced: Trace, records: Mapping[str, Call], fields: str | None) -> dict[str, Any]:
    """Return the trace as one record.

    Args:
        fields: The value of ``--fields``, which selects fields of the entries, or None.
    """
    entries = [_entry(step, records) for step in traced.steps]
    if fields:
        paths = parse_fields(fields)
        entries = [{path: find(entry, path) for path in paths} for entry in entries]
    return {
        "legs": [records[leg].raw if leg in records else {"uuid": leg} for leg in traced.legs],
        "entries": entries,
        "gaps": [
            {"at": _time(gap.at), "uuid": gap.uuid, "what": gap.what, "detail": gap.detail, "before": place}
            for place, gap in traced.gaps
        ],
    }


def _entry(step: Step, records: Mapping[str, Call]) -> dict[str, Any]:
    happening = step.happening
    uuid = happening.uuid
    return {
        "at": _time(happening.at),
        "known_by": _time(happening.by),
        "uuid": uuid,
        "who": None if uuid is None else endpoint.far_end(records.get(uuid)),
        "what": happening.what,
        "source": ", ".join(happening.sources),
        "detail": ", ".join(f"{each} {value}" for each, value in happening.facts.items()) or None,
        "facts": dict(happening.facts),
        "conversation_uuid": happening.conversation,
        "outcome": happening.outcome,
        "reference": happening.reference,
        "events": list(happening.events) or None,
        "repeats": happening.repeats,
        "reordered": step.is_reordered,
    }


def _gap_row(gap: Gap, records: Mapping[str, Call]) -> dict[str, Any]:
    """Return the record of a gap, with the same field names as in the record of an entry."""
    party = None if gap.uuid is None else endpoint.far_end(records.get(gap.uuid))
    detail = f"{gap.what}: {gap.detail}"
    return {"at": _time(gap.at), "uuid": gap.uuid, "who": party, "what": GAP, "detail": detail}


def _time(moment: float | None) -> str | None:
    return None if moment is None else times.utc(moment, timespec="milliseconds")


def _check_new(path: Path) -> None:
    """Refuse to replace an existing file, because it may be the report of an earlier incident.

    Raises:
        InputError: The file exists.
    """
    if os.path.lexists(path):
        raise _there(path)


def _there(path: Path) -> InputError:
    return InputError(f"{path} already exists and was not replaced.", hint="Give the name of a new file.")


def _write_svg(path: Path, found: Ladder, title: str, *, is_dry: bool) -> None:
    """Draw the ladder *found* in a new SVG file. In a dry run, only report that the file was not written.

    Raises:
        InputError: The file cannot be written.
    """
    from voicectl.cli.output import ladder_svg  # noqa: PLC0415 (for this option only)

    if is_dry:
        remark(f"{path} was not written, because of --dry-run.")
        return
    content = ladder_svg.draw(found, title)
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as exc:
        raise _there(path) from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc.strerror}.", hint="Name another file.") from exc
    remark(f"{path} was written.")
