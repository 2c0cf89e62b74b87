"""The sound of a WebSocket endpoint on the call clock, both ways; no event loop and no sockets here.

Source: Vonage WebSocket documentation: 16-bit linear PCM in messages of 20 ms, of which up to 1,024 sent ahead are
kept; keys are messages of text.
"""

from __future__ import annotations

import json
from collections import deque

from voicectl.sandbox.recordings.audio import mix
from voicectl.sandbox.recordings.tones import WIDTH
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.sounds import KEY_SECONDS, PAUSE_SECONDS, Heard, Pcm, Prompt, Sound
from voicectl.sandbox.telephony.state import Leg

FRAME_MS = 20
BUFFERED_FRAMES = 1024
BUFFERED_MS = BUFFERED_FRAMES * FRAME_MS
FRAMES_AT_ONCE = 50

QUIET_MS = 500
"""How long a party must be silent to have stopped speaking."""

LONGEST_UTTERANCE_MS = 60_000
"""After this a party that goes on counts as having begun anew, so that no sound grows without end."""

CACHE_BYTES = 64 * 1024 * 1024
"""How much of what WebSockets said is kept for recordings, of all together; the oldest becomes silence."""


def frame_bytes(rate: int) -> int:
    """The size of a message of audio: 320 bytes at 8000 samples a second, 640 at 16000, 960 at 24000."""
    return rate * FRAME_MS // 1000 * WIDTH


class Feed:
    """What the party of a leg hears, as the messages that its WebSocket gets, in order and without a gap.

    Args:
        leg: Whose party it is.
        rate: Samples a second.
        now: Where the first message begins, in milliseconds of the call clock, as all moments here.

    Attributes:
        lost_ms: How much was left out because the server fell too far behind.
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
        """Have the keys of *heard* told, each as its tone begins."""
        at = float(heard.at)
        for digit in heard.prompt.content["digits"]:
            if digit != "p":
                self._keys.append((round(at), digit, heard))
            at += 1000 * (PAUSE_SECONDS if digit == "p" else KEY_SECONDS)

    def is_due(self, now: int) -> bool:
        """Whether :meth:`take` has anything."""
        return now - self._position >= FRAME_MS or self._is_key_due(now)

    @property
    def has_sound(self) -> bool:
        """Whether the next messages are more than silence: :meth:`take` then takes time, so call it from a thread."""
        heard = self._leg.audio.heard
        self._on += heard[self._seen :]
        self._seen = len(heard)
        self._on = [each for each in self._on if each.is_on(self._position)]
        return bool(self._on)

    def take(self, now: int) -> list[bytes | str]:
        """The next messages up to *now*, at most :data:`FRAMES_AT_ONCE` of sound; call it until there are none.

        A server that is more than :data:`BUFFERED_FRAMES` behind loses the oldest of them: nothing is kept for it.
        """
        behind = now - self._position - BUFFERED_MS
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
        told = []
        while self._is_key_due(until):
            at, digit, heard = self._keys.popleft()
            if heard.is_on(at):  # or it was cut before it came to this one
                event = {"event": "websocket:dtmf", "digit": digit, "duration": round(KEY_SECONDS * 1000)}
                told.append(json.dumps(event))
        return told


class SoundCache:
    """The sounds of parties that have stopped speaking, until there is too much of them.

    Args:
        limit: How much, in bytes.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._sounds: deque[Pcm] = deque()
        self._bytes = 0

    def add(self, sound: Pcm) -> None:
        """Keep *sound*; the oldest lose their samples."""
        self._sounds.append(sound)
        self._bytes += len(sound.samples)
        while self._bytes > self._limit:
            oldest = self._sounds.popleft()
            self._bytes -= len(oldest.samples)
            oldest.samples = bytearray()


class Playout:
    """What the server of a WebSocket sends, said by the party of its leg at the pace of the call clock.

    Samples that are all 0 are silence: they take their time, and nobody hears anything.

    Args:
        exchange: Where it is heard.
        leg: Whose party it is.
        rate: Samples a second.
        cache: Where sounds go that are over.
    """

    def __init__(self, exchange: Exchange, leg: Leg, rate: int, cache: SoundCache) -> None:
        self._exchange = exchange
        self._leg = leg
        self._rate = rate
        self._cache = cache
        self._frame = frame_bytes(rate)
        self._waiting = bytearray()
        self._position = 0.0
        self._quiet_since = 0.0
        self._heard: Heard | None = None
        self._audience = self._who_hears()
        self._sound = Pcm(rate)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be said."""
        return not self._waiting

    def receive(self, samples: bytes) -> int:
        """Take in *samples*, whole ones.

        Returns:
            How many bytes were too many: more than :data:`BUFFERED_FRAMES` wait already.
        """
        if not self._waiting:
            self._position = max(self._position, self._exchange.now)
        room = BUFFERED_FRAMES * self._frame - len(self._waiting)
        whole = len(samples) // WIDTH * WIDTH
        self._waiting += samples[: min(room, whole)]
        return max(0, whole - room)

    def play(self) -> None:
        """Let be heard what is due by now, and fall silent if nothing has come for :data:`QUIET_MS`.

        Until the leg is answered all of it waits.
        """
        now = self._exchange.now
        if not self._leg.is_up:
            self._position = now
            return
        while self._waiting and self._position <= now:
            frame = bytes(self._waiting[: self._frame])
            del self._waiting[: self._frame]
            self._say(frame, now)
        if self._heard is not None and now - self._quiet_since >= QUIET_MS:
            self._end()

    def stop(self) -> None:
        """Be silent, also of what waits."""
        self._waiting.clear()
        self._end()

    def _say(self, frame: bytes, now: int) -> None:
        has_sound = frame != bytes(len(frame))
        if self._heard is not None and not self._may_go_on(self._heard, now):
            self._end()
        if self._heard is None and has_sound:
            self._begin(now)
        if self._heard is not None:
            elapsed = round((self._position - self._heard.at) / 1000 * self._rate) * WIDTH
            samples = self._sound.samples
            samples += bytes(max(0, elapsed - len(samples)))  # nothing came for a while
            samples += frame
        self._position += len(frame) / WIDTH / self._rate * 1000
        if has_sound:
            self._quiet_since = self._position

    def _may_go_on(self, heard: Heard, now: int) -> bool:
        """Whether it is still the same sound, to the same ears: who hears one is settled when it begins."""
        return (
            heard.is_on(now) and now - heard.at < LONGEST_UTTERANCE_MS and self._audience == self._who_hears()
        )

    def _who_hears(self) -> set[str]:
        """The legs and the recordings."""
        conversation = self._leg.conversation
        others = conversation.legs.values()
        recordings = [*conversation.recordings, *(each for leg in others for each in leg.audio.recordings)]
        recorded = set() if self._leg.is_muted else {recording.uuid for recording in recordings}
        return {conversation.uuid} | {leg.uuid for leg in others if leg.hears(self._leg)} | recorded

    def _begin(self, now: int) -> None:
        self._position = now
        self._audience = self._who_hears()
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
