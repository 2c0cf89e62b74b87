"""Sounds: what is played to a party, what a party says or presses, who hears it, and what is recorded of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voicectl.sandbox.telephony import events
from voicectl.sandbox.telephony.actions import Webhook
from voicectl.sandbox.telephony.base import Office
from voicectl.sandbox.telephony.effects import Keep, Kind, Sounding
from voicectl.sandbox.telephony.recording import Recording, Track
from voicectl.sandbox.telephony.sounds import BEEP, PLATFORM, Heard, Sound, keys, speech

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from voicectl.sandbox.telephony.actions import Record
    from voicectl.sandbox.telephony.sounds import Prompt
    from voicectl.sandbox.telephony.state import Conversation, Leg

_NOTED = {Sound.SPEECH: ("audio:say", "say_id"), Sound.AUDIO: ("audio:play", "play_id")}
"""The events of a conversation that a prompt of the platform makes, and how they name it."""

_REACTION_SECONDS = 1.0
"""How long a party waits before it does what it was asked for, if it is not hurried."""

_HASH_SECONDS = 0.5
"""How long after its key it presses ``#``."""


class Media(Office):
    """An :class:`Office` in which sounds are made."""

    def play(self, leg: Leg, prompt: Prompt) -> Heard:
        """Let the party of *leg* hear *prompt* from now on.

        Prompts of the platform are heard earmuffed or not: earmuffs are against the other legs.
        """
        return self._play_to(leg.conversation, [leg], prompt, leg)

    def cut(self, heard: Heard | None) -> None:
        """Stop a prompt that still plays."""
        if heard is not None and heard.is_on(self.now):
            heard.cut(self.now)
            if heard.on_end is not None:
                heard.on_end("stop")

    def utter(self, leg: Leg, prompt: Prompt) -> Heard:
        """The party of *leg* makes a sound: who hears that leg hears it. It lasts until :meth:`hush` if endless."""
        heard = self._sound(prompt, leg.uuid)
        leg.said = [each for each in leg.said if each.is_on(self.now)] + [heard]
        self._let_hear([other for other in leg.conversation.legs.values() if other.hears(leg)], heard)
        if not leg.is_muted:
            for recording in self._recordings_of(leg):
                recording.tracks.append(Track(heard=heard, speaker=leg.uuid))
        for recording in leg.recordings:
            self._await_silence(leg, recording, heard)
        return heard

    def hush(self, heard: Heard) -> None:
        """The party that made *heard* is silent again."""
        heard.cut(self.now)
        leg = self.live.get(heard.source)
        if leg is None:
            return
        for recording in leg.recordings:
            self._await_silence(leg, recording, heard)

    def part(self, leg: Leg) -> None:
        """*leg* leaves its conversation: it hears no more of the others there, and they no more of it."""
        for heard in leg.said:
            self.cut(heard)
        shared = (leg.conversation.talk, leg.conversation.stream)
        for i, heard in enumerate(leg.heard):
            if heard.is_on(self.now) and (heard.source != PLATFORM or heard in shared):
                leg.heard[i] = replace(heard, until=self.now, on_end=None)  # others go on hearing it

    def speaks(self, leg: Leg, prompt: Prompt) -> None:
        """The party of *leg* says something; what listens to it understands it."""
        heard = self.utter(leg, prompt)
        self._note(leg.conversation, "audio:speaking:on", leg)
        if prompt.seconds is not None:
            self.schedule(
                leg, prompt.seconds, lambda: self._note(leg.conversation, "audio:speaking:off", leg)
            )
        for listener in list(leg.speech_listeners):
            listener(heard)

    def keys_in(self, leg: Leg, digits: str) -> None:
        """The party of *leg* presses keys, one right after the other."""
        self.utter(leg, keys(digits))
        for digit in digits.replace("p", ""):
            self._note(leg.conversation, "audio:dtmf", leg, digit=digit)
            if leg.dtmf_url is not None:
                fields = events.taken(leg, self.now, {"digits": digit, "timed_out": False}, {"results": []})
                self.tell(leg, Kind.INPUT, fields, Webhook(url=leg.dtmf_url, method="POST"))
            for recording in list(leg.recordings):
                if recording.order.end_on_key == digit:
                    self.stop_recording(recording)
            for listener in list(leg.key_listeners):
                listener(digit)

    def asked_for_keys(self, leg: Leg, *, within: float, then_hash: bool, while_: Callable[[], bool]) -> None:
        """Let the party of *leg* press the next of its keys.

        Args:
            leg: The leg.
            within: Seconds that it has; it takes half of them if they are few.
            then_hash: Whether ``#`` is to follow.
            while_: Whether it is still asked for: else it presses nothing.
        """
        pressed = leg.far_end.keys
        if not pressed:
            return
        after = min(_REACTION_SECONDS, within / 2)
        digit = pressed[leg.inputs_seen % len(pressed)]
        leg.inputs_seen += 1
        self._later(leg, after, while_, partial(self.keys_in, leg, digit))
        if then_hash:
            self._later(leg, after + _HASH_SECONDS, while_, partial(self.keys_in, leg, "#"))

    def asked_for_each_key(self, leg: Leg, while_: Callable[[], bool]) -> None:
        """Let the party of *leg* press all its keys, 1 s apart; it does so once in a call."""
        if leg.has_pressed_all:
            return
        leg.has_pressed_all = True
        for i, digit in enumerate(leg.far_end.keys):
            self._later(leg, (i + 1) * _REACTION_SECONDS, while_, partial(self.keys_in, leg, digit))

    def asked_to_speak(
        self, leg: Leg, *, while_: Callable[[], bool], within: float = 2 * _REACTION_SECONDS
    ) -> None:
        """Let the party of *leg* say what it says when it is asked to speak within so many seconds."""
        if leg.far_end.phrase is not None:
            after = min(_REACTION_SECONDS, within / 2)
            said = partial(self.speaks, leg, speech(leg.far_end.phrase, options={}))
            self._later(leg, after, while_, said)

    def _later(self, leg: Leg, seconds: float, while_: Callable[[], bool], do: Callable[[], None]) -> None:
        self.schedule(leg, seconds, lambda: do() if while_() else None)

    def record(
        self,
        leg: Leg,
        order: Record,
        *,
        of: Conversation | None = None,
        only: str | None = None,
        retention_days: int = 30,
    ) -> Recording:
        """Begin to record.

        Args:
            leg: Whose flow asks for it: it follows this leg.
            order: What is asked for.
            of: A conversation to record in place of following the leg.
            only: The leg alone whose party is recorded.
            retention_days: For how long the file is kept.
        """
        conversation = of or leg.conversation
        recording = Recording(
            uuid=self._new_uuid(),
            file_id=self._new_uuid(),
            transcription_id=None if order.transcription is None else self._new_uuid(),
            application_id=conversation.application_id,
            region=conversation.region,
            conversation_uuid=conversation.uuid,
            leg_uuid=leg.uuid,
            order=order,
            events=order.events or leg.order.events,
            started=self.now,
            only=only,
            retention_days=retention_days,
        )
        for each in conversation.legs.values():
            recording.tracks += self._sounding(each, only)
        (leg.recordings if of is None else of.recordings).append(recording)
        self._note(conversation, "audio:record", leg, recording_id=recording.uuid, **_described(order))
        if order.beep_start:
            self.play(leg, BEEP)
        recording.timers.append(self._agenda.after(order.time_out, partial(self.stop_recording, recording)))
        self._await_silence(leg, recording, leg.said[-1] if leg.said else None)
        if of is None and only is None:
            self.asked_to_speak(leg, while_=lambda: recording.ended is None)
        return recording

    def stop_recording(self, recording: Recording) -> None:
        """End a recording and have its file made; nothing, if it has ended."""
        if recording.ended is not None:
            return
        recording.ended = self.now
        for timer in recording.timers:
            timer.cancel()
        leg = self.legs[recording.leg_uuid]
        for recordings in (leg.recordings, leg.conversation.recordings, *self._elsewhere(recording)):
            if recording in recordings:
                recordings.remove(recording)
        self._effects.append(Keep(recording=recording))

    def recorded(self, recording: Recording, *, url: str, size: int) -> None:
        """Say that the file of *recording* is there, of *size* bytes; 0: it could not be made."""
        leg = self.legs[recording.leg_uuid]
        recording.is_kept = True
        if size:
            recording.url = url
            self._tell_of_file(leg, recording, events.recorded(recording, self.now, url, size))
        recording.kept()

    def _tell_of_file(self, leg: Leg, recording: Recording, fields: dict[str, Any]) -> None:
        if recording.only is None:  # else the event of the input tells of it
            self.tell(leg, Kind.RECORD, fields, recording.events)
        conversation = self.conversations.by_uuid.get(recording.conversation_uuid)
        if conversation is not None:
            told = {name: fields[name] for name in ("start_time", "end_time", "size")}
            self._note(
                conversation,
                "audio:record:done",
                leg,
                recording_id=recording.uuid,
                destination_url=recording.url,
                format=recording.order.format,
                **told,
            )

    def transcribed(self, recording: Recording, *, url: str) -> None:
        """Say that the transcription of *recording* is there."""
        wanted = recording.order.transcription
        webhook = recording.events if wanted is None else wanted.events or recording.events
        fields = events.transcribed(recording, url)
        self.tell(self.legs[recording.leg_uuid], Kind.TRANSCRIBED, fields, webhook)

    def understood(self, leg: Leg, speech: dict[str, Any]) -> None:
        """Write down what was made of what the party of *leg* said, or did not say."""
        self._note(leg.conversation, "audio:asr:done", leg, asr=speech)

    def _sounding(self, leg: Leg, only: str | None) -> Iterator[Track]:
        """What is heard of and by *leg* when a recording begins."""
        for heard in leg.heard:
            if heard.source == PLATFORM and heard.is_on(self.now) and only is None:
                yield Track(heard=heard, speaker=None, listener=leg.uuid)
        for heard in leg.said:
            if heard.is_on(self.now) and not leg.is_muted and only in (None, leg.uuid):
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
        id_ = {id_name: self._new_uuid()}
        self._note(conversation, type_, leg, **id_, **heard.prompt.content, **heard.prompt.options)
        heard.on_end = lambda how: self._note(conversation, f"{type_}:{how}", leg, **id_)
        if heard.until is not None:
            self._agenda.after(heard.prompt.seconds or 0, partial(self._prompt_ends, heard))

    def _prompt_ends(self, heard: Heard) -> None:
        if heard.until == self.now and heard.on_end is not None:
            heard.on_end("done")

    def _sound(self, prompt: Prompt, source: str) -> Heard:
        seconds = None if prompt.pcm is not None else prompt.seconds
        until = None if seconds is None else self.now + round(seconds * 1000)
        return Heard(at=self.now, until=until, prompt=prompt, source=source)

    def _let_hear(self, legs: Iterable[Leg], heard: Heard) -> None:
        for leg in legs:
            leg.heard.append(heard)
            if leg.is_socket:
                self._effects.append(Sounding(uuid=leg.uuid, heard=heard))

    def _recordings_of(self, leg: Leg) -> list[Recording]:
        """Those that take down what is heard where *leg* is, and what its party says."""
        found = list(leg.conversation.recordings)
        for other in leg.conversation.legs.values():
            found += (each for each in other.recordings if each.only in (None, leg.uuid))
        return found

    def _await_silence(self, leg: Leg, recording: Recording, heard: Heard | None) -> None:
        """Have *recording* stop once the party of *leg* has been silent for long enough."""
        silence = recording.order.end_on_silence
        if silence is None:
            return
        if recording.silence is not None:
            recording.silence.cancel()
        if heard is not None and heard.until is None:
            return
        sounding = 0 if heard is None or heard.until is None else max(0, heard.until - self.now) / 1000
        recording.silence = self.schedule(leg, sounding + silence, partial(self.stop_recording, recording))

    def _elsewhere(self, recording: Recording) -> list[list[Recording]]:
        conversation = self.conversations.by_uuid.get(recording.conversation_uuid)
        return [] if conversation is None else [conversation.recordings]


def _described(order: Record) -> dict[str, Any]:
    return {
        "format": order.format,
        "split": order.is_split,
        "channels": order.channels,
        "beep_start": order.beep_start,
    }
