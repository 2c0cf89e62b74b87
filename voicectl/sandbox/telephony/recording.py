"""Recordings of calls, and the sounds in those recordings."""

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
        speaker: The UUID of the leg whose party made the sound, or None if the platform made it.
        listener: The UUID of the leg to which the platform played the sound, or None for all legs.
    """

    heard: Heard
    speaker: str | None
    listener: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """A recording of one conversation or one party.

    Attributes:
        uuid: The id of the recording, which events contain as ``recording_uuid``.
        file_id: The UUID at the end of ``recording_url``.
        transcription_id: The UUID at the end of ``transcription_url``, or None for no transcription.
        conversation_uuid: The id of the conversation in which the recording began.
        leg_uuid: The UUID of the leg whose flow requested the recording. If ``saveAudio`` requested it, this is the
            recorded leg. If the API requested it, this is the first answered leg in the conversation. If channels are
            split, the party on this leg is on the left channel.
        order: The settings of the recording, such as its format and channels.
        events: The webhook for the recording's events, or None to use the application's ``event_url``.
        started: The moment at which the recording began, on the call clock, in milliseconds since 1970.
        ended: The moment at which the recording ended, in the same unit, or None while it is running.
        among: The list of running recordings of the same leg or conversation. This recording is removed from the
            list when it ends.
        tracks: The recorded sounds, in the order in which they began.
        only: The UUID of the only leg whose party is recorded, for ``saveAudio``. None to record all parties.
        retention_days: How many days on the call clock the audio file is kept.
        url: The URL of the audio file, or None if the file has not been made.
        is_kept: True after the attempt to make the file, whether it succeeded or failed.
        kept: Called when ``is_kept`` becomes True.
        silence: The timer that ends the recording after enough silence, or None if no such timer is set.
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
