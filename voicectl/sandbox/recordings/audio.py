"""Functions that convert the sounds in a call to audio samples.

Audio files are not downloaded. Key presses become telephone tones. Text is spoken by ``espeak-ng`` if that program is
installed. Every other sound becomes a pattern of tones that depends on the URL of the sound, or on the text and the
speaker, so that tests can identify the sound.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import add

from voicectl.sandbox.recordings.espeak import DEFAULT_LANGUAGE, INSTALLED, Espeak, SpeechVoice
from voicectl.sandbox.recordings.sentences import CHARACTER_SECONDS, Sentence, sentences
from voicectl.sandbox.recordings.tones import DTMF, WIDTH, clip, from_bytes, resample, tone
from voicectl.sandbox.telephony.sounds import KEY_SECONDS, PAUSE_SECONDS, PLATFORM, Heard, Prompt, Sound

Piece = tuple[int, bytes]  # the number of the first sample, and the samples


TONE_SECONDS = 0.2
"""The duration of a key tone, in seconds. The rest of :data:`KEY_SECONDS` is a gap before the next tone."""

BEEP_HERTZ = 1000

_PLATFORM_HERTZ = 1700
_SPEAKER_HERTZ, _SPEAKER_STEP, _SPEAKERS = 1800, 12, 128  # above the key tones, below half the sample rate
_LETTER_HERTZ, _LETTER_STEP, _LETTERS = 200, 5, 96  # below the key tones
_SCALE = (523, 587, 659, 784, 880, 1047, 1175, 1319)
_ROOTS = (131, 147, 165, 175, 196, 220, 247, 262)
_NOTE_SECONDS, _CHORD_SECONDS = 0.25, 0.5

_KEY, _SPEECH, _AUDIO, _MUSIC, _BEEP = 0.2, 0.12, 0.2, 0.06, 0.2  # the amplitudes of the tones
_VOICE_GAIN = 0.6
_LOUDER = 4.0  # the volume factor at the highest level


def mix(
    heards: Iterable[Heard], start_ms: int, end_ms: int, rate: int, *, espeak: Espeak = INSTALLED
) -> bytes:
    """Mix the sounds in a period: add the samples of the sounds, clip the sums, and fill gaps with silence.

    A period can be mixed in one call of this function or in several calls, with the same result. ``espeak-ng`` takes
    about 20 ms for each new sentence. If this is too slow, call this function in a thread.

    Args:
        heards: The sounds to mix, in any order. Sounds outside the period are ignored.
        start_ms: The beginning of the period, in milliseconds on the call clock.
        end_ms: The end of the period, in milliseconds on the call clock. It must not be before *start_ms*.
        rate: The sample rate in samples per second, a multiple of 1000, such as 8000, 16000 or 24000.
        espeak: The speech synthesizer that speaks the text of prompts.

    Returns:
        Signed 16-bit little-endian samples of one channel, with *rate* / 1000 samples per millisecond.
    """
    mixed = bytearray(WIDTH * (end_ms - start_ms) * rate // 1000)
    pieces = sorted(
        (piece for heard in heards for piece in _sounds(heard, start_ms, end_ms, rate, espeak)),
        key=lambda piece: piece[0],
    )
    for first, together in _overlapping(pieces):
        sound = together[0][1] if len(together) == 1 else _sum(first, together)
        mixed[WIDTH * first : WIDTH * first + len(sound)] = sound
    return bytes(mixed)


def _sounds(heard: Heard, start_ms: int, end_ms: int, rate: int, espeak: Espeak) -> Iterator[Piece]:
    """Yield the parts of *heard* between *start_ms* and *end_ms*. Samples are numbered from *start_ms* on."""
    first_ms = max(start_ms, heard.at)
    last_ms = end_ms if heard.until is None else min(end_ms, heard.until)
    if first_ms >= last_ms:
        return
    begun = (start_ms - heard.at) * rate // 1000
    first, last = (first_ms - heard.at) * rate // 1000, (last_ms - heard.at) * rate // 1000
    for at, sound in _playing(heard, first, last, rate, espeak):
        low, high = max(first, at), min(last, at + len(sound) // WIDTH)
        if low < high:
            yield low - begun, sound[WIDTH * (low - at) : WIDTH * (high - at)]


def _playing(heard: Heard, first: int, last: int, rate: int, espeak: Espeak) -> Iterator[Piece]:
    """Yield the parts of *heard* that overlap the samples from *first* to *last*. Repeat a prompt that is looped."""
    prompt = heard.prompt
    if prompt.pcm is not None:
        yield first, resample(prompt.pcm.samples, prompt.pcm.rate, rate, first, last)
        return
    length = round(prompt.once * rate)
    if length == 0:
        return
    end = -(-last // length)
    for turn in range(first // length, min(end, prompt.loop) if prompt.loop else end):
        start = turn * length
        for at, sound in _once(heard, max(0, first - start), min(length, last - start), rate, espeak):
            if at < length:
                yield start + at, sound[: WIDTH * (length - at)]


def _once(heard: Heard, first: int, last: int, rate: int, espeak: Espeak) -> Iterator[Piece]:
    prompt = heard.prompt
    gain = _gain(prompt)
    content = next(iter(prompt.content.values()), "")
    match prompt.sound:
        case Sound.KEYS:
            yield from _keys(content, gain, rate)
        case Sound.SPEECH:
            yield from _speech(content, heard, gain, first, last, rate, espeak)
        case Sound.AUDIO:
            notes = [(_SCALE[each % len(_SCALE)],) for each in _digest(content)]
            yield from _melody(notes, _NOTE_SECONDS, _AUDIO * gain, first, last, rate)
        case Sound.MUSIC:
            roots = [_ROOTS[each % len(_ROOTS)] for each in _digest(content)]
            chords = [(root, root * 5 // 4, root * 3 // 2) for root in roots]
            yield from _melody(chords, _CHORD_SECONDS, _MUSIC * gain, first, last, rate)
        case Sound.BEEP:
            yield 0, tone((BEEP_HERTZ,), _BEEP * gain, round(prompt.once * rate), rate)


def _keys(digits: str, gain: float, rate: int) -> Iterator[Piece]:
    seconds = 0.0
    for digit in digits:
        if digit in DTMF:
            yield round(seconds * rate), tone(DTMF[digit], _KEY * gain, round(TONE_SECONDS * rate), rate)
        seconds += PAUSE_SECONDS if digit == "p" else KEY_SECONDS


def _melody(
    notes: Sequence[tuple[int, ...]], seconds: float, amplitude: float, first: int, last: int, rate: int
) -> Iterator[Piece]:
    length = round(seconds * rate)
    for i in range(first // length, -(-last // length)):
        yield i * length, tone(notes[i % len(notes)], amplitude, length, rate)


def _speech(
    text: str, heard: Heard, gain: float, first: int, last: int, rate: int, espeak: Espeak
) -> Iterator[Piece]:
    said = sentences(text)
    language = str(heard.prompt.options.get("language") or DEFAULT_LANGUAGE)
    manner = SpeechVoice(language=language, pitch=_pitch(heard.source), gain=_VOICE_GAIN * gain)
    begin = max(0, bisect_right(said, first / rate, key=lambda each: each.start) - 1)
    for sentence in said[begin:]:
        start, end = round(sentence.start * rate), round(sentence.end * rate)
        if start >= last:
            return
        spoken = espeak.say(sentence.plain, manner, samples=end - start, rate=rate)
        if spoken is not None:
            yield start, spoken
        else:
            yield from _tones(sentence, _hertz(heard.source), _SPEECH * gain, first, last, rate)


def _tones(
    sentence: Sentence, speaker: int, amplitude: float, first: int, last: int, rate: int
) -> Iterator[Piece]:
    """Yield a low tone for each letter and digit, together with a high tone that identifies the speaker."""
    begin = max(0, math.floor((first / rate - sentence.start) / CHARACTER_SECONDS) - 1)
    for i, character in enumerate(sentence.text[begin:], begin):
        start = round((sentence.start + i * CHARACTER_SECONDS) * rate)
        if start >= last:
            return
        if character.isalnum():
            end = round((sentence.start + (i + 1) * CHARACTER_SECONDS) * rate)
            letter = _LETTER_HERTZ + _LETTER_STEP * (ord(character) % _LETTERS)
            yield start, tone((letter, speaker), amplitude, end - start, rate)


def _hertz(source: str) -> int:
    if source == PLATFORM:
        return _PLATFORM_HERTZ
    return _SPEAKER_HERTZ + _SPEAKER_STEP * (zlib.crc32(source.encode()) % _SPEAKERS)


def _pitch(source: str) -> int:
    return 50 if source == PLATFORM else zlib.crc32(source.encode()) % 100


def _gain(prompt: Prompt) -> float:
    """Return the volume factor for the ``level`` of *prompt*: 1/4 at level -1, and 4 at level 1."""
    try:
        level = float(prompt.options.get("level") or 0)
    except (TypeError, ValueError):
        return 1.0
    return _LOUDER ** max(-1.0, min(1.0, level)) if math.isfinite(level) else 1.0


def _digest(content: str) -> bytes:
    return hashlib.sha256(content.encode(errors="replace")).digest()


def _overlapping(pieces: Iterable[Piece]) -> Iterator[tuple[int, list[Piece]]]:
    """Yield groups of overlapping pieces, each with the number of the first sample in the group.

    *pieces* must be sorted by the numbers of their first samples. Pieces in different groups do not overlap.
    """
    together: list[Piece] = []
    begin = end = 0
    for piece in pieces:
        at, sound = piece
        if together and at >= end:
            yield begin, together
            together = []
        if not together:
            begin = end = at
        together.append(piece)
        end = max(end, at + len(sound) // WIDTH)
    if together:
        yield begin, together


def _sum(first: int, pieces: list[Piece]) -> bytes:
    """Return the sum of *pieces*.

    The sum begins with sample number *first*, and ends with the last sample of all pieces.
    """
    end = max(at + len(sound) // WIDTH for at, sound in pieces)
    sums = [0] * (end - first)
    for at, sound in pieces:
        low, high = at - first, at - first + len(sound) // WIDTH
        sums[low:high] = map(add, sums[low:high], from_bytes(sound))
    return clip(sums)
