"""LEG references: a full id, the beginning of one, or ``@last``.

An id has exactly one of two forms before it is put into a URL, so ``../x`` never gets there.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from voicectl.errors import InputError, LegError
from voicectl.voice import endpoint
from voicectl.voice.call import is_leg_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voicectl.voice.call import Call

LAST = "@last"
MAX_LISTED = 10

_PREFIX = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{3,35}")


def resolve(
    text: str,
    *,
    candidates: Callable[[], Iterable[Call]],
    last: Callable[[], str | None],
    what: str = "live leg",
) -> str:
    """The full id of the leg that *text* names; a full id is returned as it is, without a look-up.

    Args:
        candidates: Gives the legs that the beginning of an id is matched with; called for such a one only.
        last: Gives the id of the call created last, or raises where ``@last`` may not be used.
        what: What the candidates are, for errors.

    Raises:
        InputError: *text* has no form of a leg reference.
        LegError: It names no leg, or several: the candidates are listed.
    """
    if is_leg_id(text):
        return text
    if text == LAST:
        created = last()
        if created is None:
            raise LegError("No call was created from here yet.", hint="Name the leg: voicectl call list")
        return created
    if not _PREFIX.fullmatch(text):
        raise InputError(f"{_shown(text)} is not a leg id.", hint=_how_to_name(text))
    matching = (
        call for call in candidates() if is_leg_id(call.uuid) and call.uuid.lower().startswith(text.lower())
    )
    found = list(islice(matching, MAX_LISTED + 1))
    if len(found) == 1:
        return found[0].uuid
    if not found:
        raise LegError(f"No {what} has an id that begins with {text}.", hint="See them: voicectl call list")
    shown = ", ".join(f"{call.uuid} ({call.status}, to {endpoint.label(call.to) or '-'})" for call in found)
    raise LegError(f"Several {what}s have an id that begins with {text}.", hint=f"Give more of it: {shown}")


def _how_to_name(text: str) -> str:
    if text.startswith("CON-"):
        return "That is a conversation. See its legs: voicectl call list --conversation " + _shown(text)
    return "Use a full id, its first 4 characters or more, @last, or - to read it from standard input."


def _shown(text: str) -> str:
    return text if text.isprintable() and text and " " not in text else repr(text)
