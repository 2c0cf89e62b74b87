"""Measure batches that several processes run together in PostgreSQL: kills, pacing, and more workers.

Run a part with ``python -m benchmarks.shared_batches kills``, ``pacing`` or ``workers``, in an environment for
development. Each prints its figures beside the goals. ``workers`` also measures Procrastinate without work of ours.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from procrastinate import App, PsycopgConnector

from benchmarks.batches import PAGE, write_people
from tests.support.batch_runs import processes
from tests.support.machines import machine
from tests.support.postgres import running as running_postgres
from tests.support.postgres_batches import prepared
from tests.support.servers import Canned, Request, page, reply
from voicectl.clock import SystemClock
from voicectl.core.identity import keys
from voicectl.sandbox.account.identity import Options, new_identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running
from voicectl.store.batches.postgres_directory import PostgresBatches
from voicectl.store.batches.postgres_journal import PostgresJournal
from voicectl.store.batches.postgres_schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.room import Room
    from voicectl.store.batches.records import Attempt

CALLS = 8
PACED_SECONDS = 60
RATE = 3.0


@contextmanager
def room_on_a_sandbox(home: Path, *, limits: bool, lost: float) -> Iterator[Room]:
    """Yield a machine with a sandbox whose clock is fast."""
    identity, pem = new_identity()
    sandbox = Sandbox(identity, Options(seed=1, limits=limits, speed=100), clock=SystemClock())
    if lost:
        sandbox.faults.add({"what": "lost-reply", "on": "createCall", "probability": lost})
    with running(sandbox) as url:
        room = machine(home, (identity, keys.parse(pem, where="the benchmark")), url)
        room.sandbox, room.clock = sandbox, SystemClock()  # type: ignore[assignment]
        yield room


def attempts(room: Room, store: str, application: str) -> list[Attempt]:
    """Return all attempts of the batch, in the order of their turns."""
    with closing(PostgresBatches(store, room.state, application)) as batches:
        batch = batches.open("a")
        made = [each for person in batch.people() for each in person.attempts]
        batch.close()
    return sorted(made, key=lambda each: each.asked_at)


def kill(home: Path, store: str, people: int, kills: int) -> None:
    """Kill one of three workers again and again, then let them end, and count."""
    with room_on_a_sandbox(home / "room", limits=False, lost=0.02) as room:
        assert room.sandbox is not None
        path = write_people(home / "people.csv", people)
        options = f"--talk Hi --rate 100 --no-machine-detection --max {people} --yes --store {store}"
        command = f"batch run {path} --id a {options}"
        with processes(room) as run:
            run(f"kill 3000 {command}")
            run(f"crew 3 {kills} {1000 * people // 100 // kills * 2} batch work a --store {store}")
        application = room.sandbox.identity.application_id
        rung = Counter(leg.to["number"] for leg in room.sandbox.exchange.legs.values())
        uuids = list(room.sandbox.exchange.legs)
        with closing(PostgresJournal(store, application)) as journal:
            lost = len(set(uuids) - journal.claimed(uuids))
        with closing(PostgresBatches(store, room.state, application)) as batches:
            batch = batches.open("a")
            totals = batch.totals()
            batch.close()
    twice = sum(count > 1 for count in rung.values())
    doubtful = 100 * totals.outcomes.get("in-doubt", 0) / people
    print(
        f"{kills} kills of one of 3 workers over {people} people: {twice} called twice (goal 0), {lost} calls missing"
        f" from the journal (goal 0), {doubtful:.2f} % in doubt (goal 1), outcomes {totals.outcomes},"
        f" {totals.waiting + totals.open} not done (goal 0)"
    )


def pace(home: Path, store: str) -> None:
    """Let four workers call at the platform's rate, on a sandbox with its limits on."""
    people = round(PACED_SECONDS * RATE)
    with room_on_a_sandbox(home / "room", limits=True, lost=0.0) as room:
        assert room.sandbox is not None
        path = write_people(home / "people.csv", people + 1)
        with processes(room) as run:
            command = f"batch run {path} --id a --talk Hi --no-machine-detection --max {people + 1} --yes"
            run(f"kill 2500 {command} --store {store}")
            run(f"crew 4 0 1 batch work a --store {store}")
        made = attempts(room, store, room.sandbox.identity.application_id)
        refused = room("sandbox log -o json --status 429 -q").stdout.split()
    turns = [each.asked_at for each in made[2:]]
    gaps = [after - before for before, after in pairwise(turns)]
    share = (len(turns) - 1) / (turns[-1] - turns[0]) / RATE
    print(
        f"4 workers, {turns[-1] - turns[0]:.0f} s: turns at least {min(gaps):.4f} s apart (goal {1 / RATE:.4f}),"
        f" {len(refused)} requests refused with 429 (goal 0), {100 * share:.1f} % of the allowed rate (goal 97)"
    )


