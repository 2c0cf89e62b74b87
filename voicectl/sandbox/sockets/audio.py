"""The audio that is sent to and received from a WebSocket server, in time with the call clock.

This module uses neither an event loop nor sockets. Audio is 16-bit linear PCM, in messages of 20 ms each. A server
may send up to 3,072 messages before they are played. It can discard these messages, or ask to be notified when they
have been played. Key presses are sent to the server as text messages.

Source: Vonage WebSocket documentation, and public integrations for clearing and notifications.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable

from voicectl.sandbox.recordings.audio import mix
from voicectl.sandbox.recordings.tones import WIDTH
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.sounds import KEY_SECONDS, PAUSE_SECONDS, Heard, Pcm, Prompt, Sound
from voicectl.sandbox.telephony.state import Leg

FRAME_MS = 20
BUFFERED_MESSAGES = 3072
"""The maximum number of audio frames from a server that can wait to be played. Each frame has 20 ms of audio."""

MAX_BEHIND_MS = 1024 * FRAME_MS
FRAMES_AT_ONCE = 50

QUIET_MS = 500
"""The duration of silence that ends a party's sound, in milliseconds."""

LONGEST_UTTERANCE_MS = 60_000
"""The maximum duration of a sound, in milliseconds. When a party speaks for longer, a new sound begins."""

CACHE_BYTES = 64 * 1024 * 1024
"""The maximum total size of the WebSocket sounds that are kept for recordings, in bytes.

When the limit is exceeded, the oldest sounds are replaced with silence.
"""


def frame_bytes(rate: int) -> int:
    """Return the size of an audio message in bytes: 320 at 8000 samples per second, 640 at 16000, 960 at 24000."""
    return rate * FRAME_MS // 1000 * WIDTH


