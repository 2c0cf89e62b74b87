"""Samples: tones made, and sound of one rate brought to another. The standard library is enough.

Samples are signed 16-bit little-endian, one channel, in ``bytes``.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

WIDTH = 2
"""Bytes of a sample."""

LOUDEST = 32_767
RAMP_SECONDS = 0.004
"""How long a tone takes to swell and to fade: without it each would begin and end in a click."""

_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)

DTMF = {
    key: (row, column)
    for row, keys in zip(_ROWS, ("123A", "456B", "789C", "*0#D"), strict=True)
    for column, key in zip(_COLUMNS, keys, strict=True)
}
"""The two frequencies of each key, in hertz (ITU-T Q.23)."""


@lru_cache(maxsize=1024)
def tone(frequencies: tuple[int, ...], amplitude: float, samples: int, rate: int) -> bytes:
    """Several pure tones at once.

    Args:
        frequencies: In hertz.
        amplitude: Of each, where 1 is the loudest there is; less is taken where their sum would be louder.
        samples: How long.
        rate: Samples a second.
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
    """The samples from *first* to before *last* that *sound* has at another rate.

    Each is the mean of *sound* over the time that it covers; what comes after the end of *sound* is silence.
    Any part of the result is the same whether it is asked for alone or with others.

    Args:
        sound: Samples at *rate* a second; it may grow meanwhile.
        rate: Of *sound*.
        wanted: The rate of the result, in which *first* and *last* count.
        first: 0 or more.
        last: *first* or more.
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
    """*sound*, louder or softer; what gets too loud is clipped."""
    return clip([int(sample * factor) for sample in from_bytes(sound)])


def clip(samples: Sequence[int]) -> bytes:
    """*samples*, with those that 16 bits cannot hold brought to the nearest that they can."""
    try:
        return to_bytes(array("h", samples))
    except OverflowError:
        return to_bytes(array("h", [max(-LOUDEST - 1, min(LOUDEST, sample)) for sample in samples]))


def from_bytes(sound: bytes) -> array[int]:
    """The samples in *sound*."""
    samples = array("h", sound)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def to_bytes(samples: array[int]) -> bytes:
    """Undo :func:`from_bytes`; *samples* are used up."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
