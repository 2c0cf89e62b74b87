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
        heard: The sound. It may begin before the recording begins, and end after the recording ends.
        speaker: The UUID of the leg whose party made the sound, or None if the platform made the sound.
        listener: The UUID of the leg to which the platform played the sound, or None if the sound was played to all
            legs.
    """

    heard: Heard
    speaker: str | None
    listener: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Recording:
    """A recording of one conversation or one party.

    Attributes:
        uuid: The id of the recording, which is the ``recording_uuid`` in events.
        file_id: The UUID at the end of ``recording_url``.
        transcription_id: The UUID at the end of ``transcription_url``, or None if no transcription was requested.
        conversation_uuid: The id of the conversation in which the recording began.
        leg_uuid: The UUID of the leg to which the recording belongs. If a flow requested the recording, this is the
            leg of the flow. If the recording was requested with ``saveAudio``, this is the recorded leg. If the API
            requested the recording, this is the first answered leg in the conversation. If the recording is split,
            the party on this leg is on the left channel.
        order: The settings of the recording, such as its format and channels.
        events: The webhook for the recording's events. If it is None, the application's ``event_url`` is used.
        started: The time at which the recording began, in milliseconds on the call clock.
        ended: The time at which the recording ended, in milliseconds on the call clock, or None if the recording is
            in progress.
        among: The list of recordings in progress that belong to the same leg or conversation. When this recording
            ends, it is removed from the list.
        tracks: The recorded sounds, in the order in which they began.
        only: The UUID of the only leg whose party is recorded, if the recording was requested with ``saveAudio``. If
            it is None, all parties are recorded.
        retention_days: The number of days on the call clock for which the audio file is kept.
        url: The URL of the audio file, or None if the file has not been created.
        is_kept: True after the attempt to create the file, even if the attempt failed.
        kept: A function that is called when ``is_kept`` becomes True.
        silence: The timer that ends the recording after a silence, or None if no such timer is set.
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
