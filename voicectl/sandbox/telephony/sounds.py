"""The sounds that parties hear: prompts, and records of the times at which they were heard.

No sound is synthesised or downloaded during a call, so durations are estimates. The duration of speech is calculated
by :func:`voicectl.voice.speech.seconds`. The duration of an audio file is :data:`STREAM_SECONDS`, and the duration of
a key press is :data:`KEY_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicectl.times import rfc3339
from voicectl.voice import speech as spoken

STREAM_SECONDS = 5.0
KEY_SECONDS = 0.26
PAUSE_SECONDS = 0.5
BEEP_SECONDS = 0.5
LONGEST_SPEECH_SECONDS = 86_400.0
"""The maximum duration of a spoken text, in seconds. This is also the maximum duration of a call."""

PLATFORM = "platform"
"""The ``source`` of sounds that the platform makes."""


class Sound(StrEnum):
    """The possible kinds of sound in a call."""

    SPEECH = "speech"
    AUDIO = "audio"
    KEYS = "keys"
    MUSIC = "music"
    BEEP = "beep"


@dataclass(slots=True, eq=False)
class Pcm:
    """Audio that is received piece by piece from a WebSocket.

    Attributes:
        rate: The number of samples per second.
        samples: The audio that has been received, as signed 16-bit little-endian samples of one channel.
        sounding_ms: The duration of the audio without the silence at its end, in milliseconds.
    """

    rate: int
    samples: bytearray = field(default_factory=bytearray)
    sounding_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A sound that is played once, several times or endlessly.

    Attributes:
        content: The ``text``, ``url`` or ``digits`` of the prompt.
        once: The duration of the prompt when it is played once, in seconds.
        loop: The number of times that the prompt is played, or 0 if it is played endlessly.
        options: Options such as ``loop``, ``level`` and ``language``, as they are in the NCCO or API request.
        pcm: The audio if the sound comes from a WebSocket, or None if it does not.
    """

    sound: Sound
    content: dict[str, str]
    once: float
    loop: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    pcm: Pcm | None = None

    @property
    def seconds(self) -> float | None:
        """The duration of the prompt if nothing stops it, in seconds, or None if the prompt is endless."""
        return self.once * self.loop if self.loop else None


def speech(text: str, *, loop: int = 1, options: dict[str, Any]) -> Prompt:
    """Return a prompt that speaks *text*."""
    once = min(spoken.seconds(text), LONGEST_SPEECH_SECONDS)
    return Prompt(sound=Sound.SPEECH, content={"text": text}, once=once, loop=loop, options=options)


def audio(url: str, *, loop: int = 1, options: dict[str, Any]) -> Prompt:
    """Return a prompt that plays the audio file at *url*."""
    return Prompt(sound=Sound.AUDIO, content={"url": url}, once=STREAM_SECONDS, loop=loop, options=options)


def music(url: str) -> Prompt:
    """Return an endless prompt that plays the music or tone at *url* to a waiting party."""
    return Prompt(sound=Sound.MUSIC, content={"url": url}, once=STREAM_SECONDS, loop=0)


BEEP = Prompt(sound=Sound.BEEP, content={"beep": "1000 Hz"}, once=BEEP_SECONDS)
"""The tone that is played before a recording begins and after a voicemail greeting."""


def keys(digits: str) -> Prompt:
    """Return a prompt that plays the key tones for *digits*, in which ``p`` stands for a pause."""
    pauses = digits.count("p")
    once = (len(digits) - pauses) * KEY_SECONDS + pauses * PAUSE_SECONDS
    return Prompt(sound=Sound.KEYS, content={"digits": digits}, once=once)


@dataclass(slots=True, kw_only=True, eq=False)
class Heard:
    """A record of a sound that parties have heard or are hearing.

    Attributes:
        at: The time at which the sound began, in milliseconds on the call clock.
        until: The time at which the sound ended or will end, in milliseconds on the call clock, or None if the sound
            continues until it is stopped.
        source: :data:`PLATFORM`, or the UUID of the leg whose party made the sound.
        on_end: A function that is called with ``done`` when the sound ends by itself, or with ``stop`` when it is
            stopped.
        heard_by: The UUIDs of the twins through which the sound came to its present listeners, if it came from
            another call.
        copies: The sounds that the twins of listeners make because of this sound, keyed by the listener's UUID. See
            :mod:`voicectl.sandbox.telephony.twins`.
    """

    at: int
    until: int | None
    prompt: Prompt
    source: str
    on_end: Callable[[str], None] | None = None
    heard_by: frozenset[str] = frozenset()
    copies: dict[str, Heard] = field(default_factory=dict)

    @property
    def was_cut(self) -> bool:
        """True if the sound was stopped before its end, or is endless and was stopped."""
        if self.until is None:
            return False
        seconds = self.prompt.seconds
        return seconds is None or self.until < self.at + round(seconds * 1000)

    def is_on(self, now: int) -> bool:
        """Return True if the sound has not ended at the time *now*."""
        return self.until is None or self.until > now

    def cut(self, now: int) -> None:
        """End the sound at the time *now*, unless it has already ended."""
        if self.is_on(now):
            self.until = now

    def to_json(self, now: int) -> dict[str, Any]:
        """Return the sound as a JSON object. The field ``seconds`` is the duration that was heard up to *now*.

        If the sound was cut off, the object has the field ``cut``, and the field ``text`` contains only the text that
        was spoken.
        """
        end = now if self.until is None else min(self.until, now)
        if self.until is None and self.prompt.pcm is not None:
            end = min(now, self.at + self.prompt.pcm.sounding_ms)
        heard = (end - self.at) / 1000
        fields = {
            "at": rfc3339(self.at),
            "kind": self.prompt.sound,
            "from": self.source,
            **self.prompt.content,
            "seconds": heard,
            **self.prompt.options,
        }
        return fields | (self._as_cut(heard) if self._is_cut(now) else {})

    def _is_cut(self, now: int) -> bool:
        is_over = self.until is not None and self.until <= now
        return is_over and self.prompt.seconds is not None and self.was_cut

    def _as_cut(self, heard: float) -> dict[str, Any]:
        text = self.prompt.content.get("text")
        if text is None or heard >= self.prompt.once:
            return {"cut": True}
        return {"text": spoken.beginning(text, heard), "cut": True}
