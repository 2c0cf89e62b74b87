"""Transcriptions of recordings. They contain every word, as if speech recognition were perfect.

Source: Vonage documentation on recordings (JSON of a transcription).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from voicectl.sandbox.recordings.sentences import sentences
from voicectl.sandbox.telephony.sounds import Heard, Sound

VERSION = "1.0.0"


def transcript(
    request_id: str, channels: Iterable[Iterable[Heard]], start_ms: int, end_ms: int
) -> dict[str, Any]:
    """Return the transcription of a recording, as a JSON object.

    Args:
        request_id: The id of the transcription, a UUID.
        channels: The sounds in each channel.
        start_ms: The beginning of the recording, in milliseconds on the call clock.
        end_ms: The end of the recording, in milliseconds on the call clock.

    Returns:
        An object with the fields ``ver``, ``request_id`` and ``channels``. Times are in milliseconds from the
        beginning of the recording. Words that were cut off, or that are only partly within the recording, are
        omitted.
    """
    return {
        "ver": VERSION,
        "request_id": request_id,
        "channels": [
            {"duration": end_ms - start_ms, "transcript": _spoken(channel, start_ms, end_ms)}
            for channel in channels
        ],
    }


def _spoken(heards: Iterable[Heard], start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    said = [
        _sentence(words)
        for heard in heards
        if heard.prompt.sound is Sound.SPEECH
        for words in _heard(heard, start_ms, end_ms)
    ]
    return sorted(said, key=lambda each: int(each["timestamp"]))


def _heard(heard: Heard, start_ms: int, end_ms: int) -> Iterator[list[tuple[str, int, int]]]:
    """For each sentence, yield a list of the words that are heard completely.

    Each word has a start time and an end time, in milliseconds.
    """
    prompt, at = heard.prompt, heard.at - start_ms
    first = max(0, -at)
    last = min(end_ms, end_ms if heard.until is None else heard.until) - heard.at
    said = sentences(next(iter(prompt.content.values()), ""))
    length = prompt.once * 1000
    if not said or last <= first:
        return
    turns = math.ceil(last / length)
    for turn in range(math.floor(first / length), min(turns, prompt.loop) if prompt.loop else turns):
        for sentence in said:
            words = []
            for word in sentence.words:
                start, end = (round(turn * length + seconds * 1000) for seconds in (word.start, word.end))
                if first <= start and end <= min(last, math.ceil((turn + 1) * length)) and _bare(word.text):
                    words.append((word.text, at + start, at + end))
            if words:
                yield words


def _sentence(words: list[tuple[str, int, int]]) -> dict[str, Any]:
    start, end = words[0][1], words[-1][2]
    raw = [_bare(text) for text, _, _ in words]
    return {
        "sentence": " ".join(text for text, _, _ in words),
        "raw_sentence": " ".join(raw),
        "duration": end - start,
        "timestamp": start,
        "words": [
            {"word": word, "start_time": begun, "end_time": ended, "confidence": 1.0}
            for word, (_, begun, ended) in zip(raw, words, strict=True)
        ],
    }


def _bare(text: str) -> str:
    """Convert *text* to the form in which speech recognition writes it.

    This form is in lower case, and has no punctuation at the beginning or end.
    """
    return text.strip("".join(each for each in text if not each.isalnum())).lower()
