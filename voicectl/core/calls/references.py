"""References to legs: a leg's full id, a prefix of the id, ``@last``, or the number at one end of the leg.

A full id is a UUID, with or without hyphens. The platform's ids may have other forms too, but such an id is accepted
only if stored events mention it. Any other text, such as ``../x``, is refused, and is never put into a URL.
"""

from __future__ import annotations

import re
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from voicectl.errors import AmbiguousError, InputError, LegError
from voicectl.voice import endpoint
from voicectl.voice.call import hyphenated, is_leg_id, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from voicectl.voice.call import Call

LAST = "@last"
MAX_LISTED = 10
SHORTEST = 8
"""The minimum length of a shortened id, in characters."""

_PREFIX = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{3,35}")
_DIGITS = re.compile(r"[0-9]{4,15}")
_ELSEWHERE = "List legs: voicectl call list. To name a leg in another region, give its full id."
_ENDS = {"to": ("goes to", "go to"), "from": ("comes from", "come from")}


def resolve(
    text: str,
    *,
    candidates: Callable[[], Iterable[Call]],
    last: Callable[[], str | None],
    is_known: Callable[[str], bool] = lambda _: False,
    what: str = "live leg",
) -> str:
    """Return the full id of the leg that *text* refers to. A UUID is returned without a look-up.

    Args:
        candidates: A function that returns the legs to search. It is called only if *text* is a prefix of an id,
            or a number.
        last: A function that returns the id of the call created last, or None if no call was created. If ``@last``
            may not be used, it raises an exception.
        is_known: A function that returns True if a text that is not a UUID is nevertheless the full id of a leg.
        what: The term for a candidate in error messages, in the singular.

    Raises:
        InputError: *text* is not a leg reference.
        LegError: *text* refers to no leg.
        AmbiguousError: *text* refers to several legs. The hint lists them.
    """
    if is_leg_id(text):
        return text
    if text == LAST:
        created = last()
        if created is None:
            raise LegError(
                "No call has been created on this machine yet.",
                hint="Name a leg. List legs: voicectl call list",
            )
        return created
    if (number := number_reference(text)) is not None:
        return _by_number(*number, candidates(), what)
    if _may_be_id(text) and is_known(text):
        return text
    if not _PREFIX.fullmatch(text):
        raise InputError(f"{_shown(text)} is not a leg id.", hint=_how_to_name(text))
    matching = (
        call for call in candidates() if is_leg_id(call.uuid) and plain(call.uuid).startswith(plain(text))
    )
    found = list(islice(matching, MAX_LISTED + 1))
    if len(found) == 1:
        return found[0].uuid
    if not found:
        hint = _number_hint(text) if text.isdigit() else _ELSEWHERE
        raise LegError(f"No {what} has an id that begins with {text}.", hint=hint)
    raise AmbiguousError(
        f"Several {what}s have an id that begins with {text}.",
        hint=f"Give more characters of the id. Matches: {_listed(found)}",
    )


def shortest(uuids: Iterable[str]) -> dict[str, str]:
    """Return the shortest unambiguous prefix of each leg id in *uuids*, keyed by the leg id.

    A prefix has at least :data:`SHORTEST` characters. Strings that are not leg ids are left out, because
    :func:`resolve` cannot find them by a prefix.
    """
    spelled = {plain(uuid): uuid for uuid in uuids if is_leg_id(uuid)}
    lengths = dict.fromkeys(spelled, SHORTEST)
    for one, next_ in pairwise(sorted(spelled)):
        shared = next(at for at, (a, b) in enumerate(zip(one, next_, strict=True)) if a != b)
        for digits in (one, next_):
            lengths[digits] = max(lengths[digits], shared + 1)
    return {spelled[digits]: _beginning(spelled[digits], length) for digits, length in lengths.items()}


def each_once(*several: Iterable[Call]) -> Iterator[Call]:
    """Yield the legs from *several* lists without duplicates. Only the first record of each leg is yielded."""
    seen: set[str] = set()
    for call in chain(*several):
        key = hyphenated(call.uuid)
        if key not in seen:
            seen.add(key)
            yield call


def _may_be_id(text: str) -> bool:
    """Return True if *text* can be one segment of a URL's path. ``.`` and ``..`` cannot, even if they are quoted."""
    return text.strip(".") != "" and text.isprintable()


def _beginning(uuid: str, digits: int) -> str:
    """Return the beginning of a leg id that has *digits* hex digits and ends with the last of them."""
    ends = [end for end, character in enumerate(uuid, start=1) if character != "-"]
    return uuid[: ends[digits - 1]]


def number_reference(text: str) -> tuple[str, str] | None:
    """Split a reference such as ``to:+44 7700 900001`` into the end, ``to`` or ``from``, and the number's digits.

    Returns:
        The two parts, or None if *text* does not refer to a leg by a number.

    Raises:
        InputError: The number contains a digit that is not part of it, such as the 0 in ``+44 (0)7700 900001``.
    """
    end, _, number = text.partition(":")
    if end not in _ENDS:
        return None
    digits = endpoint.compact(number).removeprefix("+")
    return (end, digits) if _DIGITS.fullmatch(digits) else None


def _by_number(end: str, digits: str, candidates: Iterable[Call], what: str) -> str:
    """Return the id of the only leg whose number at *end* (``to`` or ``from``) equals *digits*.

    If no leg's number equals *digits*, return the id of the only leg whose number begins with *digits*.

    Raises:
        LegError: No leg matches.
        AmbiguousError: Several legs match.
    """
    exact: list[Call] = []
    begins: list[Call] = []
    for call in candidates:
        number = (endpoint.label(call.to if end == "to" else call.from_) or "").removeprefix("+")
        matching = exact if number == digits else begins
        if number.startswith(digits) and is_leg_id(call.uuid) and len(matching) <= MAX_LISTED:
            matching.append(call)
    found = exact or begins
    if len(found) == 1:
        return found[0].uuid
    one, several = _ENDS[end]
    number = digits if exact else f"{digits} or a number that begins with it"
    if not found:
        hint = "Numbers begin with a country code, such as 447700900001." if digits[0] == "0" else _ELSEWHERE
        raise LegError(f"No {what} {one} {number}.", hint=hint)
    raise AmbiguousError(f"Several {what}s {several} {number}.", hint=f"Name one by its id: {_listed(found)}")


def _listed(calls: Iterable[Call]) -> str:
    return ", ".join(f"{call.uuid} ({call.status}, to {endpoint.label(call.to) or '-'})" for call in calls)


def _number_hint(digits: str) -> str:
    return f"If it is a phone number, write to:{digits} or from:{digits}"


def _how_to_name(text: str) -> str:
    if text.startswith("CON-"):
        return "That is a conversation. See its legs: voicectl call list --conversation " + _shown(text)
    if (digits := endpoint.compact(text).removeprefix("+")).isdigit():
        return _number_hint(digits)
    return (
        "Use a full id, its first 4 characters or more, to:NUMBER, from:NUMBER, @last, or - to read ids from"
        " standard input."
    )


def _shown(text: str) -> str:
    return text if text.isprintable() and text and " " not in text else repr(text)
