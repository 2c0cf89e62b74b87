"""A recording: the sounds of a conversation that it holds, and its start and end."""

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
        heard: The sound; it may have begun before the recording and end after it.
        speaker: The uuid of the leg whose party made it; None for the platform's own prompts.
        listener: For a prompt of the platform, the leg that it was played to; None: all legs.
    """

    heard: Heard
    speaker: str | None
    listener: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """A recording of one conversation, or of one party.

    Attributes:
        uuid: ``recording_uuid``.
        file_id: The UUID at the end of ``recording_url``.
        transcription_id: The UUID at the end of ``transcription_url``; None without a transcription.
        conversation_uuid: The conversation in which it began.
        leg_uuid: The leg whose flow began it; for a room, the leg that entered first. The left channel when split.
        order: The format, channels, transcription and so on.
        events: Webhook of its events; None: the application's ``event_url``.
        started: Milliseconds of the call clock.
        ended: Milliseconds of the call clock; None while it goes on.
        among: The current recordings of its leg or its conversation, itself included until it ends.
        tracks: Its sounds, in the order in which they began.
        only: The one leg whose party is recorded, for ``saveAudio``; None: all.
        retention_days: Days of the call clock for which the file is kept.
        url: The URL of its file; None until the file is made, and if making it fails.
        is_kept: True once its file is made, or making it has failed.
        kept: Called at that moment.
        silence: The timer that stops it after enough silence.
        timers: Its other timers.
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
