"""Steps that wait for something that a party hears."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from voicectl.core.scenarios import matching
from voicectl.core.scenarios.driver import StepFailed
from voicectl.core.scenarios.matching import BadPattern
from voicectl.core.scenarios.steps import HearAudio, HearExactly, HearMatching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.core.scenarios.driver import Driver
    from voicectl.core.scenarios.stage import Heard, Leg
    from voicectl.core.scenarios.steps import Awaited, Hear, KeysHeard, NotHear

    Found = tuple[Heard, int, int]
    """The sound in which words end, the offset of their end in its text, and the number of words up to there."""

SPEECH, KEYS = "speech", "keys"
AUDIO = ("audio", "music")
LAST = 3
"""The greatest number of sounds in a message. The report lists all."""


def hear(driver: Driver, step: Hear, leg: Leg) -> None:
    """Wait until the words have been spoken, so that what follows comes after them."""
    wanted = matching.words(step.hear)
    search = partial(_spoken, wanted, leg, driver.listened.get(leg.uuid, 0))
    found = driver.wait_for(search, driver.within(step))
    if found is None:
        raise StepFailed(_not_heard(driver, step, leg))
    while (spoken := found[0].spoken_by(found[1])) > driver.stage.now:
        driver.advance(spoken - driver.stage.now)
        found = search()
        if found is None:
            raise StepFailed(f"it was cut off. {_heard(leg)}")
    driver.listened[leg.uuid] = found[2]


def hear_sound(driver: Driver, step: HearExactly | HearMatching | HearAudio, leg: Leg) -> None:
    """Wait until one of the sounds matches."""
    try:
        is_found = driver.wait_until(lambda: any(map(_test_of(step), leg.heard)), driver.within(step))
    except BadPattern as exc:
        raise StepFailed(str(exc)) from exc
    if not is_found:
        raise StepFailed(_not_heard(driver, step, leg))


def not_hear(driver: Driver, step: NotHear, leg: Leg) -> None:
    """Fail if the words are heard."""
    search = partial(_spoken, matching.words(step.not_hear), leg, 0)
    if driver.wait_for(search, step.within or 0) is not None:
        raise StepFailed(f"it was heard. {_heard(leg)}")


def keys_heard(driver: Driver, step: KeysHeard, leg: Leg) -> None:
    """Wait until the party has heard the keys, which may come one at a time."""

    def is_heard() -> bool:
        return step.keys_heard in "".join(sound.text for sound in leg.heard if sound.kind == KEYS)

    if not driver.wait_until(is_heard, driver.within(step)):
        raise StepFailed(_not_heard(driver, step, leg))


def _test_of(step: HearExactly | HearMatching | HearAudio) -> Callable[[Heard], bool]:
    match step:
        case HearExactly():
            return lambda sound: sound.kind == SPEECH and sound.text == step.hear_exactly
        case HearMatching():
            return lambda sound: sound.kind == SPEECH and matching.matches(step.hear_matching, sound.text)
        case HearAudio():
            return lambda sound: (
                sound.kind in AUDIO and sound.text.partition("?")[0].endswith(step.hear_audio)
            )


def _spoken(wanted: list[str], leg: Leg, start: int) -> Found | None:
    """Look for words in what the party has heard, after the first *start* words."""
    words = list(_words(leg))
    end = matching.find(wanted, [word.text for word, _ in words], start)
    if end is None:
        return None
    word, sound = words[end - 1]
    return sound, word.end, end


def _words(leg: Leg) -> Iterator[tuple[matching.Word, Heard]]:
    for sound in leg.heard:
        if sound.kind == SPEECH:
            yield from ((word, sound) for word in matching.spoken(sound.text))


def _not_heard(driver: Driver, step: Awaited, leg: Leg) -> str:
    over = "" if leg.ended_at is None else f" The call ended at {leg.ended_at:g} s ({leg.status})."
    return f"not heard within {driver.within(step):g} s.{over} {_heard(leg)}"


def _heard(leg: Leg) -> str:
    sounds = [f"{each.at:g} s {each.text!r}{' (cut off)' if each.was_cut else ''}" for each in leg.heard]
    return f"Heard{' last' if len(sounds) > LAST else ''}: {', '.join(sounds[-LAST:]) or 'nothing'}."
