"""The map of a menu: its states, and the state to which each key leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicectl.core.crawl.wording import normalized, offered

KEYS = "1234567890*#"
SILENCE = "silence"
TOO_MANY = "too many keys"


class Kind(StrEnum):
    """The situation of the caller in a state."""

    MENU = "menu"
    """The application listens for keys or speech."""
    CONNECTED = "connected"
    """The caller speaks with another party."""
    WAITING = "waiting"
    """The caller is in a named conversation."""
    ENDED = "ended"
    """The call is over."""
    STUCK = "stuck"
    """The call goes on, but nothing happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A situation that a caller has reached.

    Attributes:
        said: What the application has said since the caller last acted.
        takes_keys: True if the application listens for keys.
    """

    kind: Kind
    said: str
    takes_keys: bool

    @property
    def key(self) -> tuple[str, ...]:
        """The words by which the place is recognized."""
        return (self.kind, *normalized(self.said))

    def repeats(self, state: State) -> bool:
        """Return True if this is *state* again, with other words before it, or without some of its first words."""
        ours, theirs = normalized(self.said), normalized(state.place.said)
        shorter = min(len(ours), len(theirs))
        return (
            self.kind is state.place.kind is Kind.MENU
            and shorter > 0
            and offered(self.said) == state.offers
            and ours[-shorter:] == theirs[-shorter:]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of an act of the caller: the number of the next state, and what was said on the way there.

    Attributes:
        is_wrong: True if an error was found on the way.
    """

    state: int
    said: tuple[str, ...]
    is_wrong: bool = False


@dataclass(slots=True, kw_only=True)
class State:
    """A state of the menu.

    Attributes:
        number: The number of the state, counted from 1.
        path: The acts that lead to it from the start.
        place: The situation in which the caller was when the state was found.
        answers: The results of the acts that were tried, by act.
    """

    number: int
    path: tuple[str, ...]
    place: Place
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def offers(self) -> frozenset[str]:
        """The keys that the state offers."""
        return offered(self.place.said)

    @property
    def acts(self) -> tuple[str, ...]:
        """The acts to try in this state."""
        if self.place.kind is not Kind.MENU:
            return ()
        return (*KEYS, SILENCE, TOO_MANY) if self.place.takes_keys else (SILENCE,)

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON object."""
        return {
            "number": self.number,
            "kind": self.place.kind,
            "said": self.place.said,
            "path": list(self.path),
            "offers": sorted(self.offers),
            "answers": {act: answer.state for act, answer in self.answers.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fault of the menu.

    Attributes:
        kind: ``dead-end``, ``loop``, ``error`` or ``unrouted``.
        state: The number of the state in which it was found.
        path: The acts that show it, from the start of the call.
    """

    kind: str
    state: int
    path: tuple[str, ...]
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {"kind": self.kind, "state": self.state, "path": list(self.path), "message": self.message}


@dataclass(slots=True, kw_only=True)
class Map:
    """The states of a menu and its faults.

    Attributes:
        is_complete: False if there may be more states, beyond the depth or the greatest number of states.
        walks: The number of calls that were made.
    """

    to: str
    states: list[State] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_complete: bool = True
    walks: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the map as a JSON object."""
        return {
            "to": self.to,
            "complete": self.is_complete,
            "walks": self.walks,
            "states": [state.to_json() for state in self.states],
            "findings": [finding.to_json() for finding in self.findings],
        }
