"""Functions that generate tones and resample sound. They need only the standard library.

Sound is a ``bytes`` object that contains the signed 16-bit little-endian samples of one channel.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

WIDTH = 2
"""The size of a sample, in bytes."""

LOUDEST = 32_767
RAMP_SECONDS = 0.004
"""The duration of the fade-in and of the fade-out of a tone, in seconds. Fading prevents clicks."""

_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)

DTMF = {
    key: (row, column)
    for row, keys in zip(_ROWS, ("123A", "456B", "789C", "*0#D"), strict=True)
    for column, key in zip(_COLUMNS, keys, strict=True)
}
"""The two frequencies of each telephone key, in hertz (ITU-T Q.23)."""


@lru_cache(maxsize=1024)
def tone(frequencies: tuple[int, ...], amplitude: float, samples: int, rate: int) -> bytes:
    """Return the sound of one or more pure tones that are played at the same time.

    Args:
        frequencies: The frequencies, in hertz.
        amplitude: The amplitude of each tone, from 0 to 1. If the sum of the amplitudes is greater than 1, they are
            reduced.
        samples: The length, in samples.
        rate: The sample rate, in samples per second.
    """
    peak = LOUDEST * min(amplitude, 1 / len(frequencies))
    wave = [0.0] * samples
    for frequency in frequencies:
        step = 2 * math.pi * frequency / rate
        wave = [sum_ + math.sin(step * i) for i, sum_ in enumerate(wave)]
    ramp = min(round(RAMP_SECONDS * rate), samples // 2)
    for i in range(ramp):
        wave[i] *= i / ramp
        wave[-1 - i] *= i / ramp
    return to_bytes(array("h", [int(peak * each) for each in wave]))


def resample(sound: bytes | bytearray, rate: int, wanted: int, first: int, last: int) -> bytes:
    """Convert a part of *sound* to a different sample rate.

    Each sample of the result is the mean of *sound* over the time that the sample covers. If the part extends beyond
    the end of *sound*, the rest of the result is silent. The value of a sample does not depend on the choice of the
    part.

    Args:
        sound: The sound. Another thread may append samples during the call.
        rate: The sample rate of *sound*, in samples per second.
        wanted: The sample rate of the result, in samples per second.
        first: The number of the first sample to return, counted from 0 at the rate *wanted*.
        last: The number of the sample after the last sample to return. It must be at least *first*.
    """
    low, high = first * rate // wanted, -(-last * rate // wanted)
    part = bytes(sound[WIDTH * low : WIDTH * high])
    part = part[: len(part) // WIDTH * WIDTH]
    if rate == wanted:
        return part + bytes(WIDTH * (last - first) - len(part))
    given = from_bytes(part)
    given.extend([0] * (high - low + 1 - len(given)))
    sums = [0, *accumulate(given)]
    edges = []
    for i in range(first, last + 1):
        whole, rest = divmod(i * rate, wanted)
        edges.append(sums[whole - low] * wanted + given[whole - low] * rest)
    return to_bytes(array("h", [(end - start) // rate for start, end in pairwise(edges)]))


def scale(sound: bytes, factor: float) -> bytes:
    """Return *sound* with each sample multiplied by *factor* and clipped to 16 bits."""
    return clip([int(sample * factor) for sample in from_bytes(sound)])


def clip(samples: Sequence[int]) -> bytes:
    """Return *samples* as ``bytes``, clipped to 16 bits."""
    try:
        return to_bytes(array("h", samples))
    except OverflowError:
        return to_bytes(array("h", [max(-LOUDEST - 1, min(LOUDEST, sample)) for sample in samples]))


def from_bytes(sound: bytes) -> array[int]:
    """Return the samples of *sound* as an array."""
    samples = array("h", sound)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def to_bytes(samples: array[int]) -> bytes:
    """Return *samples* as little-endian ``bytes``. *samples* may be changed in place."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
