"""A recording: what it takes down of a conversation, and from when to when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from voicectl.sandbox.telephony.actions import Record, Webhook
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.sounds import Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One sound in a recording.

    Attributes:
        heard: The sound; it may have begun before the recording and be cut after it.
        speaker: The uuid of the leg whose party made it; None for the platform's own prompts.
        listener: For a prompt of the platform: the leg that it was played to; None: to everybody.
    """

    heard: Heard
    speaker: str | None
    listener: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """Sounds of one conversation, or of what one party says.

    Attributes:
        uuid: ``recording_uuid``.
        file_id: What ends ``recording_url``: a UUID.
        transcription_id: What ends ``transcription_url``, if it is to be transcribed: a UUID.
        conversation_uuid: Where it was begun.
        leg_uuid: The leg whose flow began it; of a room, the leg that entered first; the left channel when split.
        order: The format, channels, transcription and so on.
        events: Where its events go; None: the application's ``event_url``.
        started: Milliseconds of the call clock.
        ended: The same; None while it goes on.
        among: The recordings that go on of its leg or its conversation; it is one of them until it has ended.
        tracks: In the order in which they began. Only those of *speaker*, if that is given.
        only: The leg alone whose party is recorded, for ``saveAudio``; None: all.
        retention_days: Days of the call clock for which the file is kept.
        url: Where its file is; None until it is there, and if it could not be made.
        is_kept: Whether the making of its file is over.
        kept: Called then.
        silence: When the party will have been silent for long enough.
        timers: What else is due for it.
    """

    uuid: str
    file_id: str
    transcription_id: str | None = None
    application_id: str
    region: str
    conversation_uuid: str
    leg_uuid: str
    order: Record
    events: Webhook | None
    started: int
    ended: int | None = None
    among: list[Recording] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    only: str | None = None
    retention_days: int = 30
    url: str | None = None
    is_kept: bool = False
    kept: Callable[[], None] = lambda: None
    silence: Timer | None = None
    timers: list[Timer] = field(default_factory=list)
