"""Measure batches: checking a long list, creating calls as fast as possible, surviving kills, and machines.

Run a part with ``python -m benchmarks.batches list``, ``creates``, ``kills`` or ``machines``, in an environment for
development. Each prints its figures beside the goals. ``kills`` also runs the control, a process that forgets what it
did not record, which must call people twice. The control of ``machines`` does not detect them.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.batch_runs import processes
from tests.support.batches import outcomes, state
from tests.support.machines import machine
from tests.support.servers import Canned, Request, page, reply
from voicectl.clock import SystemClock
from voicectl.core.batch.load import Screen, load
from voicectl.core.batch.people import Columns
from voicectl.core.identity import keys
from voicectl.core.identity.policy import Policy
from voicectl.sandbox.account.identity import Options, new_identity
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running
from voicectl.store.batches.directory import SqliteBatches
from voicectl.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.room import Room

SEED = 20_260_202
PAGE = 100
SECONDS = 20


def write_people(path: Path, people: int) -> Path:
    """Write a list of different people, in no order."""
    numbers = list(range(people))
    random.Random(SEED).shuffle(numbers)
    with path.open("w") as file:
        file.write("name,to,city\n")
        file.writelines(f"Person {number},+4479{number:08},Leeds\n" for number in numbers)
    return path


def check_list(home: Path, people: int) -> None:
    """Check a list, and give the seconds and the greatest memory of this process."""
    path = write_people(home / "people.csv", people)
    began = time.monotonic()
    with SqliteBatches(home).new("a") as new, path.open("rb") as file:
        load(file, "the list", Columns(), new, Screen(Policy(), None, set()), print)
        seconds = time.monotonic() - began
        assert new.count() == people
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{people} rows checked in {seconds:.1f} s (goal 60), peak {peak:.0f} MiB (goal 150)")


def create_calls(home: Path, people: int) -> None:
    """Create calls for a while at a stub that responds at once, journal included, and give the rate."""
    made: list[dict[str, str]] = []

    def answer(request: Request) -> bytes:
        if request.method == "POST":
            created = {"uuid": str(uuid.uuid4()), "status": "started", "direction": "outbound"}
            made.append(created | {"status": "completed", "duration": "5"})
            return reply(201, created)
        if request.path != "/v1/calls":
            uuid_ = request.path.rpartition("/")[2]
            return reply(200, {"uuid": uuid_, "status": "completed", "duration": "5"})
        at = int(request.query.get("record_index", "0"))
        more = f"/v1/calls?record_index={at + PAGE}" if at + PAGE < len(made) else None
        return reply(200, page(*made[at : at + PAGE], following=more))

    identity, pem = new_identity()
    with Canned(answer) as server:
        application = identity, keys.parse(pem, where="the benchmark")
        room = machine(home / "room", application, server.url)
        path = write_people(home / "people.csv", people)
        command = (
            f"batch run {path} --id a --talk Hi --rate 10000 --no-machine-detection --max {people} --yes"
        )
        with processes(room) as run:
            run(f"kill {SECONDS * 1000} {command}")
    directory = room.state / identity.application_id
    with closing(SqliteBatches(directory).open("a")) as store:
        asked = sorted(each.asked_at for person in store.people() for each in person.attempts)
    rate = (len(asked) - 2) / (asked[-1] - asked[1])
    print(f"{len(asked)} calls created at {rate:.0f}/s (goal 300)")


@contextmanager
def crowd(home: Path) -> Iterator[Room]:
    """Yield a machine with a sandbox that loses 2 % of the responses."""
    identity, pem = new_identity()
    sandbox = Sandbox(identity, Options(seed=1, limits=False, speed=100), clock=SystemClock())
    sandbox.faults.add({"what": "lost-reply", "on": "createCall", "probability": 0.02})
    with running(sandbox) as url:
        room = machine(home, (identity, keys.parse(pem, where="the benchmark")), url)
        room.sandbox, room.clock = sandbox, SystemClock()  # type: ignore[assignment]
        yield room


def kill(home: Path, people: int, kills: int, *options: str) -> None:
    """Kill a batch again and again at random moments, then let it end, and count."""
    chance = random.Random(SEED)
    with crowd(home) as room:
        assert room.sandbox is not None
        path = write_people(home / "people.csv", people)
        command = f"batch run {path} --id a --talk Hi --rate 150 --no-machine-detection --max {people} --yes"
        pause = 1000 * people / 150 / kills
        with processes(room, *options) as run:
            for _ in range(kills):
                run(f"kill {chance.randrange(200, int(pause * 2))} {command}")
            run(f"run {command}")
        rung = Counter(leg.to["number"] for leg in room.sandbox.exchange.legs.values())
        found = Counter(outcomes(room, "a").values())
        uuids = list(room.sandbox.exchange.legs)
        with closing(Journal(state(room), SystemClock())) as journal:
            lost = sum(
                len(set(part) - journal.claimed(part))
                for part in (uuids[at : at + 500] for at in range(0, len(uuids), 500))
            )
    twice = sum(count > 1 for count in rung.values())
    print(
        f"{' '.join(options) or 'voicectl'}: {kills} kills over {people} people: {twice} called twice (goal 0),"
        f" {lost} calls missing from the journal (goal 0),"
        f" {100 * found['in-doubt'] / people:.2f} % in doubt (goal 1), outcomes {dict(found)}"
    )


def answer_machines(home: Path, people: int, options: str = "") -> None:
    """Call voicemails, which answer with and without a beep, and count those that are taken for people."""
    identity, pem = new_identity()
    numbers = [f"4479{number:08}" for number in range(people)]
    voicemails = {number: str(300 + int(number) % 2) for number in numbers}
    options_ = Options(seed=1, limits=False, speed=1, far_ends=voicemails)
    sandbox = Sandbox(identity, options_, clock=SystemClock())
    with running(sandbox) as url:
        room = machine(home, (identity, keys.parse(pem, where="the benchmark")), url)
        room.sandbox = sandbox
        path = home / "voicemails.csv"
        path.write_text("\n".join(["to", *numbers, ""]))
        with processes(room) as run:
            run(f"run batch run {path} --id a --talk Hello --rate 100 --max {people} --yes {options}")
        found = Counter(outcomes(room, "a").values())
    print(
        f"{people} voicemails {options}: {found['answered']} taken for people (goal 0), outcomes {dict(found)}"
    )


def main() -> None:
    """Run the part that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("list", "creates", "kills", "machines"))
    parser.add_argument("--people", type=int)
    parser.add_argument("--kills", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        match chosen.part:
            case "list":
                check_list(home, chosen.people or 1_000_000)
            case "creates":
                create_calls(home, chosen.people or 20_000)
            case "kills":
                kill(home / "ours", chosen.people or 20_000, chosen.kills)
                kill(home / "control", 400, 20, "--naive")
            case "machines":
                answer_machines(home / "ours", chosen.people or 1000)
                answer_machines(home / "control", 20, "--no-machine-detection")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
