"""Requests as values, and the decision whether one is sent again.

A request is classed by what it does to people, never by its HTTP method. One of which nothing was sent may be sent
again. After its first byte anything but a whole answer is an unknown outcome, and only what is harmless twice is then
sent twice: a "create call" whose answer was lost never is.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from voicectl.errors import NotSent

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from voicectl.errors import TransportError

T = TypeVar("T")

HANGUP_SECONDS = 20.0
HARMLESS_SECONDS = 3.0
MAX_TRIES = 3

_LEGS = "/v1/calls/"


class Repeat(Enum):
    """What sending a request again would mean."""

    READ = "a read: three tries"
    NEVER = "a phone rings, or somebody hears it, twice"
    HANGUP = "nothing, and it matters: repeated for 20 s"
    HARMLESS = "nothing: repeated twice within 3 s"
    CALLER = "nothing, but others may have changed it: repeated by whoever asks for it, who looks first"


class Request(NamedTuple, Generic[T]):
    """One operation of the API on one thing: a value, so that it can be sent again or elsewhere.

    Attributes:
        target: Path and query.
        read: Turns the JSON of the answer into a value, or raises :class:`~voicectl.errors.NoAnswer`.
        dials: Phones that it makes ring.
        within: Seconds that all tries of a read, or of a hangup, may take.
        is_urgent: Go before other requests, and do not wait out a rate limit.
        if_absent: What to do after a 404, if not the usual.
        if_unknown: What to look at if its outcome is unknown, if not the leg.
    """

    repeat: Repeat
    method: str
    target: str
    read: Callable[[Any], T]
    body: dict[str, Any] | None = None
    dials: int = 0
    within: float = math.inf
    is_urgent: bool = False
    if_absent: str | None = None
    if_unknown: str | None = None

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.repeat is Repeat.READ

    @property
    def leg(self) -> str | None:
        """The leg that it is about, None if it names none: ``/v1/calls/{uuid}/talk``."""
        path = self.target.partition("?")[0]
        return path.removeprefix(_LEGS).partition("/")[0] if path.startswith(_LEGS) else None

    def pause_after(
        self, failure: TransportError, failures: int, elapsed: float, rng: random.Random
    ) -> float | None:
        """Seconds to wait after the *failures*-th failure; None if it must not be sent again."""
        match self.repeat:
            case Repeat.CALLER:
                return None
            case Repeat.NEVER:
                may_repeat, bound = isinstance(failure, NotSent) and failures < MAX_TRIES, math.inf
                pause = _backoff(failures, rng)
            case Repeat.HANGUP:
                may_repeat, bound = True, self.within
                pause = rng.uniform(0.5, 2.0)
            case Repeat.HARMLESS:
                may_repeat, bound = failures < MAX_TRIES, HARMLESS_SECONDS
                pause = rng.uniform(0.2, 1.0)
            case Repeat.READ:
                may_repeat, bound = failures < MAX_TRIES, self.within
                pause = _backoff(failures, rng)
        return pause if may_repeat and elapsed + pause < bound else None


def _backoff(failures: int, rng: random.Random) -> float:
    return rng.uniform(0.5, min(8.0, 2.0**failures))
