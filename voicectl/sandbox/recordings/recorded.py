"""Functions that return the audio of a recording: the sounds in each channel, and the samples of all channels.

Source: NCCO reference, "record" (``split``, ``channels``); see also docs/sandbox-choices.md.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator

from voicectl.sandbox.recordings.audio import mix
from voicectl.sandbox.recordings.encoding import RATE
from voicectl.sandbox.recordings.espeak import Espeak
from voicectl.sandbox.recordings.tones import from_bytes, to_bytes
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard

BLOCK_MS = 2_000
"""The maximum duration of the sound that is mixed and yielded at a time, in milliseconds."""

SILENCE_MS = 600_000
"""The maximum duration of the silence that is yielded at a time, in milliseconds.

A long silence is split into such parts, so that writing can be stopped after each part.
"""

PER_MS = RATE // 1000
"""The number of samples per millisecond in each channel."""


class Stopped(Exception):
    """Raised to stop the writing of a recording that is no longer needed."""


def split(recording: Recording) -> list[list[Heard]]:
    """Return the sounds in each channel of *recording*.

    The first channel contains the party whose leg is ``recording.leg_uuid``. The last channel contains the remaining
    parties and the platform's prompts. Each channel in between contains one other party. If there are two channels,
    prompts that the party in the first channel does not hear are omitted. A sound that several listeners hear appears
    only once in a channel.
    """
    count = recording.order.channels if recording.order.is_split else 1
    channels: list[dict[Heard, None]] = [{} for _ in range(count)]
    seats = {recording.leg_uuid: 0}
    for track in recording.tracks:
        if count == 1:
            seat = 0
        elif track.speaker is not None:
            seat = seats.setdefault(track.speaker, min(len(seats), count - 1))
        elif count == 2 and track.listener not in (None, recording.leg_uuid):
            continue
        else:
            seat = count - 1
        channels[seat][track.heard] = None
    return [list(heards) for heards in channels]


def sound(
    channels: list[list[Heard]],
    start_ms: int,
    end_ms: int,
    espeak: Espeak,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[bytes | int]:
    """Yield the sound of a period, in the format that is described in :mod:`voicectl.sandbox.recordings.encoding`.

    Args:
        channels: The sounds in each channel.
        start_ms: The beginning of the period, in milliseconds on the call clock.
        end_ms: The end of the period, in milliseconds on the call clock.
        espeak: The speech synthesizer that speaks the text of prompts.
        is_stopped: A function that is called before each block, and returns True if the sound is no longer needed.

    Yields:
        Samples for at most a few seconds, or the number of frames in a silence of at most several minutes.

    Raises:
        Stopped: *is_stopped* returned True.
    """
    waiting = deque(
        sorted(
            ((heard, seat) for seat, heards in enumerate(channels) for heard in heards),
            key=lambda each: each[0].at,
        )
    )
    on: list[list[Heard]] = [[] for _ in channels]
    at, silence = start_ms, 0
    while at < end_ms:
        if is_stopped():
            raise Stopped
        until = min(at + BLOCK_MS, end_ms)
        while waiting and waiting[0][0].at < until:
            heard, seat = waiting.popleft()
            on[seat].append(heard)
        on = [[heard for heard in heards if heard.is_on(at)] for heards in on]
        if not any(on):
            until = min(at + SILENCE_MS, waiting[0][0].at if waiting else end_ms, end_ms)
            silence += (until - at) * PER_MS
            if silence >= SILENCE_MS * PER_MS:
                yield silence
                silence = 0
        else:
            block = _interleave([mix(heards, at, until, RATE, espeak=espeak) for heards in on])
            if block.strip(b"\0"):
                if silence:
                    yield silence
                    silence = 0
                yield block
            else:
                silence += (until - at) * PER_MS
        at = until
    if silence:
        yield silence


def _interleave(channels: list[bytes]) -> bytes:
    if len(channels) == 1:
        return channels[0]
    frames = array("h", bytes(sum(len(channel) for channel in channels)))
    for i, channel in enumerate(channels):
        frames[i :: len(channels)] = from_bytes(channel)
    return to_bytes(frames)
