"""The phone numbers of the sandbox's account, and the applications to which the numbers are linked.

Source: Numbers API reference, ``GET /account/numbers`` and ``POST /number/update``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SPARE = "442079460001"
"""The account's second phone number, which is not linked to an application at first."""

COUNTRY = "GB"

APPLICATION = "app_id"
"""The name of the setting that contains the id of the linked application."""

FORWARDS = ("sip", "tel")
"""The values of ``voiceCallbackType`` that forward calls, so that calls do not reach the linked application."""

SETTINGS = (
    "moHttpUrl",
    "moSmppSysType",
    "voiceCallbackType",
    "voiceCallbackValue",
    "voiceStatusCallback",
    "messagesCallbackType",
    "messagesCallbackValue",
    APPLICATION,
)
"""The names of the settings that an update replaces."""

_NOT_SHOWN = ("moSmppSysType", "voiceStatusCallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A phone number of the account.

    Attributes:
        msisdn: The number in E.164 format without ``+``.
        settings: The settings that are set, keyed by name.
    """

    msisdn: str
    country: str = COUNTRY
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def application_id(self) -> str | None:
        """The id of the linked application, or None if the number is not linked."""
        return self.settings.get(APPLICATION)

    @property
    def forwards_to(self) -> str | None:
        """The SIP URI or phone number to which calls are forwarded, or None if they are not forwarded."""
        is_forwarded = self.settings.get("voiceCallbackType") in FORWARDS
        return self.settings.get("voiceCallbackValue") if is_forwarded else None

    def to_json(self) -> dict[str, Any]:
        """Return the number in the format of the Numbers API, without settings that the API never returns."""
        shown = {name: value for name, value in self.settings.items() if name not in _NOT_SHOWN}
        features = ["VOICE", "SMS"]
        return {
            "country": self.country,
            "msisdn": self.msisdn,
            "type": "landline",
            "features": features,
            **shown,
        }


class Numbers:
    """The phone numbers of the account. A reset of the sandbox does not change their settings.

    Args:
        number: The account's own number, which is linked to the sandbox's own application at first.
        application_id: The id of the sandbox's own application.
    """

    def __init__(self, number: str, application_id: str) -> None:
        self._own = number
        self._owner = application_id
        linked = Number(msisdn=number, settings={APPLICATION: application_id})
        self._by_msisdn = {each.msisdn: each for each in (linked, Number(msisdn=SPARE))}

    @property
    def all(self) -> list[Number]:
        """All numbers of the account."""
        return list(self._by_msisdn.values())

    def add(self, msisdn: str) -> None:
        """Add a number that is linked to the sandbox's own application."""
        self._by_msisdn[msisdn] = Number(msisdn=msisdn, settings={APPLICATION: self._owner})

    def find(self, msisdn: str) -> Number | None:
        """Return the number *msisdn*, or None if the account does not have it."""
        return self._by_msisdn.get(msisdn)

    def update(self, number: Number, settings: Mapping[str, str]) -> None:
        """Replace the settings of *number* with *settings*. Settings that are absent or empty are removed."""
        kept = {name: settings[name] for name in SETTINGS if settings.get(name)}
        self._by_msisdn[number.msisdn] = replace(number, settings=kept)

    def unlink_all(self, application_id: str) -> None:
        """Unlink all numbers from an application, because it was deleted."""
        for number in self.all:
            if number.application_id == application_id:
                kept = {name: value for name, value in number.settings.items() if name != APPLICATION}
                self.update(number, kept)

    def restore(self) -> None:
        """Link the account's own number to the sandbox's own application, which was restored after its deletion.

        If the number is linked to another application by now, do nothing.
        """
        number = self._by_msisdn[self._own]
        if number.application_id is None:
            self.update(number, {**number.settings, APPLICATION: self._owner})
