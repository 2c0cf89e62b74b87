"""A recording: the sounds that it holds, and its start and end."""

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
        heard: The sound, which may begin before the recording and end after it.
        speaker: The UUID of the leg whose party made the sound, or None for a prompt of the platform.
        listener: The UUID of the leg to which a prompt of the platform was played, or None for all legs.
    """

    heard: Heard
    speaker: str | None
    listener: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """A recording of one conversation, or of one party.

    Attributes:
        uuid: The ``recording_uuid``.
        file_id: The UUID at the end of ``recording_url``.
        transcription_id: The UUID at the end of ``transcription_url``, or None without a transcription.
        conversation_uuid: The id of the conversation in which the recording began.
        leg_uuid: The UUID of the leg whose flow began the recording or, for a room, of the leg that entered first. A
            split recording has the party of this leg on its left channel.
        order: The settings: format, channels, transcription and so on.
        events: The webhook of the recording's events, or None for the application's ``event_url``.
        started: The start, in milliseconds of the call clock.
        ended: The end, in milliseconds of the call clock, or None while the recording goes on.
        among: The running recordings of the same leg or the same conversation. They include this recording until
            it ends.
        tracks: The recorded sounds, in the order in which they began.
        only: The UUID of the only leg whose party is recorded, for ``saveAudio``. None to record all parties.
        retention_days: How many days of the call clock the file is kept.
        url: The URL of the file. None until the file is made, and if making it fails.
        is_kept: True once the file is made, or could not be made.
        kept: Called when ``is_kept`` becomes True.
        silence: The timer that ends the recording after enough silence, or None.
        timers: The other timers of the recording.
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
