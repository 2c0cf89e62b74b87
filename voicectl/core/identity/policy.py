"""A profile's guards: the numbers that may be called, limits on calls, and additional API hosts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from voicectl.errors import GuardError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_CONNECT_SECONDS = 7200
_NUMBER = re.compile(r"\+?[1-9][0-9]*")
_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A profile's guards, which limit what commands may do.

    Attributes:
        allow: The prefixes of numbers that may be called; empty to allow all numbers.
        deny: The prefixes of numbers that may not be called. If prefixes in both lists match a number, the longer
            prefix applies; if both are equally long, *deny* applies.
        max_calls_per_hour: How many phones this machine may ring per hour for the profile's application, or None if
            there is no limit.
        max_calls_per_second: How many phones a batch may ring per second, if the platform has raised the limit of
            this account, or None for the usual limit.
        length_timer: The maximum duration of a call, in seconds, or None if there is no limit.
        hosts: The API hosts to which tokens may be sent in addition to the built-in list.
        production: True if the switchboard asks before every change.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_calls_per_hour: int | None = None
    max_calls_per_second: int | None = None
    length_timer: int | None = None
    hosts: tuple[str, ...] = ()
    production: bool = False

    def check_dialled(self, dialled: Iterable[str]) -> None:
        """Check that all numbers in *dialled* may be called.

        If there is an *allow* or *deny* list, a number that is not in E.164 format, such as ``0044...`` or
        ``44 7700``, is refused: the prefixes would not match the number, but the platform might still dial it.

        Raises:
            GuardError: A number may not be called. The message contains the number and the rule.
        """
        if not self.allow and not self.deny:
            return
        for each in dialled:
            shown = each.removeprefix("+")
            if not _NUMBER.fullmatch(each) and not any(map(str.isalpha, each)):
                raise _forbidden(
                    each, "the number is not in E.164 format, so voicectl cannot check it against the lists"
                )
            allowed = max(filter(shown.startswith, self.allow), key=len, default="")
            denied = max(filter(shown.startswith, self.deny), key=len, default="")
            if denied and len(denied) >= len(allowed):
                raise _forbidden(each, f"it denies numbers that begin with {denied}")
            if self.allow and not allowed:
                raise _forbidden(each, f"it allows only numbers that begin with {', '.join(self.allow)}")

    def length_for(self, asked: int | None) -> int | None:
        """Return the length timer to send, in seconds: *asked*, or the profile's length timer if *asked* is None.

        Raises:
            GuardError: *asked* is longer than the profile allows.
        """
        if self.length_timer is not None and asked is not None and asked > self.length_timer:
            raise GuardError(
                f"A call of {asked} s is longer than this profile allows ({self.length_timer} s).",
                hint="Give a shorter length timer, or use another profile.",
            )
        return self.length_timer if asked is None else asked

    @property
    def connect_limit(self) -> int | None:
        """The ``limit`` of the ``connect`` actions that voicectl writes, in seconds, or None to set no limit."""
        return None if self.length_timer is None else min(self.length_timer, MAX_CONNECT_SECONDS)

    def to_json(self) -> dict[str, Any]:
        """Return those guards that are set, in the format of ``profiles.json``."""
        fields = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }
        # 0 is a limit, and equal to False, so compare by identity
        return {
            name: value
            for name, value in fields.items()
            if not (value is None or value is False or value == [])
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Policy:
        """Build the guards from the output of :meth:`to_json`.

        All fields are checked, since users may edit the file, and a mistake must not remove a guard.

        Raises:
            InputError: A prefix or host is malformed.
            TypeError: A field is unknown, or has the wrong type.
        """
        if unknown := raw.keys() - asdict(cls()).keys():
            raise TypeError(f"unknown guards {unknown}")
        return cls(
            allow=tuple(map(prefix, _texts(raw, "allow"))),
            deny=tuple(map(prefix, _texts(raw, "deny"))),
            max_calls_per_hour=_amount(raw, "max_calls_per_hour"),
            max_calls_per_second=_amount(raw, "max_calls_per_second"),
            length_timer=_amount(raw, "length_timer"),
            hosts=tuple(map(host_name, _texts(raw, "hosts"))),
            production=_flag(raw, "production"),
        )


def prefix(text: str) -> str:
    """Validate a prefix from an ``allow`` or ``deny`` list, and return it without the leading ``+``.

    Raises:
        InputError: *text* is not a prefix of an E.164 number.
    """
    digits = text.removeprefix("+")
    if not _PREFIX.fullmatch(digits):
        raise InputError(
            f"{text!r} is not the beginning of a phone number.",
            hint="Write the first digits of an E.164 number, such as 44 or 1876. Note that 1 covers several"
            " countries.",
        )
    return digits


def host_name(text: str) -> str:
    """Check the name of an additional API host, and return it in lower case.

    Raises:
        InputError: *text* is not a host name.
    """
    if not _HOST.fullmatch(text.lower()):
        raise InputError(
            f"{text!r} is not a host name.",
            hint="Give the full host name and nothing else, such as api.example.org.",
        )
    return text.lower()


def _texts(raw: dict[str, Any], name: str) -> list[str]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{name} is not a list of strings")
    return value


def _amount(raw: dict[str, Any], name: str) -> int | None:
    value = raw.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise TypeError(f"{name} is not a number")
    return value


def _flag(raw: dict[str, Any], name: str) -> bool:
    value = raw.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is neither true nor false")
    return value


def _forbidden(number: str, rule: str) -> GuardError:
    return GuardError(
        f"This profile does not allow calls to {number}: {rule}.",
        hint="Check the number, or change the profile's allow and deny lists.",
    )
