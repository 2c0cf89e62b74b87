"""The ``input`` action, which listens to a party until the party has finished pressing keys or speaking.

Source: NCCO reference, "input" and "bargeIn rules".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from voicectl.sandbox.telephony.actions import Format, Input, Record
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.media import Media
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.sounds import Heard
from voicectl.sandbox.telephony.state import Leg
from voicectl.voice.speech import CHARACTERS_PER_SECOND

OVERRIDDEN = "Speech overridden by DTMF"
"""The error that the platform reports for speech if the party pressed keys and did not speak."""

CONFIDENCE = "0.92"
"""The confidence with which every phrase is recognised, from 0 to 1. The platform sends this number as a string."""


class InputCollector:
    """An object that collects the key presses or the speech of a party for a synchronous ``input`` action.

    A collector starts to listen when it is created. Its time-outs start when :meth:`begin` is called.

    Args:
        leg: The leg that runs the flow.
        terms: The settings of the ``input`` action.
        base: The shared state: the legs, the conversations and the call clock.
        media: The object that plays sounds to the parties, and records the parties.
        noticed: A function that is called for each key that the party presses, and for each phrase that the party
            says.
        done: A function that is called once, after :meth:`begin` has been called. Its arguments are the ``dtmf`` and
            ``speech`` fields of the ``input`` event, and the recording of the speech, or None if the speech is not
            recorded.
    """

    def __init__(
        self,
        leg: Leg,
        terms: Input,
        base: Base,
        media: Media,
        *,
        noticed: Callable[[], None],
        done: Callable[[dict[str, Any], dict[str, Any], Recording | None], None],
    ) -> None:
        self._leg = leg
        self._terms = terms
        self._base = base
        self._media = media
        self._noticed = noticed
        self._done = done
        self._digits = ""
        self._said: list[str] = []
        self._speech_began: int | None = None
        self._has_begun = False
        self._result: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._key_timer: Timer | None = None
        self._speech_timer: Timer | None = None
        self._recording: Recording | None = None
        dtmf, speech = terms.dtmf, terms.speech
        speaker = leg if speech is None else leg.conversation.legs.get(speech.uuid or leg.uuid, leg)
        self._speech_listeners = speaker.audio.speech_listeners
        leg.audio.key_listeners.append(self._key_pressed)
        self._speech_listeners.append(self._spoke)
        leg.audio.inputs.append(terms)
        if dtmf is not None:
            media.asked_for_keys(
                leg, within=dtmf.time_out, then_hash=dtmf.submit_on_hash, while_=lambda: self.is_open
            )
        if speech is not None:
            media.asked_to_speak(speaker, within=speech.start_timeout, while_=lambda: self.is_open)
            if speech.save_audio:
                order = Record(format=Format.WAV)
                self._recording = media.record(speaker, order, only=speaker.uuid)

    @property
    def is_open(self) -> bool:
        """True if the collector is listening."""
        return self._key_pressed in self._leg.audio.key_listeners

    def begin(self) -> None:
        """Start the time-outs, because the flow has reached the ``input`` action."""
        self._has_begun = True
        if self._result is not None:
            self._done(*self._result, self._recording)
            return
        if self._speech_began is None:
            self._await_key()
            if self._terms.speech is not None:
                self._speech_timer = self._after(self._terms.speech.start_timeout, self._no_speech)

    def close(self) -> None:
        """Stop listening. If the speech is being recorded, end the recording."""
        for timer in (self._key_timer, self._speech_timer):
            if timer is not None:
                timer.cancel()
        if self.is_open:
            self._leg.audio.key_listeners.remove(self._key_pressed)
            self._speech_listeners.remove(self._spoke)
            self._leg.audio.inputs.remove(self._terms)
        if self._recording is not None:
            self._media.stop_recording(self._recording)

    def _key_pressed(self, digit: str) -> bool:
        self._noticed()
        dtmf = self._terms.dtmf
        if dtmf is None or self._result is not None:
            return False
        if digit == "#" and dtmf.submit_on_hash:
            self._finish_keys(timed_out=False)
            return True
        self._digits += digit
        if len(self._digits) >= dtmf.max_digits:
            self._finish_keys(timed_out=False)
        elif self._has_begun:
            self._await_key()
        return True

    def _spoke(self, heard: Heard) -> bool:
        self._noticed()
        speech = self._terms.speech
        if speech is None or self._result is not None or heard.until is None:
            return False
        now = self._base.now
        if self._speech_began is None:
            self._speech_began = now
            if self._key_timer is not None:
                self._key_timer.cancel()
        if self._speech_timer is not None:
            self._speech_timer.cancel()
        self._said.append(heard.prompt.content["text"])
        last = self._speech_began + speech.max_duration * 1000
        if heard.until > last:
            self._speech_timer = self._after(
                (last - now) / 1000, partial(self._spoke_too_long, speech.max_duration)
            )
        else:
            silence = (heard.until - now) / 1000 + speech.end_on_silence
            self._speech_timer = self._after(silence, lambda: self._finish_speech("end_on_silence_timeout"))
        return True

    def _await_key(self) -> None:
        if self._terms.dtmf is None:
            return
        if self._key_timer is not None:
            self._key_timer.cancel()
        self._key_timer = self._after(self._terms.dtmf.time_out, self._no_more_keys)

    def _no_more_keys(self) -> None:
        self._key_timer = None
        if self._digits or self._speech_timer is None:
            self._finish_keys(timed_out=True)

    def _no_speech(self) -> None:
        self._speech_timer = None
        if self._key_timer is None:
            wants_keys = self._terms.dtmf is not None
            dtmf = {"digits": "" if wants_keys else None, "timed_out": wants_keys}
            self._finish(dtmf, {"timeout_reason": "start_timeout", "results": []})

    def _spoke_too_long(self, max_duration: float) -> None:
        text = " ".join(self._said)[: round(max_duration * CHARACTERS_PER_SECOND)]
        self._said = [text.rpartition(" ")[0] or text]
        self._finish_speech("max_duration")

    def _finish_keys(self, *, timed_out: bool) -> None:
        speech: dict[str, Any] = {"results": []}
        if self._terms.speech is not None and timed_out and not self._digits:
            speech["timeout_reason"] = "start_timeout"
        elif self._terms.speech is not None:
            speech = {"error": OVERRIDDEN}
        self._finish({"digits": self._digits, "timed_out": timed_out}, speech)

    def _finish_speech(self, reason: str) -> None:
        results = [{"text": " ".join(self._said), "confidence": CONFIDENCE}]
        self._finish(
            {"digits": self._digits or None, "timed_out": False},
            {"timeout_reason": reason, "results": results},
        )

    def _finish(self, dtmf: dict[str, Any], speech: dict[str, Any]) -> None:
        self._result = dtmf, speech
        self.close()
        if self._has_begun:
            self._done(dtmf, speech, self._recording)

    def _after(self, seconds: float, do: Callable[[], None]) -> Timer:
        return self._base.schedule(self._leg, seconds, do)
