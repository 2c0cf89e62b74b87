"""Orders for calls: the request body of a new call, and the numbers that the call dials."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from voicectl.voice import endpoint, ncco

if TYPE_CHECKING:
    from voicectl.voice.ncco import Ncco

REFERENCE_PARAMETER = "vc"


@dataclass(frozen=True, kw_only=True)
class CallOrder:
    """A call to place.

    Attributes:
        to: The endpoint object to dial.
        from_: The caller: one of the account's numbers, or a SIP URI. If it is None, the platform chooses one of the
            application's numbers.
        ncco: The call's flow, or None if the platform fetches the flow from *answer_url*.
        advanced_machine_detection: The machine detection options, as :func:`voicectl.voice.amd.parse` returns them.
        ringing_timer: How long the call may ring, in seconds.
        length_timer: How long the call may last, in seconds.

    Source: Voice API reference, ``POST /v1/calls``.
    """

    to: dict[str, Any]
    from_: str | None
    ncco: Ncco | None = None
    answer_url: str | None = None
    answer_method: str | None = None
    event_url: str | None = None
    event_method: str | None = None
    machine_detection: str | None = None
    advanced_machine_detection: dict[str, Any] | None = None
    ringing_timer: int | None = None
    length_timer: int | None = None

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body of the "create call" request, without the reference."""
        fields = {
            "to": [self.to],
            "from": self.from_ and {"type": "phone", "number": self.from_},
            "random_from_number": True if self.from_ is None else None,
            "ncco": self.ncco,
            "answer_url": self.answer_url and [self.answer_url],
            "event_url": self.event_url and [self.event_url],
            "answer_method": self.answer_method,
            "event_method": self.event_method,
            "machine_detection": self.machine_detection,
            "advanced_machine_detection": self.advanced_machine_detection,
            "ringing_timer": self.ringing_timer,
            "length_timer": self.length_timer,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @cached_property
    def body_hash(self) -> str:
        """The SHA-256 hash of the body, in hexadecimal. Orders with equal bodies have equal hashes."""
        content = json.dumps(self.body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def dialled(self) -> tuple[str, ...]:
        """All endpoints that the call rings: the called endpoint, and those in the NCCO's ``connect`` actions."""
        return (endpoint.label(self.to) or "", *ncco.dialled(self.ncco))

    @property
    def label(self) -> str:
        """The number, URI, user or extension that is called."""
        return self.dialled[0]

    @property
    def shown_to(self) -> dict[str, Any]:
        """The endpoint *to* in the format of call records, without secrets."""
        return endpoint.shown(self.to)

    def body_with(self, reference: str) -> dict[str, Any]:
        """Return the body with *reference* added to ``event_url`` as a query parameter.

        The body is unchanged if there is no ``event_url``, or if events are sent by a method other than POST.
        """
        if self.event_url is None or self.event_method not in (None, "POST"):
            return self.body
        parts = urlsplit(self.event_url)
        query = "&".join(filter(None, [parts.query, urlencode({REFERENCE_PARAMETER: reference})]))
        return self.body | {"event_url": [urlunsplit(parts._replace(query=query))]}


def greeting(text: str | None, audio_url: str | None, room: str | None, **voice: Any) -> Ncco:
    """Return the NCCO that speaks *text*, plays the file at *audio_url* and joins *room*.

    The action for an argument that is None is left out.

    Args:
        voice: Keyword arguments for :func:`voicectl.voice.ncco.talk`.
    """
    flow: Ncco = []
    if text is not None:
        flow.append(ncco.talk(text, **voice))
    if audio_url is not None:
        flow.append(ncco.stream(audio_url))
    if room is not None:
        flow.append(ncco.conversation(room))
    return flow