class Feed:
    """The messages to send to a WebSocket server. They contain the key presses and the sound that the server hears.

    The messages are in order and without gaps. All times are in milliseconds on the call clock.

    Args:
        leg: The leg that called the WebSocket.
        rate: The sample rate, in samples per second.
        now: The time at which the first message begins.

    Attributes:
        lost_ms: The duration of the sound that was skipped because the server fell too far behind, in milliseconds.
    """

    def __init__(self, leg: Leg, rate: int, now: int) -> None:
        self.lost_ms = 0
        self._leg = leg
        self._rate = rate
        self._position = now
        self._seen = 0
        self._on: list[Heard] = []
        self._keys: deque[tuple[int, str, Heard]] = deque()

    def press(self, heard: Heard) -> None:
        """Queue a message for each key tone in the sound *heard*. The message is due when the tone begins."""
        at = float(heard.at)
        for digit in heard.prompt.content["digits"]:
            if digit != "p":
                self._keys.append((round(at), digit, heard))
            at += 1000 * (PAUSE_SECONDS if digit == "p" else KEY_SECONDS)

    def is_due(self, now: int) -> bool:
        """Return True if any messages are due at the time *now*."""
        return now - self._position >= FRAME_MS or self._is_key_due(now)

    @property
    def has_sound(self) -> bool:
        """True if the next messages contain more than silence.

        If they do, :meth:`take` is slow and should be called in a thread.
        """
        heard = self._leg.audio.heard
        self._on += heard[self._seen :]
        self._seen = len(heard)
        self._on = [each for each in self._on if each.is_on(self._position)]
        return bool(self._on)

    def take(self, now: int) -> list[bytes | str]:
        """Return messages that are due at the time *now*, with at most :data:`FRAMES_AT_ONCE` frames of sound.

        Call this method repeatedly until it returns an empty list. If the server is more than :data:`MAX_BEHIND_MS`
        behind, the oldest frames are skipped.
        """
        behind = now - self._position - MAX_BEHIND_MS
        if behind > 0:
            skipped = -(-behind // FRAME_MS) * FRAME_MS
            self.lost_ms += skipped
            self._position += skipped
        count = min((now - self._position) // FRAME_MS, FRAMES_AT_ONCE)
        size = frame_bytes(self._rate)
        sound = self._sound(self._position, self._position + count * FRAME_MS)
        messages: list[bytes | str] = []
        for start in range(0, count * size, size):
            messages += self._take_keys(self._position)
            messages.append(sound[start : start + size])
            self._position += FRAME_MS
        if now - self._position < FRAME_MS:
            messages += self._take_keys(now)
        return messages

    def _sound(self, start: int, end: int) -> bytes:
        if not self.has_sound:
            return bytes((end - start) // FRAME_MS * frame_bytes(self._rate))
        return mix(self._on, start, end, self._rate)

    def _is_key_due(self, now: int) -> bool:
        return bool(self._keys) and self._keys[0][0] <= now

    def _take_keys(self, until: int) -> list[str]:
        messages = []
        while self._is_key_due(until):
            at, digit, heard = self._keys.popleft()
            if heard.is_on(at):  # false if the sound was cut before this key
                event = {"event": "websocket:dtmf", "digit": digit, "duration": round(KEY_SECONDS * 1000)}
                messages.append(json.dumps(event))
        return messages


class SoundCache:
    """A cache for the finished sounds of WebSocket parties. The total size is limited.

    Args:
        limit: The maximum size of all sounds together, in bytes.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._sounds: deque[Pcm] = deque()
        self._bytes = 0

    def add(self, sound: Pcm) -> None:
        """Add *sound*. If the limit is exceeded, discard the samples of the oldest sounds."""
        self._sounds.append(sound)
        self._bytes += len(sound.samples)
        while self._bytes > self._limit:
            oldest = self._sounds.popleft()
            self._bytes -= len(oldest.samples)
            oldest.samples = bytearray()


class Playout:
    """A player that lets other parties hear the audio from a WebSocket server, in time with the call clock.

    A frame that contains only zeros counts as silence.

    Args:
        exchange: The exchange that plays the sound to other parties.
        leg: The leg that called the WebSocket.
        rate: The sample rate, in samples per second.
        cache: The cache for sounds that have ended.
        on_played: A function that is called with a notice from :meth:`notify` when the audio before the notice has
            been played.
    """

    def __init__(
        self, exchange: Exchange, leg: Leg, rate: int, cache: SoundCache, on_played: Callable[[str], None]
    ) -> None:
        self._exchange = exchange
        self._leg = leg
        self._rate = rate
        self._cache = cache
        self._on_played = on_played
        self._frame = frame_bytes(rate)
        self._waiting = bytearray()
        self._ends: deque[int] = (
            deque()
        )  # where each waiting message ends, counted in bytes from the first one
        self._notices: deque[tuple[int, str]] = deque()
        self._played = 0
        self._position = 0.0
        self._quiet_since = 0.0
        self._heard: Heard | None = None
        self._audience = self._listeners()
        self._sound = Pcm(rate)

    @property
    def is_idle(self) -> bool:
        """True if no audio is waiting to be played."""
        return not self._waiting

    def receive(self, samples: bytes) -> int:
        """Add the audio message *samples* to the buffer. Ignore an incomplete sample at the end of the message.

        Returns:
            The number of bytes that were dropped because the buffer was full.
        """
        if not self._waiting:
            self._position = max(self._position, self._exchange.now)
        has_room = len(self._ends) < BUFFERED_MESSAGES
        room = BUFFERED_MESSAGES * self._frame - len(self._waiting) if has_room else 0
        whole = len(samples) // WIDTH * WIDTH
        if added := samples[: min(room, whole)]:
            self._waiting += added
            self._ends.append(self._played + len(self._waiting))
        return max(0, whole - room)

    def notify(self, notice: str) -> bool:
        """Report *notice* as soon as all audio that is now in the buffer has been played.

        Returns:
            False if *notice* was ignored because :data:`BUFFERED_MESSAGES` notices are already waiting.
        """
        if len(self._notices) >= BUFFERED_MESSAGES:
            return False
        self._notices.append((self._played + len(self._waiting), notice))
        self._report()
        return True

    def clear(self) -> None:
        """End the current sound immediately. Discard the audio in the buffer and all waiting notices."""
        self._waiting.clear()
        self._ends.clear()
        self._notices.clear()
        self._position = min(self._position, self._exchange.now)
        self._end()

    def play(self) -> None:
        """Play the audio that is due. End the current sound after a silence of :data:`QUIET_MS`.

        Nothing is played before the leg is answered.
        """
        now = self._exchange.now
        if not self._leg.is_up:
            self._position = now
            return
        while self._waiting and self._position <= now:
            self._report()
            frame = bytes(self._waiting[: self._frame])
            del self._waiting[: self._frame]
            self._played += len(frame)
            while self._ends and self._ends[0] <= self._played:
                self._ends.popleft()
            self._say(frame, now)
        self._report()
        if self._heard is not None and now - self._quiet_since >= QUIET_MS:
            self._end()

    def stop(self) -> None:
        """End the current sound, and discard the audio that is waiting to be played."""
        self.clear()

    def _report(self) -> None:
        """Report each notice whose audio has been played completely."""
        is_silent = self._position <= self._exchange.now
        while is_silent and self._notices and self._notices[0][0] <= self._played:
            self._on_played(self._notices.popleft()[1])

    def _say(self, frame: bytes, now: int) -> None:
        has_sound = frame != bytes(len(frame))
        if self._heard is not None and not self._may_go_on(self._heard, now):
            self._end()
        if self._heard is None and has_sound:
            self._begin(now)
        if self._heard is not None:
            elapsed = round((self._position - self._heard.at) / 1000 * self._rate) * WIDTH
            samples = self._sound.samples
            samples += bytes(max(0, elapsed - len(samples)))  # silence for the time in which no audio arrived
            samples += frame
            if has_sound:
                self._sound.sounding_ms = len(samples) // WIDTH * 1000 // self._rate
        self._position += len(frame) / WIDTH / self._rate * 1000
        if has_sound:
            self._quiet_since = self._position

    def _may_go_on(self, heard: Heard, now: int) -> bool:
        """Return False if the sound *heard* has been cut, is too long, or now has different listeners."""
        return (
            heard.is_on(now) and now - heard.at < LONGEST_UTTERANCE_MS and self._audience == self._listeners()
        )

    def _listeners(self) -> set[str]:
        """Return the ids of the party's conversation, of its recordings, and of the legs that hear the party."""
        conversation = self._leg.conversation
        others = conversation.legs.values()
        recordings = [*conversation.recordings, *(each for leg in others for each in leg.audio.recordings)]
        recorded = set() if self._leg.is_muted else {recording.uuid for recording in recordings}
        return {conversation.uuid} | {leg.uuid for leg in others if leg.hears(self._leg)} | recorded

    def _begin(self, now: int) -> None:
        self._position = now
        self._audience = self._listeners()
        self._sound = Pcm(self._rate)
        prompt = Prompt(
            sound=Sound.AUDIO, content={"url": self._leg.to["uri"]}, once=0, loop=0, pcm=self._sound
        )
        self._heard = self._exchange.media.make_sound(self._leg, prompt)

    def _end(self) -> None:
        if self._heard is not None:
            self._heard.cut(min(self._exchange.now, round(self._quiet_since)))
            self._exchange.media.end_sound(self._heard)
            self._heard = None
            self._cache.add(self._sound)
