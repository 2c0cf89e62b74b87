"""The steps of a test: one class for each, named by the key that marks the step in a scenario file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from voicectl.core.scenarios.kinds import (
    Anything,
    Duration,
    Either,
    Flag,
    Kind,
    Many,
    Named,
    Path,
    Problems,
    Schema,
    Table,
    Text,
    Whole,
    nearest,
    options_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = Text(right="words to hear")
KEYS = Text(pattern=r"[0-9*#p]+", right="keys: 0-9, *, # and p (a pause)", may_be_number=True)
ENDPOINT = r"\+?[0-9]{3,15}|(?:sips?|wss?|app|vbc):\S+"
NUMBER = Text(
    pattern=ENDPOINT,
    right="a number or another endpoint",
    may_be_number=True,
)
COMMAND = Either(kinds={str: Text(right="a command"), list: Many(item=Text(right="an argument"), least=1)})


def option(kind: Kind, about: str, **default: Any) -> Any:
    """Return a field of a record, for a key of a table.

    Args:
        default: ``default`` or ``default_factory``. Without either, the key is required.
    """
    return field(metadata={"kind": kind, "about": about}, **default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a test.

    Attributes:
        verb: The key that marks the step.
        at: The path of the step in its file.
        where: The file and line of the step.
    """

    verb: ClassVar[str] = ""

    as_: str | None = option(
        Text(right="a caller's name, or a number"),
        "The party who acts or hears: a name from callers, or the number of someone the application called.",
        default=None,
    )
    at: Path = ()
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(Step):
    """A step that waits."""

    within: float | None = option(Duration(), "Longest wait, on the call clock (default 10 s).", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hear(Awaited):
    """Wait until the party hears these words, ignoring case, punctuation and markup."""

    verb = "hear"
    hear: str = option(WORDS, "Words that must be heard, one after another.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HearExactly(Awaited):
    """Wait until the party hears exactly this text, with its markup."""

    verb = "hear_exactly"
    hear_exactly: str = option(WORDS, "The whole text of one talk action or request.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HearMatching(Awaited):
    """Wait until the party hears a text that a regular expression matches."""

    verb = "hear_matching"
    hear_matching: str = option(WORDS, "A regular expression, which must match a part of one text.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HearAudio(Awaited):
    """Wait until the party hears an audio file."""

    verb = "hear_audio"
    hear_audio: str = option(WORDS, "The end of the URL, such as hold.mp3.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHear(Step):
    """Fail if the party hears these words within a time."""

    verb = "not_hear"
    not_hear: str = option(WORDS, "Words that must not be heard.")
    within: float | None = option(
        Duration(), "How long to listen (default: only check what was heard so far).", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Press(Awaited):
    """Press keys as soon as the application listens for them."""

    verb = "press"
    press: str = option(KEYS, "The keys.")
    at_once: bool = option(Flag(), "Press now, even if the application does not listen.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Say(Awaited):
    """Say something as soon as the application listens for it."""

    verb = "say"
    say: str = option(Text(right="words to say"), "The words, as speech recognition will understand them.")
    at_once: bool = option(Flag(), "Speak now, even if the application does not listen.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Step):
    """Let time pass on the call clock."""

    verb = "wait"
    wait: float = option(Duration(), "How long.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Awaited):
    """Wait until the party is connected to another party."""

    verb = "connected"
    connected: str = option(NUMBER, "The number or endpoint of the other party.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Step):
    """Hang up as the party."""

    verb = "hangup"
    hangup: bool = option(Flag(only=True), "Always true.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysHeard(Awaited):
    """Wait until the party hears keys that the application or another party pressed."""

    verb = "keys_heard"
    keys_heard: str = option(KEYS, "The keys.")


@dataclass(frozen=True, slots=True, kw_only=True)
class InRoom(Awaited):
    """Wait until the party is in a named conversation."""

    verb = "in_room"
    in_room: str = option(Text(right="a room's name"), "The name of the room.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted(Awaited):
    """Wait until the party is muted, or is no longer muted."""

    verb = "muted"
    muted: bool = option(Flag(), "True to wait until the party is muted, false to wait until it is not.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Awaited):
    """Wait until the party has been moved to another conversation or call flow."""

    verb = "moved"
    moved: bool = option(Flag(only=True), "Always true.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Awaited):
    """Wait for an event that the application is sent."""

    verb = "event"
    event: dict[str, Any] = option(
        Named(value=Anything()), 'Fields of the event by dotted path, such as "dtmf.digits" = "1".'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Step):
    """Let the sandbox misbehave, as 'sandbox fault add' does."""

    verb = "fault"
    fault: str = option(Text(right="a fault"), 'The fault and its options, such as "status 503 --times 1".')


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Step):
    """Run a command, such as voicectl move, without a shell."""

    verb = "run"
    run: str | tuple[str, ...] = option(COMMAND, "The command; {leg} stands for the id of the party's leg.")
    exit: int = option(Whole(most=255), "The exit status that the command must have.", default=0)
    output: str | None = option(WORDS, "Text that the command must print.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Include(Step):
    """Insert the steps of a sequence."""

    verb = "include"
    include: str = option(Text(right="the name of a sequence"), "A name from [sequences].")


STEPS: dict[str, type[Step]] = {
    each.verb: each
    for each in (
        Hear,
        HearExactly,
        HearMatching,
        HearAudio,
        NotHear,
        Press,
        Say,
        Wait,
        Connected,
        Hangup,
        KeysHeard,
        InRoom,
        Muted,
        Moved,
        Event,
        Fault,
        Run,
        Include,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKind:
    """A step, whose class is chosen by the key that marks it."""

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return *value* as a step."""
        if not isinstance(value, dict):
            problems.add(path, "A step must be a table.", 'Write { hear = "welcome" }, for example.')
            return None
        verbs = [name for name in value if name in STEPS]
        if len(verbs) != 1:
            self._refuse(value, verbs, path, problems)
            return None
        found = Problems()
        step = Table(record=STEPS[verbs[0]]).read(value, path, found)
        problems.extend(found)
        return step

    def _refuse(self, value: dict[str, Any], verbs: Sequence[str], path: Path, problems: Problems) -> None:
        if verbs:
            problems.add(
                (*path, verbs[1]), f"A step must have exactly one verb; this one has {' and '.join(verbs)}."
            )
            return
        unknown = next(iter(value), None)
        place = path if unknown is None else (*path, unknown)
        advice = f"Steps: {', '.join(STEPS)}." if unknown is None else nearest(unknown, STEPS)
        problems.add(place, f"There is no step {unknown!r}." if unknown else "The step is empty.", advice)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the schema of a step. It chooses the class by the verb, so that editors name that class's errors."""
        return {
            "type": "object",
            "anyOf": [{"required": [verb]} for verb in STEPS],
            "allOf": [
                {"if": {"required": [verb]}, "then": Table(record=each).schema(definitions)}
                for verb, each in STEPS.items()
            ],
        }


def verb_of(step: Step) -> tuple[str, Any]:
    """Return the verb of *step* and its value."""
    names = {name: each.attribute for name, each in options_of(type(step))}
    return step.verb, getattr(step, names[step.verb])
