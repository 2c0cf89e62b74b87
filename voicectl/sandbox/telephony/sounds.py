"""The sounds that a party hears: prompts, and records of when they were heard.

No sound is synthesised or downloaded during a call, so the durations are estimates. Speech lasts as long as
:func:`voicectl.voice.speech.seconds` returns, an audio file lasts :data:`STREAM_SECONDS`, and a key lasts
:data:`KEY_SECONDS`.
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
"""The maximum duration of a text with SSML breaks, in seconds. It equals that of a call."""

PLATFORM = "platform"
"""The source of a sound that no party makes."""


class Sound(StrEnum):
    """The kinds of sound."""

    SPEECH = "speech"
    AUDIO = "audio"
    KEYS = "keys"
    MUSIC = "music"
    BEEP = "beep"


@dataclass(slots=True, eq=False)
class Pcm:
    """Audio that arrives piece by piece from a WebSocket.

    Attributes:
        rate: The number of samples per second.
        samples: The audio so far, as signed 16-bit little-endian samples of one channel.
    """

    rate: int
    samples: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A sound to play to a party, once, several times or for ever.

    Attributes:
        content: The ``text``, ``url`` or ``digits`` of the prompt.
        once: How long it takes to play the prompt once, in seconds.
        loop: How many times to play the prompt, or 0 to play it without end.
        options: Options such as ``loop``, ``level`` and ``language``, as they were given.
        pcm: The audio itself if it comes from a WebSocket, or None.
    """

    sound: Sound
    content: dict[str, str]
    once: float
    loop: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    pcm: Pcm | None = None

    @property
    def seconds(self) -> float | None:
        """How long the prompt plays if nothing stops it, in seconds. None if it is endless."""
        return self.once * self.loop if self.loop else None


def speech(text: str, *, loop: int = 1, options: dict[str, Any]) -> Prompt:
    """Return a prompt that speaks *text*."""
    once = min(spoken.seconds(text), LONGEST_SPEECH_SECONDS)
    return Prompt(sound=Sound.SPEECH, content={"text": text}, once=once, loop=loop, options=options)


def audio(url: str, *, loop: int = 1, options: dict[str, Any]) -> Prompt:
    """Return a prompt that plays the audio file at *url*."""
    return Prompt(sound=Sound.AUDIO, content={"url": url}, once=STREAM_SECONDS, loop=loop, options=options)


def music(url: str) -> Prompt:
    """Return an endless prompt that plays music or a tone to a waiting party."""
    return Prompt(sound=Sound.MUSIC, content={"url": url}, once=STREAM_SECONDS, loop=0)


BEEP = Prompt(sound=Sound.BEEP, content={"beep": "1000 Hz"}, once=BEEP_SECONDS)
"""The tone before a recording, and the beep of voicemail."""


def keys(digits: str) -> Prompt:
    """Return a prompt with the tones of *digits*, in which ``p`` stands for a pause."""
    pauses = digits.count("p")
    once = (len(digits) - pauses) * KEY_SECONDS + pauses * PAUSE_SECONDS
    return Prompt(sound=Sound.KEYS, content={"digits": digits}, once=once)


@dataclass(slots=True, kw_only=True, eq=False)
class Heard:
    """A sound that a party has heard or hears now.

    Attributes:
        at: The start of the sound, in milliseconds of the call clock.
        until: The past or future end of the sound, or None if it lasts until it is stopped.
        source: :data:`PLATFORM`, or the UUID of the leg whose party made the sound.
        on_end: Called with ``done`` when the sound ends by itself, or with ``stop`` when it is stopped.
    """

    at: int
    until: int | None
    prompt: Prompt
    source: str
    on_end: Callable[[str], None] | None = None

    def is_on(self, now: int) -> bool:
        """Return True if the sound can be heard at *now*."""
        return self.until is None or self.until > now

    def cut(self, now: int) -> None:
        """End the sound at *now*, unless it has ended before."""
        if self.is_on(now):
            self.until = now

    def to_json(self, now: int) -> dict[str, Any]:
        """Return the sound as JSON: ``at``, ``kind``, ``from``, content, ``seconds`` heard so far, and options."""
        end = now if self.until is None else min(self.until, now)
        return {
            "at": rfc3339(self.at),
            "kind": self.prompt.sound,
            "from": self.source,
            **self.prompt.content,
            "seconds": (end - self.at) / 1000,
            **self.prompt.options,
        }
