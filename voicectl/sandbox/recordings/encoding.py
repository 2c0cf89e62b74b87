"""Functions that write sound to files.

WAV files are written with the standard library. MP3 and OGG files are written with soundfile, which is installed with
the extra ``audio``.

Sound is an iterable of ``bytes`` objects and integers. A ``bytes`` object contains 16-bit little-endian samples, with
the channels interleaved. An integer represents a silence, and is the number of silent frames. A *frame* consists of
one sample of each channel.
"""

from __future__ import annotations

import importlib
import io
import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path
from types import ModuleType
from typing import Any

from voicectl.sandbox.recordings.tones import WIDTH, from_bytes
from voicectl.sandbox.telephony.actions import Format

Audio = Iterable[bytes | int]


RATE = 16_000
"""The sample rate of every recording, in samples per second."""

MEDIA_TYPES = {Format.WAV: "audio/wav", Format.MP3: "audio/mpeg", Format.OGG: "audio/ogg"}

MAX_WAV_BYTES = 2**32 - 1 - 36
"""The maximum total size of the samples in a WAV file, in bytes. The file's header cannot express a larger size."""

_BLOCK = RATE  # the number of silent frames to write at a time
_MP3_SAMPLES, _MP3_BYTES = 576, 144  # the size of an MP3 frame, which is not a *frame* as defined above
_MP3_COMPRESSION = 1 - (32 - 8) / (160 - 8)  # 32 kbit/s; the range of libsndfile is 8 to 160 kbit/s
_MP3_FED = 64  # how many MP3 frames of each long silence are encoded
_MP3_SAME = 8  # how many MP3 frames on either side of a repeated frame must be equal to that frame

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OGG_SERIAL = b"vctl"


def find_library() -> ModuleType | None:
    """Return the module ``soundfile``, or None if the module or the library that it needs is not installed."""
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError):
        return None


def write(
    path: Path,
    make: Callable[[], Audio],
    *,
    wanted: Format,
    channels: int,
    frames: int,
    library: ModuleType | None,
) -> None:
    """Write sound to a new file.

    Args:
        path: The path of the file.
        make: A function that returns the sound. It may be called several times, and must return the whole sound each
            time.
        wanted: The format. All formats except WAV need *library*.
        channels: The number of channels. For formats other than WAV, the maximum is 2.
        frames: The total number of frames. For WAV, the samples must not exceed :data:`MAX_WAV_BYTES`.
        library: The module ``soundfile``, or None if the module is not installed.

    Raises:
        OSError: The file could not be written. An incomplete file may remain.
    """
    if wanted is Format.WAV:
        _write_wav(path, make(), channels, frames)
        return
    if library is None:
        raise ValueError(f"{wanted} recordings need the Python package soundfile")
    try:
        if wanted is Format.MP3:
            # The encoder writes no file if there are no samples, so encode one silent frame.
            _write_mp3(path, make if frames else lambda: [1], channels, library)
        else:
            _write_ogg(path, make(), channels, library)
    except library.SoundFileError as exc:
        raise OSError(str(exc)) from exc


def _write_wav(path: Path, audio: Audio, channels: int, frames: int) -> None:
    width = channels * WIDTH
    size = frames * width
    header = struct.pack("<4sL4s4sLHH", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels)
    header += struct.pack("<LLHH4sL", RATE, RATE * width, width, 8 * WIDTH, b"data", size)
    with path.open("xb") as file:
        file.write(header)
        for part in audio:
            if isinstance(part, int):
                file.seek(part * width, io.SEEK_CUR)  # leaves a hole: silence takes no disk space
            else:
                file.write(part)
        file.truncate()


def _write_ogg(path: Path, audio: Audio, channels: int, library: ModuleType) -> None:
    _encode(path, _blocks(audio, channels), channels, library, format="OGG", subtype="VORBIS")
    _renumber(path)


def _renumber(path: Path) -> None:
    """Set the serial number in all pages of an OGG file to a fixed value.

    The encoder chooses a random serial number, but sandboxes with the same seed must produce the same files. The
    header of a page has 27 bytes, with the serial number at offset 14, the checksum at offset 22, and the number of
    segments at offset 26. The lengths of the segments follow the header.

    Source: RFC 3533, section 6.
    """
    with path.open("r+b") as file:
        while page := bytearray(file.read(27)):
            lengths = file.read(page[26])
            page += lengths + file.read(sum(lengths))
            page[14:18] = _OGG_SERIAL
            page[22:26] = bytes(4)
            page[22:26] = _ogg_checksum(page)
            file.seek(-len(page), io.SEEK_CUR)
            file.write(page)


