"""The exploration of a menu: every act in every state, each on a call of its own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from voicectl.core.crawl import faults
from voicectl.core.crawl.menus import Answer, Finding, Map, State
from voicectl.core.crawl.wording import normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voicectl.core.crawl.caller import Caller, Result
    from voicectl.core.crawl.menus import Place

    Path = tuple[str, ...]

MAX_STATES = 1_000
"""The number of states at which the exploration ends, because the menu may have no end."""


class Explorer:
    """Explores the menu at a number. The map does not depend on the number of callers, or on their speed.

    Args:
        callers: The callers, who call at the same time, each from a sandbox and to an application of their own.
        depth: The greatest number of acts in one call.
        progress: A function that is called after each call with the map so far.
    """

    def __init__(
        self, to: str, callers: Sequence[Caller], *, depth: int, progress: Callable[[Map], None]
    ) -> None:
        self._pool = ThreadPoolExecutor(len(callers), "caller")
        self._free: SimpleQueue[Caller] = SimpleQueue()
        for each in callers:
            self._free.put(each)
        self._depth = depth
        self._progress = progress
        self._map = Map(to=to)
        self._known: dict[tuple[str, ...], State] = {}
        self._errors: set[str] = set()

    def explore(self) -> Map:
        """Return the map of the menu.

        Raises:
            StartError: The application does not start.
        """
        try:
            self._explore()
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._map.findings += faults.found(self._map)
        return self._map

    def _explore(self) -> None:
        first = self._call(None, ())
        self._check(first, (), None)
        waiting = deque([self._state((), first.place)])
        while waiting:
            state = waiting.popleft()
            if len(state.path) >= self._depth or len(self._map.states) >= MAX_STATES:
                self._map.is_complete &= not state.acts
                continue
            known = len(self._map.states)
            paths = [(*state.path, act) for act in state.acts]
            for path, result in zip(paths, self._pool.map(partial(self._call, state), paths), strict=True):
                self._learn(state, path, result)
            waiting.extend(self._map.states[known:])

    def _call(self, state: State | None, path: Path) -> Result:
        caller = self._free.get()
        try:
            return caller.call(path, state)
        finally:
            self._free.put(caller)

    def _learn(self, state: State, path: Path, result: Result) -> None:
        """Add to the map what the last act of *path* in *state* has led to."""
        is_wrong = self._check(result, path, state)
        place = result.place
        target = state if place.repeats(state) else self._state(path, place)
        state.answers[path[-1]] = Answer(state=target.number, said=normalized(place.said), is_wrong=is_wrong)

    def _state(self, path: Path, place: Place) -> State:
        """Return the state at *place*, which is a new one if nothing like it was said before."""
        if place.key not in self._known:
            self._known[place.key] = State(number=len(self._map.states) + 1, path=path, place=place)
            self._map.states.append(self._known[place.key])
        return self._known[place.key]

    def _check(self, result: Result, path: Path, state: State | None) -> bool:
        """Count a call, add its errors, and return True if there is a new one."""
        new = [message for message in result.errors if message not in self._errors]
        self._errors.update(new)
        number = 1 if state is None else state.number
        self._map.findings += [
            Finding(kind="error", state=number, path=path, message=message) for message in new
        ]
        self._map.walks += 1
        self._progress(self._map)
        return bool(new)
