"""A caller who calls a menu again and again, each time from the start."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from voicectl.core.crawl.menus import SILENCE, Kind
from voicectl.core.crawl.walk import Walk
from voicectl.core.scenarios import checks
from voicectl.core.scenarios.application import StartError
from voicectl.core.scenarios.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.crawl.menus import Place, State
    from voicectl.core.scenarios.application import Running
    from voicectl.core.scenarios.model import Application
    from voicectl.core.scenarios.suite import Bench

REPEATS = 5
"""The number of times that a prompt may be heard in silence before the menu counts as endless."""


class Result(NamedTuple):
    """The place to which a call has led, and the errors that were found."""

    place: Place
    errors: list[str]


class Caller:
    """Calls a menu on one sandbox. An application that has ended is started anew.

    Args:
        fields: The caller and the called number, as for ``sandbox ring``.
    """

    def __init__(self, app: Application, bench: Bench, fields: dict[str, str]) -> None:
        self._app = app
        self._bench = bench
        self._fields = fields
        self._stack = ExitStack()
        self._running: Running | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """End the application, also from another thread. It is not started again."""
        with self._lock:
            self._is_closed = True
            self._stack.close()

    def call(self, path: tuple[str, ...], state: State | None) -> Result:
        """Call, act as *path* says, and return where this leads.

        A caller who is silent at the end of the path goes on to be silent while *state* is repeated.

        Raises:
            StartError: The application does not start.
        """
        running = self._ready()
        stage = Stage(self._bench.control, settle=self._app.settle)
        walk = Walk(stage, self._fields, base=running.url)
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
        return Result(place, list(dict.fromkeys(_wrong(stage, running))))

    def _ready(self) -> Running:
        """Return the application, which is started if it does not run or must start anew for each call."""
        with self._lock:
            if self._is_closed:
                raise StartError("The application was stopped.")
            if self._running is not None and (self._app.restart or self._running.has_ended):
                self._stack.close()
                self._running = None
            if self._running is None:
                self._running = self._stack.enter_context(self._bench.start())
            return self._running


def _wrong(stage: Stage, running: Running) -> Iterator[str]:
    found = checks.found(stage, with_webhooks=True)
    failures = [failure.message.replace(running.url, "") for failure in found]
    try:
        running.check(in_doubt=bool(failures))
    except StartError as exc:
        yield exc.message
    else:
        yield from failures