def _ogg_checksum(page: bytearray) -> bytes:
    """Return the checksum of an OGG page.

    The checksum is zlib's CRC-32, but with reversed bits and with an initial value of 0 instead of all ones.
    """
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return crc.to_bytes(4, "big").translate(_REVERSED)


def _write_mp3(path: Path, make: Callable[[], Audio], channels: int, library: ModuleType) -> None:
    """Write an MP3 file at 32 kbit/s.

    The encoder takes about 7 s for each hour of sound, even for silence. However, all MP3 frames of a long silence
    are equal, except the first few. For this reason, only the beginning of a silence is encoded, and then one of the
    equal MP3 frames is repeated.
    """
    copies: list[tuple[int, int]] = []  # the number of an MP3 frame, and how many copies of it to insert
    _encode_mp3(path, _without_long_silence(make(), channels, copies), channels, library)
    if not copies:
        return
    parts = _with_copies(path.read_bytes(), copies)
    path.unlink()
    if parts is None:
        _encode_mp3(path, _blocks(make(), channels), channels, library)
        return
    with path.open("xb") as file:
        for part, times in parts:
            file.writelines(repeat(part, times))


def _encode_mp3(path: Path, blocks: Iterable[bytes], channels: int, library: ModuleType) -> None:
    kind = {"format": "MP3", "subtype": "MPEG_LAYER_III"}
    rate = {"bitrate_mode": "CONSTANT", "compression_level": _MP3_COMPRESSION}
    _encode(path, blocks, channels, library, **kind, **rate)


def _without_long_silence(audio: Audio, channels: int, copies: list[tuple[int, int]]) -> Iterator[bytes]:
    written = 0
    for part in audio:
        if not isinstance(part, int):
            written += len(part) // (channels * WIDTH)
            yield part
            continue
        left_out = max(0, part // _MP3_SAMPLES - _MP3_FED)
        if left_out:
            copies.append((written // _MP3_SAMPLES + _MP3_FED // 2, left_out))
        frames = part - left_out * _MP3_SAMPLES
        written += frames
        yield from _blocks([frames], channels)


def _with_copies(data: bytes, copies: list[tuple[int, int]]) -> list[tuple[bytes, int]] | None:
    """Split an MP3 file into parts, so that long silences can be written by repeating a part.

    Return each part with the number of times that it must be written. If the encoded silence does not consist of
    equal MP3 frames, no MP3 frame can be repeated. In this case, return None.
    """
    if len(data) % _MP3_BYTES or b"Xing" in data[:_MP3_BYTES] or b"Info" in data[:_MP3_BYTES]:
        return None
    parts = []
    begin = 0
    for frame, times in copies:
        at = frame * _MP3_BYTES
        repeated = data[at : at + _MP3_BYTES]
        around = data[at - _MP3_SAME * _MP3_BYTES : at + (_MP3_SAME + 1) * _MP3_BYTES]
        if around != repeated * (2 * _MP3_SAME + 1):
            return None
        parts += [(data[begin:at], 1), (repeated, times)]
        begin = at
    return [*parts, (data[begin:], 1)]


def _encode(path: Path, blocks: Iterable[bytes], channels: int, library: ModuleType, **kind: Any) -> None:
    with library.SoundFile(path, "x", samplerate=RATE, channels=channels, **kind) as file:
        for block in blocks:
            file.buffer_write(_wide(block), dtype="int32")


def _blocks(audio: Audio, channels: int) -> Iterator[bytes]:
    """Yield *audio* as blocks of samples. Silence is converted to zeros."""
    for part in audio:
        if isinstance(part, int):
            for begin in range(0, part, _BLOCK):
                yield bytes(min(_BLOCK, part - begin) * channels * WIDTH)
        else:
            yield part


def _wide(block: bytes) -> bytes:
    """Convert *block* to 32 bits per sample, in the machine's byte order.

    This is necessary because libsndfile writes noise to an MP3 file if it receives 16-bit samples of two channels
    (libsndfile pull request 1106).
    """
    wide = array("h", bytes(2 * len(block)))
    wide[1 if sys.byteorder == "little" else 0 :: 2] = from_bytes(block)
    return wide.tobytes()
