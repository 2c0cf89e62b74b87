"""Batches for tests: their lists, and batches that exist without a command having run them."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from voicectl.clock import SystemClock
from voicectl.core.batch.settings import Settings
from voicectl.store.batches.directory import SqliteBatches
from voicectl.store.batches.postgres_directory import PostgresBatches
from voicectl.store.batches.records import BatchHead, Person
from voicectl.store.batches.sqlite import SqliteBatch

from .room import Room


def write_list(room: Room, *numbers: str, name: str = "people.csv", header: str = "to") -> Path:
    """Write a list with a row for each of *numbers*, which may be whole rows, and return its path."""
    path = room.home / name
    path.write_text("\n".join([header, *numbers, ""]))
    return path


def names(room: Room) -> list[str]:
    """Return the names of the batches of the room's application."""
    return SqliteBatches(state(room)).names()


def open_batch(room: Room, name: str) -> SqliteBatch:
    """Open a batch of the room's application."""
    return SqliteBatches(state(room)).open(name)


def state(room: Room) -> Path:
    """Return the state directory of the room's application."""
    assert room.sandbox is not None
    return room.state / room.sandbox.identity.application_id


def make(room: Room, name: str, *numbers: str, store: str | None = None) -> None:
    """Create a batch of *numbers* that has not been run, in the database *store* or in a file."""
    assert room.sandbox is not None
    directory, application = state(room), room.sandbox.identity.application_id
    directory.mkdir(parents=True, exist_ok=True)
    place = SqliteBatches(directory) if store is None else PostgresBatches(store, directory, application)
    with place.new(name) as new:
        fill(new, *numbers)
        new.keep(
            BatchHead(
                name=name,
                application_id=application,
                base_url=room.url,
                created_at=room.clock.time(),
                settings=Settings(
                    ncco=[{"action": "talk", "text": "Hello"}], from_=room.sandbox.identity.number
                ).to_json(),
                columns=("to",),
                digest="",
            )
        )
    if isinstance(place, PostgresBatches):
        place.close()


def fill(new: object, *numbers: str) -> None:
    """Add a person for each of *numbers* to a new batch."""
    for line, to in enumerate(numbers, 2):
        new.add(Person(line=line, to=to, second=None, fields={"to": to}))  # type: ignore[attr-defined]
    new.settle()  # type: ignore[attr-defined]


def outcomes(room: Room, name: str) -> dict[str, str | None]:
    """Return the outcome of each person of a batch, by number."""
    with closing(open_batch(room, name)) as store:
        return {each.to: each.outcome for each in store.people()}


def crowd(start_room: Callable[..., Room], people: int, *, rate: int, lost: float = 0.02) -> tuple[Room, str]:
    """Return a room whose sandbox loses some replies, and the command that calls *people* people there."""
    room = start_room(clock=SystemClock(), speed=100)
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "lost-reply", "on": "createCall", "probability": lost})
    path = write_list(room, *(f"4479{number:08}" for number in range(people)))
    options = f"--rate {rate} --no-machine-detection --max 9999 --yes"
    return room, f"batch run {path} --id a --talk Hi {options}"


def called(room: Room) -> Counter[str]:
    """Return how often the sandbox was asked to call each number."""
    assert room.sandbox is not None
    return Counter(leg.to.get("number", "") for leg in room.sandbox.exchange.legs.values())


def statuses(room: Room) -> set[str]:
    """Return the statuses of the sandbox's calls."""
    assert room.sandbox is not None
    return {leg.status for leg in room.sandbox.exchange.legs.values()}


@contextmanager
def serving(room: Room, options: str) -> Iterator[None]:
    """Run ``webhook serve``."""
    with room.spawn(f"webhook serve {options}", stdout=subprocess.DEVNULL) as child:
        try:
            assert child.stderr is not None
            next(line for line in child.stderr if b"Receiving at " in line)
            yield
        finally:
            child.terminate()
            child.communicate()
