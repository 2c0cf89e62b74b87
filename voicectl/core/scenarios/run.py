"""Running one test: its steps, in order, on a clock that goes from due time to due time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from voicectl.core.scenarios import expectations, matching
from voicectl.core.scenarios.results import Failure, Result, Sound
from voicectl.core.scenarios.steps import (
    Awaited,
    Connected,
    Hangup,
    Hear,
    HearAudio,
    HearExactly,
    HearMatching,
    NotHear,
    Press,
    Say,
    Step,
    Wait,
    verb_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from voicectl.core.scenarios.model import Call, Test
    from voicectl.core.scenarios.stage import Heard, Leg, Stage

T = TypeVar("T")


class StepFailed(Exception):
    """Raised if a step fails. The message says what was expected, and what happened instead."""


class Run:
    """One run of a test.

    Args:
        stage: The sandbox, in which nothing has happened yet.
    """

    def __init__(self, test: Test, stage: Stage, result: Result) -> None:
        assert test.defaults is not None  # noqa: S101 (the reader sets it)
        self.test = test
        self.stage = stage
        self.result = result
        self.defaults = test.defaults
        self._callers: dict[str, Leg] = {}
        self._listened: dict[str, int] = {}
        """How many of the words that each leg's party heard were expected by earlier steps."""

    def run(self) -> None:
        """Run the test, and add what it finds to the result."""
        first = self._party(None)
        for step in self.test.steps:
            try:
                self._do(step)
            except StepFailed as exc:
                self._fail("step", f"{_shown(step)}: {exc}", step.where)
                break
        else:
            self._finish()
        self._hang_up_all()
        if self.test.expect is not None and not self.result.failures:
            for message in expectations.unmet(self.test.expect, first, self.stage):
                self._fail("expect", message)

    def _do(self, step: Step) -> None:
        leg = self._party(step.as_)
        match step:
            case Hear():
                self._hear(step, leg)
            case HearExactly() | HearMatching() | HearAudio():
                self._hear_sound(step, leg)
            case NotHear():
                self._not_hear(step, leg)
            case Press():
                self._press(step, leg)
            case Say():
                self.stage.act("say", leg=leg.uuid, text=step.say)
            case Wait():
                self.advance(step.wait)
            case Connected():
                self._connected(step, leg)
            case Hangup():
                self.stage.act("hangup", leg=leg.uuid)
            case _:
                raise StepFailed("This step is not supported yet.")

    def wait_for(self, found: Callable[[], T | None], within: float) -> T | None:
        """Let time pass until *found* returns a value, at most for *within* seconds. Return the value, or None."""
        deadline = round(self.stage.now + within, 3)
        while (value := found()) is None:
            if self.stage.now >= deadline:
                return None
            self.stage.step(deadline)
        return value

    def advance(self, seconds: float) -> None:
        """Let time pass on the call clock."""
        end = round(self.stage.now + seconds, 3)
        while self.stage.now < end:
            self.stage.step(end)

    def _within(self, step: Awaited) -> float:
        return self.defaults.within if step.within is None else step.within

    def _party(self, name: str | None) -> Leg:
        calls = {"": self.test.call} if self.test.call else self.test.callers
        if name is None:
            name = next(iter(calls))
        if name in self._callers:
            return self._callers[name]
        call = calls.get(name)
        if call is None:
            leg = self.stage.of(name)
            if leg is None:
                raise StepFailed(f"No call to or from {name} has been made.")
            return leg
        self._callers[name] = self._ring(call)
        return self._callers[name]

    def _ring(self, call: Call) -> Leg:
        body = {"from": call.from_, "to": call.to, "region": call.region, "sip_headers": call.sip_headers}
        uuid = self.stage.act("ring", **{name: value for name, value in body.items() if value})["uuid"]
        leg = self.stage.legs.get(uuid)
        if leg is None:
            raise StepFailed("The sandbox reports no leg for the call.")
        return leg

    def _hear(self, step: Hear, leg: Leg) -> None:
        wanted = matching.words(step.hear)
        found = self.wait_for(partial(self._spoken, wanted, leg), self._within(step))
        if found is None:
            raise StepFailed(self._not_heard(step, leg))
        sound, end, words = found
        # The words count as heard once they have been spoken, so that the next step comes after them.
        self.advance(sound.spoken_by(end) - self.stage.now)
        if (again := self._spoken(wanted, leg)) is None or again[2] != words:
            raise StepFailed("It began, but was cut off.")
        self._listened[leg.uuid] = words

    def _spoken(self, wanted: list[str], leg: Leg) -> tuple[Heard, int, int] | None:
        """Look for words in what *leg* has heard since the last step that heard words.

        Returns:
            The sound in which the words end, the offset of their end in its text, and the number of words up to
            there, or None.
        """
        words = [
            (word, sound)
            for sound in leg.heard
            if sound.kind == "speech"
            for word in matching.spoken(sound.text)
        ]
        end = matching.find(wanted, [word.text for word, _ in words], self._listened.get(leg.uuid, 0))
        if end is None:
            return None
        word, sound = words[end - 1]
        return sound, word.end, end

    def _hear_sound(self, step: HearExactly | HearMatching | HearAudio, leg: Leg) -> None:
        found = self.wait_for(partial(self._matching, step, leg), self._within(step))
        if found is None:
            raise StepFailed(self._not_heard(step, leg))

    def _matching(self, step: HearExactly | HearMatching | HearAudio, leg: Leg) -> Heard | None:
        for sound in leg.heard:
            match step:
                case HearExactly():
                    is_found = sound.kind == "speech" and sound.text == step.hear_exactly
                case HearMatching():
                    is_found = sound.kind == "speech" and matching.matches(step.hear_matching, sound.text)
                case HearAudio():
                    is_found = sound.kind in ("audio", "music") and sound.text.endswith(step.hear_audio)
            if is_found:
                return sound
        return None

    def _not_hear(self, step: NotHear, leg: Leg) -> None:
        if (
            self.wait_for(partial(self._spoken, matching.words(step.not_hear), leg), step.within or 0)
            is not None
        ):
            raise StepFailed("It was heard.")

    def _not_heard(self, step: Awaited, leg: Leg) -> str:
        heard = [f"{sound.at:g} s: {sound.text!r}" for sound in leg.heard]
        over = f" The call ended at {leg.ended_at:g} s ({leg.status})." if leg.ended_at is not None else ""
        return f"not heard within {self._within(step):g} s.{over} Heard: {', '.join(heard) or 'nothing'}."

    def _press(self, step: Press, leg: Leg) -> None:
        if self.wait_for(partial(self._pressed, step, leg), self._within(step)) is None:
            raise StepFailed(f"the application did not listen for keys within {self._within(step):g} s.")

    def _pressed(self, step: Press, leg: Leg) -> bool | None:
        if not leg.is_up:
            return None
        reply = self.stage.act("press", leg=leg.uuid, digits=step.press)
        return True if step.at_once or "had no effect" not in reply.get("remark", "") else None

    def _connected(self, step: Connected, leg: Leg) -> None:
        number = step.connected.removeprefix("+")
        found = self.wait_for(
            lambda: True if any(other.number == number for other in self.stage.beside(leg)) else None,
            self._within(step),
        )
        if found is None:
            others = [
                f"{each.number} ({each.status})" for each in self.stage.legs.values() if each is not leg
            ]
            raise StepFailed(
                f"not connected within {self._within(step):g} s. Other legs: {', '.join(others) or 'none'}."
            )

    def _finish(self) -> None:
        """Let the calls go on until they end, at most for as long as the callers stay on the line."""
        self.wait_for(lambda: True if self._are_over() else None, self.defaults.linger)

    def _are_over(self) -> bool:
        return all(leg.is_over for leg in self.stage.legs.values())

    def _hang_up_all(self) -> None:
        for leg in list(self.stage.legs.values()):
            if leg.is_up:
                self.stage.act("hangup", leg=leg.uuid)
        self.result.call_seconds = self.stage.now
        self.result.log = self.stage.log
        self.result.heard = [
            Sound(at=each.at, party=leg.number, kind=each.kind, text=each.text, was_cut=each.was_cut)
            for leg in self.stage.legs.values()
            for each in leg.heard
        ]

    def _fail(self, kind: str, message: str, where: str = "") -> None:
        self.result.add(Failure(kind=kind, message=message, where=where, at=self.stage.now))


def _shown(step: Step) -> str:
    verb, value = verb_of(step)
    return f"{verb} {value!r}" if not isinstance(value, bool) else verb
