"""Complete a word on the command line.

A script in the shell (see :mod:`voicectl.cli.commands.completion`) passes the command line up to the cursor. The
metavar of an argument or option selects its completer, so commands contain no code for completion.

To be fast, completion uses only data on this machine: it sends no requests, reads no keys and waits for no locks.
After offering legs or rooms, it starts a process that refreshes their lists for the next completion
(:mod:`voicectl.cli.refresh`). Errors are never shown.
"""

from __future__ import annotations

import re
from contextlib import redirect_stderr, suppress
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from typer._click.shell_completion import _resolve_context, _resolve_incomplete, split_arg_string

from voicectl.cli.grammar import Group, root
from voicectl.cli.output.text import clean
from voicectl.cli.output.writer import Format
from voicectl.cli.tree import COMPLETION_VARIABLE, PROGRAM
from voicectl.voice.call import HUMAN, CallStatus, Region, is_leg_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from voicectl.cli.context import App
    from voicectl.core.completion import Leg

LINE_VARIABLE = f"{COMPLETION_VARIABLE}_LINE"
"""The name of the environment variable that contains the command line up to the cursor."""

VALUES = 0
FILES = 1
"""The exit statuses: ``VALUES`` if words are printed, and ``FILES`` if the shell should complete file names."""

MAX_VALUES = 100

MAX_ROOMS = 20
"""The greatest number of rooms that are offered together with legs."""

SANDBOX_PREFIX = "5a4db0c5-"

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_FILES = ("FILE", "DIR", "CMD")
_FOR = ("--for", "--wait")


class Word(NamedTuple):
    """A word that completion offers, and its description."""

    value: str
    about: str = ""


class Completion(NamedTuple):
    """The word to complete.

    Attributes:
        param: The Typer parameter, which is the argument or option that the word belongs to.
        group: The first word of the command, or an empty string if it has not been typed yet.
        begun: The part of the word that has been typed.
        taken: The values that have already been given for the argument or option.
        now: The current time, in Unix seconds.
        read: The state directories whose listings were read. Each is mapped to the profile that the command line
            selects, or to None if the command line selects none.
    """

    app: App
    param: Any
    group: str
    begun: str
    taken: tuple[str, ...]
    now: float
    read: dict[Path, str | None]


def answer(app: App) -> int:
    """Print the words that can complete the command line, with descriptions, and return the exit status."""
    read: dict[Path, str | None] = {}
    try:
        with redirect_stderr(StringIO()):
            words = _words(app, app.environ.get(LINE_VARIABLE, ""), read)
    except Exception:  # noqa: BLE001 (completion must not show errors)
        return VALUES
    if words is None:
        return FILES
    app.terminal.write("".join(f"{word.value}\t{clean(word.about)}\n" for word in words))
    for directory, profile in read.items():
        _refresh(app, directory, profile)
    return VALUES


def _refresh(app: App, directory: Path, profile: str | None) -> None:
    """Start a process that refreshes the listings in *directory*, unless such a process was started recently."""
    from voicectl.cli import refresh  # noqa: PLC0415 (only if legs or rooms are completed)
    from voicectl.store.live_cache import LiveCache  # noqa: PLC0415

    if LiveCache(directory).begin_refresh(app.clock.time()):
        chosen = {} if profile is None else {"VOICECTL_PROFILE": profile}
        with suppress(OSError):
            (app.start_refresh or refresh.start)(dict(app.environ) | chosen)


def _words(app: App, line: str, read: dict[Path, str | None]) -> list[Word] | None:
    """Return the words that can complete *line*, or None if the shell should complete a file name."""
    typed = split_arg_string(line)
    while typed and _ASSIGNMENT.match(typed[0]):
        del typed[0]
    begun = typed.pop() if len(typed) > 1 and not line[-1:].isspace() else ""
    del typed[:1]
    context = _resolve_context(root(), {"obj": app}, PROGRAM, typed)
    if isinstance(context.command, Group) and (context._protected_args or context.args):
        return []  # no such command
    param, rest = _resolve_incomplete(context, typed, begun)
    given = begun.removesuffix(rest) if rest else begun
    metavar = getattr(param, "metavar", None) or ""
    group = "".join(context.command_path.split()[1:2])
    if completer := _completer(metavar, param):
        given_before = context.params.get(str(param.name))
        taken = tuple(map(str, given_before)) if isinstance(given_before, list | tuple) else ()
        place = Completion(app, param, group, rest, taken, app.clock.time(), read)
        found: Iterable[Word] = (word for word in completer(place) if word.value not in taken)
    elif any(part in metavar for part in _FILES):
        return None
    else:
        found = (Word(each.value, each.help or "") for each in param.shell_complete(context, rest))
    fitting = [word for word in found if word.value.startswith(rest) and clean(word.value) == word.value]
    return [Word(given + word.value, word.about) for word in fitting[:MAX_VALUES]]


def _completer(metavar: str, param: Any) -> Callable[[Completion], Iterable[Word]] | None:
    """Return the completer for an argument or option, or None if there is no completer for it."""
    if getattr(param.type, "choices", None) if hasattr(param, "type") else None:
        return None  # Typer completes choices itself
    if metavar.strip("[].") == "LEG":
        return _legs
    return _COMPLETERS.get(metavar)


