"""Running a batch in processes that are killed, quickly: a process that has imported everything forks each of them.

As a program, it runs commands that are named on standard input, a line each: ``kill MILLISECONDS WORDS...`` kills the
command after that time, ``race COUNT WORDS...`` runs several at once, ``run WORDS...`` waits for its end, and ``crew
COUNT KILLS MILLISECONDS WORDS...`` keeps several running, of which it kills one again and again at random moments.
Each prints the exit statuses (negative for a signal). With ``--naive`` in the program's arguments, the batch is the
control: it calls everybody again whose outcome was not recorded, as a loop does that records a call after the reply.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voicectl.cli.app import run
from voicectl.cli.commands import batch_run, batch_work
from voicectl.core.batch import attempts, sharing
from voicectl.core.identity import keys

from .room import Room
from .waiting import PATIENCE_SECONDS

IMPORTED_ONCE = (batch_run, batch_work, sharing, keys)


class Processes:
    """A handle of the program."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def __call__(self, line: str) -> list[int]:
        """Run a line of the program, and return the exit statuses."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{line}\n")
        self._child.stdin.flush()
        return [int(word) for word in self._child.stdout.readline().split()]


@contextmanager
def processes(room: Room, *options: str) -> Iterator[Processes]:
    """Start the program on the room's machine."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, *options],
        env=room.environ | {"PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        yield Processes(child)
        assert child.stdin is not None
        child.stdin.close()
        child.wait(PATIENCE_SECONDS)


def main() -> None:
    """Run the commands on standard input."""
    if "--naive" in sys.argv:
        attempts.recovered = lambda _intent: attempts.Recovery.UNMADE  # type: ignore[assignment]
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "crew":
            print(*crew(*map(int, words[:3]), words[3:]), flush=True)
            continue
        count = int(words.pop(0)) if verb in ("kill", "race") else 1
        children = [fork(words) for _ in range(count if verb == "race" else 1)]
        if verb == "kill":
            time.sleep(count / 1000)
            os.kill(children[0], signal.SIGKILL)
        print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children), flush=True)


def crew(count: int, kills: int, milliseconds: int, words: list[str]) -> list[int]:
    """Keep processes running, kill one of them at random moments, and return the exit statuses of the last ones."""
    chance = random.Random(kills)
    children = [fork(words) for _ in range(count)]
    for _ in range(kills):
        time.sleep(chance.randrange(milliseconds) / 1000)
        victim = children.pop(chance.randrange(count))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        children.append(fork(words))
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def fork(words: list[str]) -> int:
    """Run a command in a child process, and return its id."""
    if child := os.fork():
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os._exit(run(words))


if __name__ == "__main__":
    main()
