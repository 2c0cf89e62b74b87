"""Requests as values, and the decision whether to send one again.

A request is classified by its effect on people, never by its HTTP method: a PUT may be a harmless "mute" or a
"transfer" that restarts a flow and dials someone. An attempt ends in one of three ways:

- *Not sent.* Name lookup, connection or TLS failed before the first byte of the request left this machine. Nothing
  can have happened, so every kind may be sent again, except CALLER, whose caller decides.
- *Answered.* The answer is complete and well-formed: a success, or a refusal, which is final. Only a 429 is waited
  out (see ``session``), for it says that nothing was done.
- *Unknown.* Anything else after the first byte: a timeout, a reset, a 5xx, an unreadable answer. The request may have
  been carried out or may still be. Then only those kinds are repeated for which twice is the same as once.

A request of kind NEVER (create call, talk, stream, DTMF, transfer, start of a recording) therefore has at most one
attempt in which a byte leaves. It also gets a fresh connection (see ``wire``): on a kept connection a missing answer
would not show whether the server had closed it before, or had carried the request out. After an unknown outcome the
caller gets ``OutcomeUnknown`` and must look for the effect instead of repeating the cause.

A hangup is different: sending it twice does no harm, but a leg that stays up costs money and annoys people, so it is
repeated for the longest time. Pauses are random ("full jitter"), so that many processes do not repeat in step.
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
    """The effect of sending a request twice, which decides how it is repeated."""

    READ = "none, it is a read: up to three tries"
    NEVER = "a phone rings twice, or a person hears something twice: never repeated"
    HANGUP = "none, and it must succeed: repeated for 20 s"
    HARMLESS = "none: repeated twice within 3 s"
    CALLER = "it may overwrite another change: repeated only by the caller, after a look"


class Request(NamedTuple, Generic[T]):
    """One request as a value, so that it can be sent again or to another host.

    Attributes:
        target: Path and query.
        read: Turns the JSON of the answer into a value, or raises :class:`~voicectl.errors.NoAnswer`.
        dials: Number of phones that it makes ring.
        within: Seconds that all tries of a read, or of a hangup, may take.
        is_urgent: True to go before other requests and not to wait for the rate limiter.
        if_absent: The hint after a 404, if the usual one does not fit.
        if_unknown: The hint after an unknown outcome, if the usual one (to look at the leg) does not fit.
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
        """True if the request changes nothing."""
        return self.repeat is Repeat.READ

    @property
    def leg(self) -> str | None:
        """The leg in the request's path (``/v1/calls/{uuid}/talk``), None if there is no leg."""
        path = self.target.partition("?")[0]
        return path.removeprefix(_LEGS).partition("/")[0] if path.startswith(_LEGS) else None

    def pause_after(
        self, failure: TransportError, failures: int, elapsed: float, rng: random.Random
    ) -> float | None:
        """Return the seconds to wait after the *failures*-th failure; None if the request must not be sent again."""
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
