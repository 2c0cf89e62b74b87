"""The sounds in calls.

This module plays and records prompts, speech and key tones, and decides which legs hear them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Record, Webhook
from voicectl.sandbox.telephony.agenda import Timer
from voicectl.sandbox.telephony.base import Base
from voicectl.sandbox.telephony.effects import Kind, SaveRecording, SendSound
from voicectl.sandbox.telephony.recording import Recording, Track
from voicectl.sandbox.telephony.sounds import BEEP, PLATFORM, Heard, Prompt, Sound, keys, speech
from voicectl.sandbox.telephony.state import Conversation, Leg

_NOTED = {Sound.SPEECH: ("audio:say", "say_id"), Sound.AUDIO: ("audio:play", "play_id")}
"""The types of the conversation events for prompts, keyed by the kind of prompt.

Each entry also contains the name of the field for the prompt's id in the event.
"""

_REACTION_SECONDS = 1.0
"""The time that a party takes to react if the time limit allows it, in seconds."""

_HASH_SECONDS = 0.5
"""The time between a key press and the ``#`` that a party presses after it, in seconds."""


class Media:
    """An object that plays, stops and records the sounds of all legs.

    Args:
        base: The shared state: the legs, the conversations and the call clock.
        pass_on: A function that is called with each leg that hears a sound, and with that sound.
    """

    def __init__(self, base: Base, *, pass_on: Callable[[Leg, Heard], None]) -> None:
        self._base = base
        self._pass_on = pass_on
        self._unreported: dict[str, Conversation] = {}
        self._when_reported: dict[str, Callable[[], None]] = {}

    def play(self, leg: Leg, prompt: Prompt) -> Heard:
        """Start to play *prompt* to the party on *leg*, and return a record of the sound.

        A leg with earmuffs also hears the prompt, because earmuffs block only the sounds from other legs.
        """
        return self._play_to(leg.conversation, [leg], prompt, leg)

    def play_instead(self, leg: Leg, sound: Sound, prompt: Prompt | None) -> None:
        """Stop the last prompt of the kind *sound* on *leg*. Then play *prompt*, unless *prompt* is None."""
        self.cut(leg.audio.playing.pop(sound, None))
        if prompt is not None:
            leg.audio.playing[sound] = self.play(leg, prompt)

    def play_to_all(self, conversation: Conversation, sound: Sound, prompt: Prompt | None) -> None:
        """Stop the last prompt of the kind *sound* in *conversation*.

        Then play *prompt* to all parties, unless *prompt* is None.
        """
        self.cut(conversation.playing.pop(sound, None))
        if prompt is not None:
            legs = [leg for leg in conversation.legs.values() if leg.is_up and leg.is_joined]
            conversation.playing[sound] = self._play_to(conversation, legs, prompt, None)

    def cut(self, heard: Heard | None) -> None:
        """Stop the sound *heard*, if the sound is still playing."""
        if heard is not None and heard.is_on(self._base.now):
            heard.cut(self._base.now)
            if heard.on_end is not None:
                heard.on_end("stop")
            self._cut_copies(heard)

    def _cut_copies(self, heard: Heard) -> None:
        for copy in heard.copies.values():
            self.cut(copy)

    def make_sound(self, leg: Leg, prompt: Prompt, *, heard_by: frozenset[str] = frozenset()) -> Heard:
        """Start the sound *prompt* on behalf of the party on *leg*, and return a record of the sound.

        All legs that hear this leg hear the sound. An endless sound lasts until :meth:`end_sound` is called. For
        *heard_by*, see :class:`~voicectl.sandbox.telephony.sounds.Heard`.
        """
        heard = self._sound(prompt, leg.uuid)
        heard.heard_by = heard_by
        leg.audio.said = [each for each in leg.audio.said if each.is_on(self._base.now)] + [heard]
        self._let_hear([other for other in leg.conversation.legs.values() if other.hears(leg)], heard)
        if not leg.is_muted:
            for recording in self._recordings_of(leg):
                recording.tracks.append(Track(heard=heard, speaker=leg.uuid))
        self._sounds_until(leg, heard.until)
        return heard

    def end_sound(self, heard: Heard) -> None:
        """End the sound *heard*, because the party who made the sound is silent again."""
        heard.cut(self._base.now)
        self._cut_copies(heard)
        leg = self._base.live.get(heard.source)
        if leg is not None:
            self._sounds_until(leg, heard.until)

    def disconnect(self, leg: Leg) -> None:
        """Stop the sounds between *leg* and the other legs, because *leg* is leaving the conversation."""
        for heard in leg.audio.said:
            self.cut(heard)
        shared = leg.conversation.playing.values()
        for i, heard in enumerate(leg.audio.heard):
            if heard.is_on(self._base.now) and (heard.source != PLATFORM or heard in shared):
                # End a copy, because other legs may go on hearing the original.
                self.cut(heard.copies.pop(leg.uuid, None))
                leg.audio.heard[i] = replace(heard, until=self._base.now, on_end=None)

    def silence(self, leg: Leg) -> None:
        """Stop all sounds that the party on *leg* hears or makes, because the leg is ending."""
        self.disconnect(leg)
        for heard in leg.audio.heard:
            self.cut(heard)

    def speak(self, leg: Leg, prompt: Prompt, *, heard_by: frozenset[str] = frozenset()) -> bool:
        """Say *prompt* on behalf of the party on *leg*, and pass it to the ``input`` actions that are listening.

        Returns:
            False if the speech has no effect because no action, recording or other leg receives it.
        """
        heard = self.make_sound(leg, prompt, heard_by=heard_by)
        conversation = leg.conversation
        self._base.note(conversation, "audio:speaking:on", leg)
        heard.on_end = lambda _how: self._base.note(conversation, "audio:speaking:off", leg)
        if prompt.seconds is not None:
            self._base.schedule(leg, prompt.seconds, partial(self._prompt_ends, heard))
        taken = [listener(heard) for listener in list(leg.audio.speech_listeners)]
        is_recorded = bool(not leg.is_muted and self._recordings_of(leg))
        return any(taken) or is_recorded or self._is_heard(leg)

    def press(self, leg: Leg, digits: str, *, heard_by: frozenset[str] = frozenset()) -> bool:
        """Press the keys in *digits*, in immediate succession, on behalf of the party on *leg*.

        Returns:
            False if the key presses have no effect because no action, webhook, recording or other leg receives them.
        """
        self.make_sound(leg, keys(digits), heard_by=heard_by)
        is_taken = self._is_heard(leg) or leg.audio.dtmf_url is not None
        for digit in digits.replace("p", ""):
            self._base.note(leg.conversation, "audio:dtmf", leg, digit=digit)
            if leg.audio.dtmf_url is not None:
                fields = events.pressed(leg, self._base.now, digit)
                self._base.send_event(leg, Kind.INPUT, fields, Webhook(url=leg.audio.dtmf_url, method="POST"))
            for recording in list(leg.audio.recordings):
                if recording.order.end_on_key == digit:
                    self.stop_recording(recording)
                    is_taken = True
            for listener in list(leg.audio.key_listeners):
                is_taken = listener(digit) or is_taken
        return is_taken

    def listens(self, leg: Leg) -> list[str]:
        """Return the kinds of input from the party on *leg* that would have an effect now: ``dtmf``, ``speech``."""
        if not leg.is_up:
            return []
        inputs, is_heard = leg.audio.inputs, self._is_heard(leg)
        recordings = [] if leg.is_muted else self._recordings_of(leg)
        takes_keys = leg.audio.dtmf_url is not None or any(each.dtmf is not None for each in inputs)
        ends_on_key = any(each.order.end_on_key for each in leg.audio.recordings)
        takes_speech = bool(recordings) or any(each.speech is not None for each in inputs)
        found = {"dtmf": takes_keys or ends_on_key or is_heard, "speech": takes_speech or is_heard}
        return [name for name, is_on in found.items() if is_on]

    def _is_heard(self, leg: Leg) -> bool:
        return any(other.hears(leg) for other in leg.conversation.legs.values())

    def forward_keys(self, leg: Leg, url: str | None) -> None:
        """Report each key press of the party on *leg* to *url*. If *url* is None, stop reporting key presses."""
        leg.audio.dtmf_url = url

    def asked_for_keys(self, leg: Leg, *, within: float, then_hash: bool, while_: Callable[[], bool]) -> None:
        """Make the party on *leg* press the next key.

        Args:
            leg: The leg whose party presses the key.
            within: The time that the party has to press the key, in seconds. The party presses the key after 1 s or
                after half of this time, whichever is shorter.
            then_hash: True if the party presses ``#`` after the key.
            while_: A function that returns True if a key press is still expected. If it returns False, the party does
                not press the key.
        """
        pressed = leg.far_end.keys
        if not pressed:
            return
        after = min(_REACTION_SECONDS, within / 2)
        digit = pressed[leg.audio.inputs_seen % len(pressed)]
        leg.audio.inputs_seen += 1
        self._later(leg, after, while_, partial(self.press, leg, digit))
        if then_hash:
            self._later(leg, after + _HASH_SECONDS, while_, partial(self.press, leg, "#"))

    def asked_for_each_key(self, leg: Leg, while_: Callable[[], bool]) -> None:
        """Make the party on *leg* press all of the party's keys, 1 s apart, as long as *while_* returns True.

        Only the first call of this method for each leg has an effect.
        """
        if leg.audio.has_pressed_all:
            return
        leg.audio.has_pressed_all = True
        for i, digit in enumerate(leg.far_end.keys):
            self._later(leg, (i + 1) * _REACTION_SECONDS, while_, partial(self.press, leg, digit))

    def asked_to_speak(
        self, leg: Leg, *, while_: Callable[[], bool], within: float = 2 * _REACTION_SECONDS
    ) -> None:
        """Make the party on *leg* say the phrase that is defined for the party. If no phrase is defined, do nothing.

        The party speaks after 1 s or after half of *within* seconds, whichever is shorter. If *while_* returns False
        at that time, the party says nothing.
        """
        if leg.far_end.phrase is not None:
            after = min(_REACTION_SECONDS, within / 2)
            said = partial(self.speak, leg, speech(leg.far_end.phrase, options={}))
            self._later(leg, after, while_, said)

    def _later(self, leg: Leg, seconds: float, while_: Callable[[], bool], do: Callable[[], object]) -> None:
        self._base.schedule(leg, seconds, lambda: do() if while_() else None)

    def record(
        self,
        leg: Leg,
        order: Record,
        *,
        of: Conversation | None = None,
        only: str | None = None,
        retention_days: int = 30,
    ) -> Recording:
        """Start a recording and return it.

        Args:
            leg: The leg to which the recording belongs.
            order: The settings of the recording.
            of: The conversation to record. If it is None, the recording follows *leg* from one conversation to the
                next.
            only: The UUID of the only leg whose party is recorded. If it is None, all parties are recorded.
            retention_days: The number of days for which the audio file is kept.
        """
        conversation = of or leg.conversation
        recording = Recording(
            uuid=self._base.new_uuid(),
            file_id=self._base.new_uuid(),
            transcription_id=None if order.transcription is None else self._base.new_uuid(),
            application_id=conversation.application_id,
            region=conversation.region,
            conversation_uuid=conversation.uuid,
            leg_uuid=leg.uuid,
            order=order,
            among=leg.audio.recordings if of is None else of.recordings,
            events=order.events or leg.order.events,
            started=self._base.now,
            only=only,
            retention_days=retention_days,
        )
        for each in conversation.legs.values():
            recording.tracks += self._current_sounds(each, only)
        recording.among.append(recording)
        self._base.note(conversation, "audio:record", leg, recording_id=recording.uuid, **_described(order))
        if order.beep_start:
            self.play(leg, BEEP)
        stop = partial(self.stop_recording, recording)
        recording.timers.append(self._base.agenda.after(order.time_out, stop))
        said = leg.audio.said
        self._await_silence(leg, recording, said[-1].until if said else self._base.now)
        if of is None and only is None:
            self.asked_to_speak(leg, while_=lambda: recording.ended is None)
        return recording

    def stop_recording(self, recording: Recording) -> None:
        """End *recording*, and request the creation of its audio file.

        If the recording has already ended, do nothing.
        """
        if recording.ended is not None:
            return
        recording.ended = self._base.now
        for timer in recording.timers:
            timer.cancel()
        recording.among.remove(recording)
        began_in = self._base.conversations.get(recording.conversation_uuid)
        leg = self._base.legs[recording.leg_uuid]
        self._unreported[recording.uuid] = began_in or leg.conversation
        self._base.emit(SaveRecording(recording=recording))

    def stop_recordings(self, recordings: list[Recording]) -> None:
        """End all recordings in *recordings*, which belong to one leg or one conversation."""
        for recording in list(recordings):
            self.stop_recording(recording)

    def after_recordings(self, conversation: Conversation, act: Callable[[], None]) -> None:
        """Call *act* when the files of all ended recordings of *conversation* have been reported, perhaps now."""
        if conversation in self._unreported.values():
            self._when_reported[conversation.uuid] = act
        else:
            act()

    def recorded(self, recording: Recording, *, url: str, size: int) -> None:
        """Report that the audio file of *recording* is available at *url*.

        *size* is the size of the file in bytes, or 0 if the file could not be created.
        """
        leg = self._base.legs[recording.leg_uuid]
        conversation = self._unreported.pop(recording.uuid)
        recording.is_kept = True
        if size:
            recording.url = url
            self._report_file(
                leg, recording, conversation, events.recorded(recording, self._base.now, url, size)
            )
        recording.kept()
        if act := self._when_reported.pop(conversation.uuid, None):
            self.after_recordings(conversation, act)

    def _report_file(
        self, leg: Leg, recording: Recording, conversation: Conversation, fields: dict[str, Any]
    ) -> None:
        if recording.only is None:  # otherwise the input event carries the URL
            self._base.send_event(leg, Kind.RECORD, fields, recording.events)
        times = {name: fields[name] for name in ("start_time", "end_time", "size")}
        self._base.note(
            conversation,
            "audio:record:done",
            leg,
            recording_id=recording.uuid,
            destination_url=recording.url,
            format=recording.order.format,
            **times,
        )

    def transcribed(self, recording: Recording, *, url: str) -> None:
        """Report that the transcription of *recording* is available at *url*."""
        wanted = recording.order.transcription
        webhook = recording.events if wanted is None else wanted.events or recording.events
        fields = events.transcribed(recording, url)
        self._base.send_event(self._base.legs[recording.leg_uuid], Kind.TRANSCRIBED, fields, webhook)

    def _current_sounds(self, leg: Leg, only: str | None) -> Iterator[Track]:
        """Yield the sounds that the party on *leg* is hearing or making, for a recording that begins now.

        *only* is the UUID of the only leg whose party is recorded, or None if all parties are recorded.
        """
        for heard in leg.audio.heard:
            if heard.source == PLATFORM and heard.is_on(self._base.now) and only is None:
                yield Track(heard=heard, speaker=None, listener=leg.uuid)
        for heard in leg.audio.said:
            if heard.is_on(self._base.now) and not leg.is_muted and only in (None, leg.uuid):
                yield Track(heard=heard, speaker=leg.uuid)

    def _play_to(
        self, conversation: Conversation, legs: Iterable[Leg], prompt: Prompt, only: Leg | None
    ) -> Heard:
        heard = self._sound(prompt, PLATFORM)
        self._let_hear(legs, heard)
        listener = None if only is None else only.uuid
        recordings = conversation.recordings if only is None else self._recordings_of(only)
        for recording in recordings:
            if recording.only is None:
                recording.tracks.append(Track(heard=heard, speaker=None, listener=listener))
        if prompt.sound in _NOTED:
            self._note_prompt(conversation, heard, only)
        return heard

    def _note_prompt(self, conversation: Conversation, heard: Heard, leg: Leg | None) -> None:
        type_, id_name = _NOTED[heard.prompt.sound]
        id_ = {id_name: self._base.new_uuid()}
        self._base.note(conversation, type_, leg, **id_, **heard.prompt.content, **heard.prompt.options)
        timer = Timer(do=None)
        if heard.until is not None:
            timer = self._base.agenda.after(heard.prompt.seconds or 0, partial(self._prompt_ends, heard))

        def ended(how: str) -> None:
            timer.cancel()
            self._base.note(conversation, f"{type_}:{how}", leg, **id_)

        heard.on_end = ended

    def _prompt_ends(self, heard: Heard) -> None:
        if heard.until == self._base.now and heard.on_end is not None:
            heard.on_end("done")

    def _sound(self, prompt: Prompt, source: str) -> Heard:
        seconds = None if prompt.pcm is not None else prompt.seconds
        until = None if seconds is None else self._base.now + round(seconds * 1000)
        return Heard(at=self._base.now, until=until, prompt=prompt, source=source)

    def _let_hear(self, legs: Iterable[Leg], heard: Heard) -> None:
        for leg in legs:
            leg.audio.heard.append(heard)
            if leg.is_socket:
                self._base.emit(SendSound(uuid=leg.uuid, heard=heard))
            self._pass_on(leg, heard)

    def _recordings_of(self, leg: Leg) -> list[Recording]:
        """Return the recordings in progress that include the party on *leg*."""
        found = list(leg.conversation.recordings)
        for other in leg.conversation.legs.values():
            found += (each for each in other.audio.recordings if each.only in (None, leg.uuid))
        return found

    def _sounds_until(self, leg: Leg, until: int | None) -> None:
        for recording in leg.audio.recordings:
            self._await_silence(leg, recording, until)

    def _await_silence(self, leg: Leg, recording: Recording, until: int | None) -> None:
        """Set a timer that stops *recording* when the party on *leg* has been silent for long enough.

        *until* is the time at which the party's current sound ends, or None if this time is not known yet.
        """
        silence = recording.order.end_on_silence
        if silence is None:
            return
        if recording.silence is not None:
            recording.silence.cancel()
        if until is not None:
            after = max(0, until - self._base.now) / 1000 + silence
            recording.silence = self._base.schedule(leg, after, partial(self.stop_recording, recording))


def _described(order: Record) -> dict[str, Any]:
    return {
        "format": order.format,
        "split": order.is_split,
        "channels": order.channels,
        "beep_start": order.beep_start,
    }
