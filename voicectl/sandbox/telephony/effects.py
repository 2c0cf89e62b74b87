"""What the exchange leaves for others to do, since it knows neither files nor sockets.

They come out of ``Exchange.collect``, in the order in which they are to be seen to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.sandbox.telephony.actions import Webhook
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard


class Purpose(StrEnum):
    """Why an NCCO is asked for."""

    ANSWER = "answer"
    ON_ANSWER = "onAnswer"
    TRANSFER = "transfer"


class Kind(StrEnum):
    """The kinds of event, as the log names them."""

    STATUS = "status"
    TRANSFER = "transfer"
    INPUT = "input"
    RECORD = "record"
    TRANSCRIBED = "transcribed"
    NOTIFY = "notify"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Tell a webhook what happened.

    Attributes:
        at: Milliseconds of the call clock.
        uuid: The leg that it is about, whether *fields* name it or not.
        application_id: Whose event it is.
        fields: What is sent.
        webhook: Where to; None: the application's ``event_url``.
        may_bring_ncco: Whether the reply is waited for: hand it to ``Exchange.replied``, also if there is no URL.
    """

    at: int
    kind: Kind
    uuid: str
    application_id: str
    fields: dict[str, Any]
    webhook: Webhook | None = None
    may_bring_ncco: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fetch:
    """Ask a webhook for an NCCO, and hand the answer to ``Exchange.resume`` or ``Exchange.give_up``.

    Attributes:
        at: Milliseconds of the call clock.
        region: Where the leg lives, such as ``na-east``: its host is the ``region_url`` of the request.
        webhook: Whom to ask; None: the application's ``answer_url``.
        parameters: The answer parameters but ``region_url``: ``to``, ``from``, ``uuid``, ``conversation_uuid``,
            ``endpoint_type`` ...
    """

    at: int
    uuid: str
    application_id: str
    region: str
    webhook: Webhook | None
    purpose: Purpose
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Write down why a flow did not go as it was written."""

    at: int
    uuid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Write down an event of a conversation (Conversation API), and tell the application's RTC webhook of it.

    Attributes:
        at: Milliseconds of the call clock.
        conversation_uuid: ``CON-...``; it may be gone by the time that this is read.
        type: ``member:joined``, ``audio:say:done`` ...
        uuid: The leg whose member it comes from; None: from the platform.
        body: What only the exchange knows of its body: ids, texts, digits, reasons, in the platform's own names.
    """

    at: int
    application_id: str
    conversation_uuid: str
    type: str
    uuid: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Make the audio file of a recording that has ended, and say so to ``Media.recorded``."""

    recording: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Connect to the WebSocket that the leg *uuid* calls; tell ``Exchange.socket_opened`` or ``socket_refused``."""

    at: int
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close the WebSocket of the leg *uuid*, which has ended from our side."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """The party at the WebSocket of the leg *uuid* begins to hear *heard*; keys are sent as messages."""

    uuid: str
    heard: Heard


Effect = Event | Fetch | Remark | Note | Keep | Open | Close | Sounding