class Slow(Canned):
    """A stub of the API that takes *seconds* to create a call, which is over at once."""

    def __init__(self, seconds: float) -> None:
        super().__init__(b"")
        self._seconds = seconds
        self._made: list[dict[str, str]] = []

    async def answer(self, request: Request) -> bytes:
        """Return the answer to *request*."""
        if request.method == "POST":
            await asyncio.sleep(self._seconds)
            created = {"uuid": str(uuid.uuid4()), "status": "started", "direction": "outbound"}
            self._made.append(created | {"status": "completed", "duration": "5"})
            return reply(201, created)
        if request.path == "/v1/calls":
            at = int(request.query.get("record_index", "0"))
            more = f"/v1/calls?record_index={at + PAGE}" if at + PAGE < len(self._made) else None
            return reply(200, page(*self._made[::-1][at : at + PAGE], following=more))
        return reply(200, {"uuid": request.path.rpartition("/")[2], "status": "completed", "duration": "5"})


def measure_workers(home: Path, store: str, seconds: float, workers: int, people: int) -> float:
    """Return the calls per second of several workers at a stub that takes *seconds* to create a call."""
    identity, pem = new_identity()
    with Slow(seconds) as server:
        room = machine(home, (identity, keys.parse(pem, where="the benchmark")), server.url)
        path = write_people(home / "people.csv", people)
        command = (
            f"batch run {path} --id a --talk Hi --rate 10000 --no-machine-detection --max {people} --yes"
        )
        with processes(room) as run:
            run(f"kill 2000 {command} --store {store}")
            run(f"crew {workers} 0 1 batch work a --store {store}")
        made = [each.asked_at for each in attempts(room, store, identity.application_id)]
    fifth = len(made) // 5
    return (3 * fifth) / (made[4 * fifth] - made[fifth])


def engine_alone(store: str, seconds: float, jobs: int) -> float:
    """Return the jobs per second of one worker of Procrastinate, whose jobs only wait."""

    async def work() -> float:
        connector = PsycopgConnector(conninfo=store, kwargs={"options": f"-c search_path={SCHEMA}"})
        app = App(connector=connector)

        @app.task(name="wait", queue="alone")
        async def wait(number: int) -> None:  # noqa: ARG001 (as the jobs of a batch have)
            await asyncio.sleep(seconds)

        async with app.open_async():
            await wait.batch_defer_async(*({"number": number} for number in range(jobs)))
            began = time.monotonic()
            await app.run_worker_async(
                queues=["alone"],
                concurrency=CALLS,
                wait=False,
                install_signal_handlers=False,
                delete_jobs="always",
            )
            return jobs / (time.monotonic() - began)

    return asyncio.run(work())


def main() -> None:
    """Run the part that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("kills", "pacing", "workers"))
    parser.add_argument("--people", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=50)
    chosen = parser.parse_args()
    with running_postgres() as server, tempfile.TemporaryDirectory() as name:
        home = Path(name)

        def fresh(label: str) -> str:
            server.execute(f"CREATE DATABASE {label}")
            return prepared(server.url_of(label))

        match chosen.part:
            case "kills":
                kill(home, fresh("kills"), chosen.people, chosen.kills)
            case "pacing":
                pace(home, fresh("pacing"))
            case "workers":
                rates = {}
                for workers in (1, 2, 4):
                    label = f"slow{workers}"
                    rates[workers] = measure_workers(home / label, fresh(label), 0.5, workers, 200 * workers)
                    print(
                        f"{workers} workers, 500 ms: {rates[workers]:.1f} calls/s,"
                        f" {rates[workers] / rates[1]:.2f} times one worker"
                    )
                ours = measure_workers(home / "fast", fresh("fast"), 0.1, 1, 800)
                alone = engine_alone(fresh("alone"), 0.1, 800)
                print(
                    f"100 ms: {ours:.1f} calls/s, Procrastinate alone {alone:.1f} jobs/s:"
                    f" {ours / alone:.2f} (goal 0.65)"
                )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
