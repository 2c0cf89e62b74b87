"""Descriptions of requests, and the rules for retrying requests.

A request is classified by its effect on people (see :class:`Repeat`), never by its HTTP method: a PUT request may be
a harmless "mute", or a "transfer" that restarts a flow and dials someone. An attempt ends in one of three ways:

- *Not sent.* Name lookup, connection or TLS failed before the first byte of the request left this machine. The
  request had no effect, so it may be sent again. For a request of kind CALLER, however, the calling code decides.
- *Answered.* The response is complete and well-formed, and reports a success or a refusal. A refusal is final, with
  two exceptions, in which nothing was done: after a 429 response, the session waits and sends the request again, and
  after a 401 response that shows that this machine's clock is wrong, it sends the request once more with a new token.
- *Unknown.* Something else happened after the first byte was sent: a timeout, a reset, a 5xx status, or an unreadable
  response. The request may have been carried out, or may be carried out later. The request is retried only if sending
  it twice has the same effect as sending it once.

A request of kind NEVER (create call, talk, stream, DTMF, transfer, start of a recording) is therefore not sent again
unless each earlier attempt was not sent or was refused. Such a request also uses a new connection (see ``wire``): if
no response came on a reused connection, the server might have closed the connection before the request arrived, or
might have carried out the request. After an unknown outcome, ``OutcomeUnknown`` is raised, and the calling code must
look for the effect of the request instead of retrying it.

A hangup is different: sending it twice does no harm, but a leg that does not end costs money and annoys people. So a
hangup is retried for longer than any other request. The pauses between attempts are random ("full jitter"), so that
several processes do not retry their requests at the same time.
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
    """The effect of sending a request twice, which determines whether and how the request is retried."""

    READ = "none (it is a read): up to three tries"
    NEVER = "a phone rings twice, or a person hears something twice: never repeated"
    HANGUP = "none, and it must succeed: repeated for 20 s"
    HARMLESS = "none: repeated twice within 3 s"
    CALLER = "it may overwrite another change: repeated only by the caller, after a check"


class Request(NamedTuple, Generic[T]):
    """A description of a request. The request can be sent more than once, and to different hosts.

    Attributes:
        target: The path and query of the URL.
        read: A function that converts the JSON value in the response to the result, or raises
            :class:`~voicectl.errors.NoAnswer` if it cannot.
        dials: The number of phones that the request makes ring.
        within: The time limit for all attempts together, in seconds. The limit applies only to reads and hangups.
        is_urgent: True to send the request before others, without waiting for the rate limiter.
        if_absent: The hint for a 404 response, or None for the usual hint.
        if_unknown: The hint for an unknown outcome, or None for the usual hint, which tells the user to check the
            leg.
        is_form: True to send the body, whose values must be strings, as a form instead of as JSON.
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
    is_form: bool = False

    @property
    def is_read(self) -> bool:
        """True if the request changes nothing."""
        return self.repeat is Repeat.READ

    @property
    def leg(self) -> str | None:
        """The leg id in the request's path (as in ``/v1/calls/{uuid}/talk``), or None if the path contains no id."""
        is_about_leg = self.target.startswith(_LEGS)
        return self.target.removeprefix(_LEGS).partition("/")[0] if is_about_leg else None

    def pause_after(
        self, failure: TransportError, failures: int, elapsed: float, rng: random.Random
    ) -> float | None:
        """Return the time to wait after *failures* failed attempts, in seconds, or None for no further attempt."""
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
