"""Effects, which describe work that the caller of the exchange must do, such as sending an event.

The exchange does not do this work itself, because it does not use files or sockets. ``Exchange.collect`` returns the
effects in the order in which they must be performed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicectl.sandbox.telephony.actions import Webhook
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard


class Purpose(StrEnum):
    """The possible purposes of a request for an NCCO."""

    ANSWER = "answer"
    ON_ANSWER = "onAnswer"
    TRANSFER = "transfer"


class Kind(StrEnum):
    """The kinds of webhook events. The values are the names of the kinds in the sandbox's log."""

    STATUS = "status"
    TRANSFER = "transfer"
    INPUT = "input"
    RECORD = "record"
    TRANSCRIBED = "transcribed"
    NOTIFY = "notify"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An instruction to send an event to a webhook.

    Attributes:
        at: The time of the event on the call clock, in milliseconds since 1970.
        uuid: The UUID of the leg that the event is about. In some events, the ``fields`` do not contain this UUID.
        application_id: The id of the leg's application.
        fields: The body of the event.
        webhook: The webhook to use. If it is None, the application's ``event_url`` is used.
        may_bring_ncco: True if the exchange waits for a reply, which may contain an NCCO. In this case, the caller
            must call ``Exchange.replied``, even if no webhook is set.
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
    """An instruction to request an NCCO.

    If the request succeeds, the caller must call ``Exchange.resume``. If it fails, the caller must call
    ``Exchange.give_up``.

    Attributes:
        at: The time of the request on the call clock, in milliseconds since 1970.
        region: The region of the leg, such as ``na-east``. The parameter ``region_url`` of the request is the URL of
            this region.
        webhook: The webhook that returns the NCCO. If it is None, the application's ``answer_url`` is used.
        parameters: The parameters of the request except ``region_url``, such as ``to``, ``from``, ``uuid``,
            ``conversation_uuid`` and ``endpoint_type``.
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
    """An instruction to log why a flow did not run as written."""

    at: int
    uuid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An instruction to record a conversation event and to send it to the application's RTC webhook.

    Attributes:
        at: The time of the event on the call clock, in milliseconds since 1970.
        conversation_uuid: The id of the conversation, ``CON-...``. The conversation may end before this effect is
            performed.
        type: The type of the event, such as ``member:joined`` or ``audio:say:done``.
        uuid: The UUID of the leg whose member caused the event, or None if the platform caused it.
        author: The id of the member who asked for the event, or None if it is the member with the leg ``uuid``.
        body: The fields of the event's body that only the exchange knows, such as ids, texts, digits and reasons. The
            names of the fields are those of the platform.
    """

    at: int
    application_id: str
    conversation_uuid: str
    type: str
    uuid: str | None
    body: dict[str, Any]
    author: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRecording:
    """An instruction to create the audio file of a finished recording, and then to call ``Media.recorded``."""

    recording: Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """An instruction to open a leg's WebSocket, and then to report the result.

    If the WebSocket was opened, call ``Exchange.socket_opened``. If not, call ``Exchange.socket_refused``.
    """

    at: int
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """An instruction to close the WebSocket of a leg that has ended."""

    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSound:
    """An instruction to begin sending a sound to a leg's WebSocket.

    Key presses are sent as text messages, not as audio.
    """

    uuid: str
    heard: Heard


Effect = Event | Fetch | Remark | Note | SaveRecording | Open | Close | SendSound
