"""Speech synthesis with the program ``espeak-ng``. The program is optional."""

from __future__ import annotations

import io
import logging
import math
import re
import shutil
import subprocess
import unicodedata
import wave
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from voicectl.sandbox.recordings.tones import WIDTH, resample, scale

PROGRAM = "espeak-ng"
LIMIT_SECONDS = 5.0
"""The time limit for the synthesis of one sentence, in seconds. ``espeak-ng`` usually takes about 20 ms."""

CACHE_BYTES = 16 * 1024 * 1024
CACHE_SENTENCES = 1000
DEFAULT_LANGUAGE = "en-US"

_PACE, _FASTEST = 160, 450  # words per minute
_SPARE_VOICE = "en-us"
_QUIET = 64  # of 32,767; quieter samples at the end of a sentence count as silence
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechVoice:
    """The voice that speaks a sentence.

    Attributes:
        language: The language, as a BCP 47 tag. If ``espeak-ng`` does not know the language, an English voice is
            used.
        pitch: The pitch, from 0 to 99.
        gain: The factor by which the output of ``espeak-ng`` is multiplied.
    """

    language: str
    pitch: int
    gain: float


class Espeak:
    """A speech synthesizer that uses ``espeak-ng``. It caches the most recent sentences.

    Args:
        program: The path of ``espeak-ng``, or None if that program is not installed.
        limit: The time limit for the synthesis of one sentence, in seconds. If the program exceeds the limit, it is
            not used again.
    """

    def __init__(self, program: str | None, *, limit: float = LIMIT_SECONDS) -> None:
        self._program = program
        self._limit = limit
        self._said: OrderedDict[tuple[str, SpeechVoice, int, int], bytes | None] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def say(self, text: str, manner: SpeechVoice, *, samples: int, rate: int) -> bytes | None:
        """Convert *text* to speech of a given length.

        Speech that is too long is sped up, and cut if it is still too long. Speech that is too short is padded with
        silence.

        Args:
            text: The text, without SSML tags.
            manner: The voice that speaks the text.
            samples: The length of the result, in samples.
            rate: The sample rate of the result, in samples per second.

        Returns:
            The 16-bit little-endian samples of one channel, or None if the program cannot speak the text.
        """
        if self._program is None:
            return None
        key = (text, manner, samples, rate)
        with self._lock:
            if key in self._said:
                self._said.move_to_end(key)
                return self._said[key]
        said = self._say(text, manner, samples, rate)
        with self._lock:
            self._bytes += len(said or b"") - len(self._said.pop(key, None) or b"")
            self._said[key] = said
            while self._bytes > CACHE_BYTES or len(self._said) > CACHE_SENTENCES:
                self._bytes -= len(self._said.popitem(last=False)[1] or b"")
        return said

    def _say(self, text: str, manner: SpeechVoice, samples: int, rate: int) -> bytes | None:
        spoken = self._run(text, manner, _PACE)
        if spoken is None:
            return None
        seconds, wanted = spoken.seconds, samples / rate
        if seconds > wanted > 0:
            pace = min(_FASTEST, math.ceil(_PACE * seconds / wanted))
            spoken = self._run(text, manner, pace) or spoken
        return scale(resample(spoken.samples, spoken.rate, rate, 0, samples), manner.gain)

    def _run(self, text: str, manner: SpeechVoice, pace: int) -> _Spoken | None:
        language = manner.language if _LANGUAGE.fullmatch(manner.language) else DEFAULT_LANGUAGE
        for voice in dict.fromkeys((language.lower(), _SPARE_VOICE)):
            if self._program is None:
                return None
            # Never pass SSML: the program obeys <audio> tags, which could name files on this machine.
            command = [self._program, "-v", voice, "-s", str(pace), "-p", str(manner.pitch)]
            try:
                ran = subprocess.run(  # noqa: S603 (a fixed program; foreign text is on standard input)
                    [*command, "-b", "1", "-z", "--stdin", "--stdout"],
                    input=_printable(text).encode(errors="replace"),
                    capture_output=True,
                    timeout=self._limit,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as exc:
                logger.warning("%s is no longer used: %s", self._program, exc)
                self._program = None
                return None
            if ran.returncode == 0 and (spoken := _read(ran.stdout)) is not None:
                return spoken
        return None


@dataclass(frozen=True, slots=True)
class _Spoken:
    samples: bytes
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / WIDTH / self.rate


def _read(file: bytes) -> _Spoken | None:
    """Return the speech in *file*, the output of ``espeak-ng``, without the silence at the end.

    If the output is invalid, return None. The output is a WAV file, but the length in its header is wrong.
    """
    try:
        with wave.open(io.BytesIO(file)) as reader:
            if (reader.getnchannels(), reader.getsampwidth()) != (1, WIDTH):
                return None
            rate, samples = reader.getframerate(), reader.readframes(reader.getnframes())
    except (wave.Error, EOFError):
        return None
    end = len(samples) // WIDTH * WIDTH
    while end and abs(int.from_bytes(samples[end - WIDTH : end], "little", signed=True)) < _QUIET:
        end -= WIDTH
    return _Spoken(samples[:end], rate)


def _printable(text: str) -> str:
    """Replace control characters in *text* with spaces, because ``espeak-ng`` interprets some of them as commands."""
    return "".join(" " if unicodedata.category(each) == "Cc" else each for each in text)


INSTALLED = Espeak(shutil.which(PROGRAM))
"""A synthesizer that uses the ``espeak-ng`` on the PATH. If that program is not installed, it returns no speech."""
