"""Links the account's phone numbers to applications, without changing anything else in the numbers.

An update replaces all settings of a number. So the number is read, and all its settings are written back, except for
the link. Afterwards, the number is read again, because someone else may have linked it at the same time.

Source: Numbers API reference, ``POST /number/update``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicectl.errors import GuardError, LegError, TransportError

if TYPE_CHECKING:
    from voicectl.api.numbers import NumberApi
    from voicectl.clock import Clock

REPEAT_SECONDS = 3.0
MAX_REPEATS = 2
PAUSE_SECONDS = 0.5

FORWARDS = ("sip", "tel")
"""The values of ``voiceCallbackType`` that take precedence over the linked application."""

_LINK = "app_id"
_OLD_LINK = "app"
"""The value of ``voiceCallbackType`` that links a number to an application in an outdated way."""

_NOT_SETTINGS = ("country", "msisdn", "type", "features", _LINK)


@dataclass(frozen=True, slots=True)
class Update:
    """The outcome of an update.

    Attributes:
        before: The number before the update.
        after: The number after the update, as the API returned it.
        is_changed: True if an update was sent. If not, *before* and *after* are the same.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    is_changed: bool

    @property
    def is_as_asked(self) -> bool:
        """False if an update was sent, but the API still shows the old link."""
        return not self.is_changed or self.after.get(_LINK) != self.before.get(_LINK)


def link(api: NumberApi, clock: Clock, msisdn: str, application_id: str) -> Update:
    """Link a number to an application. If it is linked to another application, replace that link.

    If there is no usable response, the number is read again and, if necessary, the update is sent again, at most
    twice and within 3 seconds. This is safe, because sending an update twice has the same effect as sending it once.

    Args:
        msisdn: The number in E.164 format without ``+``.

    Raises:
        LegError: The account does not have the number.
        GuardError: Someone else linked the number to a third application at the same time.
        ApiError: The API refused the update. Nothing was changed.
        TransportError: There was no usable response. The number may have been changed.
        DryRun: This is a dry run, which sends no update.
    """
    return _set_link(api, clock, _find(api, msisdn), application_id)


def unlink(api: NumberApi, clock: Clock, msisdn: str, application_id: str) -> Update:
    """Unlink a number from an application, and repeat the update as in :func:`link`.

    Raises:
        GuardError: The number is linked to another application, or someone else linked it at the same time.
        LegError, ApiError, TransportError, DryRun: As in :func:`link`.
    """
    number = _find(api, msisdn)
    if number.get(_LINK) not in (None, "", application_id):
        raise GuardError(
            f"{msisdn} is linked to another application, {number[_LINK]}, not to {application_id}.",
            hint="Nothing was changed. Choose the profile of that application with -p.",
        )
    return _set_link(api, clock, number, None)


def _set_link(api: NumberApi, clock: Clock, number: dict[str, Any], application_id: str | None) -> Update:
    """Link *number* to an application or, if *application_id* is None, remove its link."""
    before, give_up = number, clock.monotonic() + REPEAT_SECONDS
    failures = 0
    while (number.get(_LINK) or None) != application_id:
        try:
            api.update_number(_settings(number, application_id))
        except TransportError:
            failures += 1
            if failures > MAX_REPEATS or clock.monotonic() + PAUSE_SECONDS > give_up:
                raise
            clock.sleep(PAUSE_SECONDS)
            number = _find(api, number["msisdn"])
        else:
            after = _find(api, number["msisdn"])
            _check_link(before, after, application_id)
            return Update(before, after, is_changed=True)
    return Update(before, number, is_changed=failures > 0)


def _settings(number: dict[str, Any], application_id: str | None) -> dict[str, str]:
    """Return the fields of an update that keeps all settings of *number*, except for the link."""
    kept = {
        name: value
        for name, value in number.items()
        if name not in _NOT_SETTINGS and isinstance(value, str) and value
    }
    if kept.get("voiceCallbackType") == _OLD_LINK:
        del kept["voiceCallbackType"]
        kept.pop("voiceCallbackValue", None)
    link = {} if application_id is None else {_LINK: application_id}
    return {"country": number["country"], "msisdn": number["msisdn"], **kept, **link}


def _check_link(before: dict[str, Any], after: dict[str, Any], application_id: str | None) -> None:
    """Check that no one else has linked the number to a third application in the meantime."""
    found = after.get(_LINK) or None
    if found not in (application_id, before.get(_LINK) or None):
        raise GuardError(
            f"{after['msisdn']} was linked to another application, {found}, by someone else at the same time.",
            hint="See how the number is linked now: voicectl number list",
        )


def _find(api: NumberApi, msisdn: str) -> dict[str, Any]:
    """Return the account's number *msisdn*.

    Raises:
        LegError: The account does not have the number.
    """
    for number in api.get_numbers(beginning=msisdn):
        if number["msisdn"] == msisdn:
            return number
    raise LegError(
        f"{msisdn} is not a number of this account.", hint="List the account's numbers: voicectl number list"
    )
