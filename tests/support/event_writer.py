"""A process that keeps events and acknowledges each one after keeping it, until it is killed.

Run as ``python -m tests.support.event_writer STORE DIRECTORY APPLICATION FIRST [COMMITS] [--naive]``. It writes the
numbers of the events that it has kept to standard output, from FIRST on, those of a commit on a line. It retries
events that cannot be kept. With ``--naive`` it acknowledges first, as no receiver should.

Args:
    STORE: The URL of a PostgreSQL, or ``-`` for SQLite in DIRECTORY.
    COMMITS: After how many it ends by itself.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from voicectl.errors import StoreError
from voicectl.store.event_stores import open_events
from voicectl.store.events import Arrival, EventStore, Query, Route

ROOT = Path(__file__).parents[2]
RECEIVED = 1_770_000_000.0


def arrival(number: int, **fields: Any) -> Arrival:
    """Return event *number*: a ``ringing`` whose fields *fields* replace."""
    defaults = {
        "uuid": f"9a8b7c6d-5e4f-4321-8fed-{number:012x}",
        "conversation_uuid": f"CON-1a2b3c4d-5e6f-4788-99aa-{number:012x}",
        "status": "ringing",
        "number": number,
    }
    return Arrival.read(
        received=RECEIVED + number / 1000,
        route=Route.EVENT,
        method="POST",
        query=b"",
        body=json.dumps(defaults | fields).encode(),
        is_signed=True,
        jti=f"token-{number}",
    )


def numbers(store: EventStore) -> list[int]:
    """Return the numbers of the kept events, by their ids."""
    return [stored.arrival.fields["number"] for stored in store.find(Query())]


@contextmanager
def writing(
    url: str | None,
    directory: Path,
    application_id: str,
    first: int,
    *more: str,
    prefix: tuple[str, ...] = (),
    preexec_fn: Callable[[], object] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a writer, and kill it at the end.

    Args:
        more: COMMITS and ``--naive``.
        prefix: A command that runs the writer, such as ``("strace", ...)``.
    """
    words = [sys.executable, "-m", "tests.support.event_writer"]
    words += [url or "-", str(directory), application_id, str(first), *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*prefix, *words], cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=preexec_fn
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def acknowledged(child: subprocess.Popen[str]) -> list[int]:
    """Return the remaining acknowledgements of a writer that has ended."""
    out, _ = child.communicate()
    return read_numbers(out[: out.rfind("\n") + 1])  # a number cut off by the kill does not count


def read_numbers(text: str) -> list[int]:
    return [int(number) for number in text.split()]


def main(words: list[str]) -> None:
    is_naive = "--naive" in words
    store_name, directory, application_id, first, *commits = [word for word in words if word != "--naive"]
    chance, number = random.Random(int(first)), int(first)
    with closing(
        _opened(None if store_name == "-" else store_name, Path(directory), application_id)
    ) as store:
        for _ in range(int(commits[0]) if commits else sys.maxsize):
            batch = [arrival(number + each) for each in range(chance.choice([1, 2, 20]))]
            line = " ".join(str(number + each) for each in range(len(batch)))
            if is_naive:
                print(line, flush=True)
            _keep(store, batch)
            if not is_naive:
                print(line, flush=True)
            number += len(batch)


def _opened(url: str | None, directory: Path, application_id: str) -> EventStore:
    return _tried(lambda: open_events(url, directory, application_id))


def _keep(store: EventStore, batch: list[Arrival]) -> None:
    _tried(lambda: store.add(batch))


def _tried(act: Callable[[], Any]) -> Any:
    """Return the result of *act* once it succeeds."""
    reported = ""
    while True:
        try:
            return act()
        except StoreError as exc:
            if exc.message != reported:
                print(reported := exc.message, file=sys.stderr, flush=True)
            time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1:])
