"""Shared parts of the tests of sound: sounds, and functions that analyze them."""

from __future__ import annotations

import math
import zlib
from array import array

from voicectl.sandbox.recordings.audio import mix
from voicectl.sandbox.recordings.espeak import Espeak
from voicectl.sandbox.telephony.sounds import PLATFORM, Heard, Pcm, Prompt, Sound

MUTE = Espeak(None)
"""An Espeak without a program, so that all machines use tones."""

RATES = (8000, 16_000, 24_000)
ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
KEYS = {(ROWS[i // 4], COLUMNS[i % 4]): key for i, key in enumerate("123A456B789C*0#D")}


def heard(prompt: Prompt, at: int = 0, *, until: int | None = None, source: str = PLATFORM) -> Heard:
    """Return *prompt* as heard from *at* to its own end, unless it is cut before."""
    if until is None and prompt.seconds is not None:
        until = at + round(prompt.seconds * 1000)
    return Heard(at=at, until=until, prompt=prompt, source=source)


def pcm(samples: list[int], rate: int = 16_000) -> Prompt:
    """Return sound from a WebSocket."""
    sound = Pcm(rate, bytearray(array("h", samples).tobytes()))
    return Prompt(sound=Sound.AUDIO, content={}, once=0, loop=0, pcm=sound)


def render(*heards: Heard, to: int, start: int = 0, rate: int = 16_000) -> list[int]:
    """Return the samples of *heards* between two times, in milliseconds."""
    return array("h", mix(heards, start, to, rate, espeak=MUTE)).tolist()


def strength(samples: list[int], hertz: float, rate: int = 16_000) -> float:
    """Return the amplitude of one frequency in *samples*, by the Goertzel algorithm."""
    coefficient = 2 * math.cos(2 * math.pi * hertz / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 2 * math.sqrt(max(0.0, power)) / max(1, len(samples))


def speaker_hertz(source: str) -> int:
    """Return the high tone that marks a speaker without espeak-ng; see docs/sandbox-choices.md."""
    return 1700 if source == PLATFORM else 1800 + 12 * (zlib.crc32(source.encode()) % 128)


def key_in(samples: list[int], rate: int = 16_000) -> str | None:
    """Return the key whose two tones, and no other key tones, are in *samples*."""
    found = {hertz for hertz in ROWS + COLUMNS if strength(samples, hertz, rate) > 1500}
    return next((key for tones, key in KEYS.items() if found == set(tones)), None)


def keys_in(samples: list[int], rate: int = 16_000) -> str:
    """Return the keys pressed in *samples*, in order, as a receiver detects them in windows of 30 ms."""
    step = rate * 30 // 1000
    pressed, present = "", None
    for start in range(0, len(samples) - step + 1, step):
        key = key_in(samples[start : start + step], rate)
        if key is not None and key != present:
            pressed += key
        present = key
    return pressed