def _legs(place: Completion) -> Iterator[Word]:
    """Yield the ids of live legs or, after ``to:`` or ``from:``, the numbers of their callees or callers."""
    found = _live(place)
    for end in ("to:", "from:"):
        if place.begun.startswith(end):
            numbers: dict[str, list[Leg]] = {}
            for leg in found:
                number = (leg.to if end == "to:" else leg.from_).removeprefix("+")
                if number.isdecimal():
                    numbers.setdefault(number, []).append(leg)
            for number, legs in numbers.items():
                yield Word(
                    end + number, _about(legs[0], place.now) if len(legs) == 1 else f"{len(legs)} legs"
                )
            return
    for leg in found:
        yield Word(leg.uuid, _about(leg, place.now))


def _legs_and_rooms(place: Completion) -> Iterator[Word]:
    """Yield rooms and legs, or only legs if no leg has been given yet."""
    if place.taken:
        fitting = (word for word in _rooms(place) if word.value.startswith(place.begun))
        yield from islice(fitting, MAX_ROOMS)
    yield from _legs(place)


def _rooms(place: Completion) -> Iterator[Word]:
    """Yield the names of rooms to which legs were moved, and conversation ids if the argument accepts them."""
    from voicectl.core import completion  # noqa: PLC0415 (only if such a word is completed)

    if (directory := _state(place)) is not None:
        for room, at in completion.rooms(directory, place.now).items():
            yield Word(room, f"room, {_ago(place.now - at)} ago")
    if "CON" in place.param.metavar:
        yield from _conversations(place)


def _conversations(place: Completion) -> Iterator[Word]:
    """Yield the ids of the conversations of live legs."""
    numbers: dict[str, int] = {}
    for leg in _live(place):
        name = leg.conversation_uuid
        if name.startswith("CON-") and is_leg_id(name.removeprefix("CON-")):
            numbers[name] = numbers.get(name, 0) + 1
    for name, number in numbers.items():
        yield Word(name, f"{number} leg{'s' * (number != 1)}")


def _profiles(place: Completion) -> Iterator[Word]:
    store = place.app.profiles
    for name in store.names():
        is_default = name == store.default
        try:
            yield Word(name, f"{store.get(name).base_url}{', the default' * is_default}")
        except Exception:  # noqa: BLE001 (a malformed profile still has a name)
            yield Word(name)


def _statuses(place: Completion) -> Iterator[Word]:
    if not set(_FOR).isdisjoint(place.param.opts):
        yield Word("ended", "any final status")
    if place.group in ("wait", "watch", "call", "webhook"):
        yield Word(HUMAN, "a person answered, not a machine")
    yield from (Word(status) for status in CallStatus)


def _kinds(_place: Completion) -> Iterator[Word]:
    from voicectl.voice.event import Kind  # noqa: PLC0415

    yield from (Word(each) for each in (*Kind, "answer", "fallback", "rtc"))


def _faults(_place: Completion) -> Iterator[Word]:
    from voicectl.sandbox.fault_types import FaultType  # noqa: PLC0415

    yield from map(Word, FaultType)


def _operations(_place: Completion) -> Iterator[Word]:
    from voicectl.sandbox.operations import Operation  # noqa: PLC0415

    yield Word("any")
    yield from map(Word, Operation)


_COMPLETERS: dict[str, Callable[[Completion], Iterable[Word]]] = {
    "LEG... ROOM": _legs_and_rooms,
    "ROOM": _rooms,
    "ROOM|CON-ID": _rooms,
    "CON-ID": _conversations,
    "LEG|CON-ID": lambda place: (*_legs(place), *_conversations(place)),
    "NAME": _profiles,
    "STATUS": _statuses,
    "KIND": _kinds,
    "FAULT": _faults,
    "OPERATION": _operations,
    "REGION": lambda _: map(Word, Region),
    "FORMAT": lambda _: map(Word, Format),
}


def _live(place: Completion) -> list[Leg]:
    from voicectl.core import completion  # noqa: PLC0415

    directory = _state(place)
    return [] if directory is None else completion.live_legs(directory, place.now)


def _state(place: Completion) -> Path | None:
    """Return the state directory of the application. In a rehearsal, return None if there is no such directory yet.

    In a rehearsal (under ``sandbox exec``), only the sandbox knows the application id. To avoid a request, the most
    recently used directory is returned.
    """
    from voicectl.core.identity import target  # noqa: PLC0415
    from voicectl.core.identity.profiles import SANDBOX  # noqa: PLC0415

    app = place.app
    states = target.state_directory(app.environ)
    if app.environ.get("VOICECTL_SANDBOX"):
        known = [each for each in states.glob(f"{SANDBOX_PREFIX}*") if each.is_dir()]
        last = max(known, key=lambda each: each.stat().st_mtime, default=None)
        if last is not None:
            place.read[last] = None
        return last
    profile = SANDBOX if place.group == "sandbox" else app.options.profile
    found = states / target.resolve(app.environ, app.profiles, profile=profile).application_id
    place.read[found] = profile
    return found


def _about(leg: Leg, now: float) -> str:
    """Return a description of a leg, such as ``to 447700900001, answered, 3m``.

    An age of ``>3m`` means that the leg was first seen 3 minutes ago and may be older. If the leg was last seen 10
    or more seconds ago, the description says so.
    """
    age = f">{_ago(now - leg.first)}" if leg.began is None else _ago(now - leg.began)
    heard = f"last seen {_ago(now - leg.heard)} ago" if leg.status and now - leg.heard >= 10 else ""
    return ", ".join(filter(None, (leg.other_end, leg.status, age, heard)))


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
