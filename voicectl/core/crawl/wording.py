"""The wording of a prompt: its words without changing numbers and dates, and the keys that it offers."""

from __future__ import annotations

import re

from voicectl.core.scenarios.matching import words

NUMBER, DATE = "0", "date"
"""The words that stand for any number, and for the name of any month or day."""

_DATES = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "today",
        "tomorrow",
        "yesterday",
    ]
)
_SPOKEN = {"star": "*", "asterisk": "*", "hash": "#", "pound": "#"} | {
    name: str(digit)
    for digit, name in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
}
_KEY = rf"(?:[0-9](?![0-9])|[*#]|(?:{'|'.join(_SPOKEN)})\b)"
_OFFER = re.compile(
    rf"\b(?:press|dial|push|hit|choose|select)\s+(?:the\s+)?(?:key\s+|number\s+)?"
    rf"({_KEY}(?:(?:\s*,\s*|\s*,?\s+(?:or|and)\s+){_KEY})*)",
    re.IGNORECASE,
)
_ONE_KEY = re.compile(_KEY, re.IGNORECASE)


def normalized(text: str) -> tuple[str, ...]:
    """Return the words of *text*, in which numbers and dates are replaced, because they change from call to call.

    The keys that the text offers are kept: a menu that offers other keys is another menu.
    """
    found: list[str] = []
    for word in words(text):
        word = DATE if word in _DATES else NUMBER if any(map(str.isdigit, word)) else word
        if not (word in (NUMBER, DATE) and found[-1:] == [word]):
            found.append(word)
    return (*found, *sorted(offered(text)))


def offered(text: str) -> frozenset[str]:
    """Return the keys that *text* offers, as in "press 1 or 2" and "press star"."""
    return frozenset(
        _SPOKEN.get(key.lower(), key) for offer in _OFFER.findall(text) for key in _ONE_KEY.findall(offer)
    )
