"""Sending events to a receiver that is killed at some point, and checking for the acknowledged ones.

As a program it is the control: a receiver that acknowledges first, and keeps after that.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually
from voicectl import http_server
from voicectl.store.event_stores import open_events
from voicectl.store.events import Arrival, Kept, Outcome, Query
from voicectl.store.events_spool import Spool
from voicectl.webhook import server
from voicectl.webhook.event_writer import EventWriter
from voicectl.webhook.settings import Settings
from voicectl.webhook.signature import Verifier

from .serving import Client, signed_request
from .signing import API_KEY, APPLICATION, SECRET, event

CONNECTIONS = 8


@dataclass
class Senders:
    """Clients that send event after event, each over its own connection, until it is closed.

    Attributes:
        acknowledged: The bodies that were answered with 200.
        refused: All other statuses.
    """

    port: int
    name: str
    claims: dict[str, Any] = field(default_factory=dict)
    acknowledged: list[bytes] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_ending: bool = False

    def __enter__(self) -> Senders:
        self._threads = [threading.Thread(target=self._send, args=(each,)) for each in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until the given number of events is acknowledged."""
        eventually(lambda: len(self.acknowledged) >= count, f"{count} were not acknowledged")

    def _send(self, number: int) -> None:
        count = 0
        with suppress(OSError), Client(self.port) as client:
            while not self._is_ending:
                count += 1
                body = event(timestamp=f"{self.name}-{number}-{count}")
                status = client.send(signed_request(body, now=time.time(), **self.claims)).reply().status
                if status == 200:
                    self.acknowledged.append(body)
                else:
                    self.refused.append(status)


def some_moment(chance: random.Random) -> float:
    """Return the seconds under load before the kill."""
    return chance.choice([0.0, chance.uniform(0, 0.01), chance.uniform(0, 0.15)])


def lost(acknowledged: list[bytes], directory: Path, application_id: str) -> set[bytes]:
    """Return the acknowledged events that are neither in the store nor in the spool."""
    with closing(open_events(None, directory, application_id)) as store:
        kept = {stored.arrival.body for stored in store.find(Query())}
    spool = Spool(directory / "spool")
    kept |= {arrival.body for path in spool.files() for arrival in spool.load(path)}
    return set(acknowledged) - kept


class _Eager(EventWriter):
    async def keep(self, arrival: Arrival) -> Kept:
        self.keep_later(arrival)
        return Kept(Outcome.NEW, 1)


def main(directory: Path) -> None:
    """Run as the control until a signal."""
    server.EventWriter = _Eager  # type: ignore[misc]
    secrets = {API_KEY: (SECRET,)}
    settings = Settings(
        open_store=lambda: open_events(None, directory, APPLICATION),
        spool=Spool(directory / "spool"),
        verifier=Verifier(lambda: secrets, application_id=APPLICATION, now=time.time),
    )
    with ExitStack() as stack:
        sock = stack.enter_context(server.listen(port=0))
        server.serve(
            settings,
            sock,
            lambda: print(f"Receiving at {http_server.url(sock)}/", file=sys.stderr, flush=True),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
