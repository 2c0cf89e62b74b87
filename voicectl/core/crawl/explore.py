"""The exploration of a menu: every act in every state, each on a call of its own."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from voicectl.core.crawl import faults
from voicectl.core.crawl.menus import SILENCE, Answer, Finding, Kind, Map, State
from voicectl.core.crawl.walk import Walk
from voicectl.core.crawl.wording import normalized
from voicectl.core.scenarios import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voicectl.core.crawl.menus import Place
    from voicectl.core.scenarios.stage import Stage

MAX_STATES = 1_000
"""The number of states at which the exploration ends, because the menu may have no end."""

REPEATS = 5
"""The number of times that a prompt may be heard in silence before the menu counts as endless."""


class Explorer:
    """Explores the menu at a number.

    Args:
        new_stage: A function that returns a sandbox without calls.
        why_ended: A function that returns why the application has ended, or None if it runs. Its argument is True
            if something went wrong in the call.
        depth: The greatest number of acts in one call.
        progress: A function that is called after each call with the map so far.
    """

    def __init__(
        self,
        new_stage: Callable[[], Stage],
        why_ended: Callable[[bool], str | None],
        *,
        to: str,
        caller: str,
        depth: int,
        progress: Callable[[Map], None],
    ) -> None:
        self._new_stage = new_stage
        self._why_ended = why_ended
        self._fields = {"to": to, "from": caller}
        self._depth = depth
        self._progress = progress
        self._map = Map(to=to)
        self._known: dict[tuple[str, ...], State] = {}
        self._errors: set[str] = set()

    def explore(self) -> Map:
        """Return the map of the menu."""
        start = self._state((), self._call((), None)[0])
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            if len(state.path) >= self._depth or len(self._map.states) >= MAX_STATES:
                self._map.is_complete &= not state.acts
                continue
            for act in state.acts:
                known = len(self._map.states)
                self._try(state, act)
                waiting.extend(self._map.states[known:])
        self._map.findings += faults.found(self._map)
        return self._map

    def _try(self, state: State, act: str) -> None:
        place, is_wrong = self._call((*state.path, act), state)
        target = state if place.repeats(state) else self._state((*state.path, act), place)
        state.answers[act] = Answer(state=target.number, said=normalized(place.said), is_wrong=is_wrong)

    def _state(self, path: tuple[str, ...], place: Place) -> State:
        """Return the state at *place*, which is a new one if nothing like it was said before."""
        if place.key not in self._known:
            self._known[place.key] = State(number=len(self._map.states) + 1, path=path, place=place)
            self._map.states.append(self._known[place.key])
        return self._known[place.key]

    def _call(self, path: tuple[str, ...], state: State | None) -> tuple[Place, bool]:
        """Call, act as *path* says, and return where this leads, and True if an error was found.

        A caller who is silent at the end of the path goes on to be silent while *state* is repeated.
        """
        stage = self._new_stage()
        walk = Walk(stage, self._fields)
        place = walk.arrive(in_full=path[:1] in ((), (SILENCE,)))
        for at, act in enumerate(path, 1):
            if place.kind is not Kind.MENU:
                break
            walk.act(act)
            place = walk.arrive(in_full=path[at : at + 1] in ((), (SILENCE,)))
        if state is not None and path[-1] == SILENCE:
            for _ in range(REPEATS - 2):
                if not place.repeats(state):
                    break
                walk.act(SILENCE)
                place = walk.arrive(in_full=True)
        self._map.walks += 1
        is_wrong = self._check(stage, path, state)
        self._progress(self._map)
        return place, is_wrong

    def _check(self, stage: Stage, path: tuple[str, ...], state: State | None) -> bool:
        """Add the errors of a call, and return True if there is a new one."""
        new = [message for message in self._wrong(stage) if message not in self._errors]
        self._errors.update(new)
        number = 1 if state is None else state.number
        self._map.findings += [
            Finding(kind="error", state=number, path=path, message=message) for message in dict.fromkeys(new)
        ]
        return bool(new)

    def _wrong(self, stage: Stage) -> Iterator[str]:
        failures = [failure.message for failure in checks.found(stage, with_webhooks=True)]
        reason = self._why_ended(bool(failures))
        yield from failures if reason is None else [reason]
