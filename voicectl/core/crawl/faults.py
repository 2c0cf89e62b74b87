"""The faults that the map of a menu shows: dead ends, loops, and keys that are offered but not routed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicectl.core.crawl.menus import KEYS, SILENCE, Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicectl.core.crawl.menus import Map, State

MAX_SHOWN = 60


def found(menu: Map) -> Iterator[Finding]:
    """Yield the faults of *menu*."""
    yield from _dead_ends(menu)
    yield from _loops(menu)
    yield from _unrouted(menu)


def keys(acts: list[str]) -> str:
    """Return a list of acts as text."""
    return ", ".join(acts)


def quoted(state: State) -> str:
    """Return the beginning of what a state says, in quotation marks."""
    said = state.place.said
    return f'"{said}"' if len(said) <= MAX_SHOWN else f'"{said[:MAX_SHOWN].rstrip()}..."'


def _dead_ends(menu: Map) -> Iterator[Finding]:
    for state in menu.states:
        if state.place.kind is Kind.STUCK:
            message = f"The call goes on after {quoted(state)}, but nothing happens."
            yield Finding(kind="dead-end", state=state.number, path=state.path, message=message)
        silent = [
            act
            for act, answer in state.answers.items()
            if act in KEYS
            and not answer.is_wrong
            and not answer.said
            and menu.states[answer.state - 1].place.kind is Kind.ENDED
        ]
        if silent:
            message = f"In {quoted(state)}, the call ends without a word after {keys(silent)}."
            yield Finding(kind="dead-end", state=state.number, path=(*state.path, silent[0]), message=message)


def _loops(menu: Map) -> Iterator[Finding]:
    trapped = _trapped(menu)
    while trapped:
        first = min(trapped)
        group = _reached(menu, first)
        trapped -= group
        said = ", ".join(quoted(menu.states[number - 1]) for number in sorted(group))
        message = f"Neither a key nor silence leads out of {said}."
        yield Finding(kind="loop", state=first, path=menu.states[first - 1].path, message=message)
        trapped = {number for number in trapped if not _reached(menu, number) & group}
    endless = _trapped(menu)
    for state in menu.states:
        answer = state.answers.get(SILENCE)
        if answer is not None and answer.state == state.number and state.number not in endless:
            message = f"{quoted(state)} is repeated without end while the caller is silent."
            yield Finding(kind="loop", state=state.number, path=(*state.path, SILENCE), message=message)


def _reached(menu: Map, start: int) -> set[int]:
    """Return the numbers of the states that can be reached from *start*, with its own."""
    found, waiting = {start}, [start]
    while waiting:
        for answer in menu.states[waiting.pop() - 1].answers.values():
            if answer.state not in found:
                found.add(answer.state)
                waiting.append(answer.state)
    return found


def _trapped(menu: Map) -> set[int]:
    """Return the numbers of the states from which every way leads to another menu."""
    ways: dict[int, set[int]] = {}
    for state in menu.states:
        for answer in state.answers.values():
            ways.setdefault(answer.state, set()).add(state.number)
    waiting = [state.number for state in menu.states if not state.answers]
    free = set(waiting)
    while waiting:
        new = ways.get(waiting.pop(), set()) - free
        free |= new
        waiting += new
    return {state.number for state in menu.states} - free


def _unrouted(menu: Map) -> Iterator[Finding]:
    seen = set()
    for state in menu.states:
        others: dict[tuple[int, tuple[str, ...]], str] = {}
        for act, answer in state.answers.items():
            if act in KEYS and act not in state.offers:
                others.setdefault((answer.state, answer.said), act)
        for act in sorted(state.offers & state.answers.keys()):
            answer = state.answers[act]
            other = others.get((answer.state, answer.said))
            if other is None or answer.is_wrong or (act, answer.said) in seen:
                continue
            seen.add((act, answer.said))
            same = f"the response to it is the same as to {other}, which is not offered"
            message = f"{quoted(state)} offers {act}, but {same}."
            yield Finding(kind="unrouted", state=state.number, path=(*state.path, act), message=message)
