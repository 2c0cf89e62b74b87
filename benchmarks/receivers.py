"""Run receivers to measure: ``voicectl webhook serve``, and controls that do one thing worse or not at all.

``python benchmarks/receivers.py KIND DIRECTORY`` runs one of the controls: the same server with another store, event
writer or connection limit. It prints its URL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import rsa
from load import Account

from voicectl import http_server
from voicectl.core.identity import keys
from voicectl.store.event_stores import open_events
from voicectl.store.events import Kept, Outcome, Query
from voicectl.store.events_spool import Spool
from voicectl.webhook import event_writer, server
from voicectl.webhook.connection_limits import LIMITS, ConnectionLimiter
from voicectl.webhook.settings import Settings
from voicectl.webhook.signature import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voicectl.store.events import Arrival, EventStore, Stored

ACCOUNT = Account(str(uuid.UUID(int=7)), "a1b2c3d4", "s" * 32)
NCCO = [{"action": "talk", "text": "Hello {from}"}]
SLOW_DISK_SECONDS = 0.025


class Nothing:
    """A store that keeps nothing."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.count = 0

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        self.count += len(arrivals)
        return [Kept(Outcome.NEW, self.count)] * len(arrivals)

    def find(self, _: Query) -> Iterator[Stored]:
        return iter(())

    def close(self) -> None:
        return


class Hoard(Nothing):
    """A store that keeps everything in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals: list[Any] = []

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        self.arrivals += [(arrival, bytes(2000)) for arrival in arrivals]
        return super().add(arrivals)


class OneByOne:
    """The usual store with one commit per event, optionally on a slow disk."""

    def __init__(self, store: EventStore, seconds: float = 0) -> None:
        self.warnings: list[str] = []
        self._store = store
        self._seconds = seconds

    def add(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        kept = []
        for arrival in arrivals:
            time.sleep(self._seconds)
            kept += self._store.add([arrival])
        return kept

    def find(self, query: Query) -> Iterator[Stored]:
        return self._store.find(query)

    def close(self) -> None:
        self._store.close()


class Eager(event_writer.EventWriter):
    """A writer that acknowledges events before they are stored."""

    async def keep(self, arrival: Arrival) -> Kept:
        self.keep_later(arrival)
        return Kept(Outcome.NEW, 1)


def serve(kind: str, directory: Path) -> None:
    """Run one of the controls until a signal arrives."""
    open_store: dict[str, Any] = {
        "nothing": Nothing,
        "hoard": Hoard,
        "one-by-one": lambda: OneByOne(open_events(None, directory, ACCOUNT.application_id)),
        "slow-disk": lambda: OneByOne(
            open_events(None, directory, ACCOUNT.application_id), SLOW_DISK_SECONDS
        ),
    }
    limits = LIMITS
    if kind == "no-door":
        limits = replace(LIMITS, head_seconds=3600, body_seconds=3600, idle_seconds=3600, connections=10_000)
    secrets = {ACCOUNT.api_key: (ACCOUNT.secret,)}
    settings = Settings(
        open_store=open_store.get(kind) or (lambda: open_events(None, directory, ACCOUNT.application_id)),
        spool=Spool(directory / "spool"),
        verifier=Verifier(lambda: secrets, application_id=ACCOUNT.application_id, now=time.time),
        limiter=ConnectionLimiter(limits=limits),
    )
    sock = server.listen(port=0)
    print(http_server.url(sock), flush=True)
    with mock.patch.object(server, "EventWriter", Eager if kind == "eager" else event_writer.EventWriter):
        server.serve(settings, sock)


@dataclass(frozen=True)
class Running:
    """A running receiver.

    Attributes:
        url: The URL of its event route.
        state: The directory of its events in SQLite.
        store: The URL of its store, if not SQLite.
    """

    url: str
    pid: int
    child: subprocess.Popen[str]
    state: Path
    store: str | None = None

    def stored_events(self) -> set[tuple[str, str]]:
        """Return the leg and status of each event in its store."""
        store = open_events(self.store, self.state, ACCOUNT.application_id)
        try:
            found = (stored.arrival for stored in store.find(Query()))
            return {(arrival.leg or "", arrival.status or "") for arrival in found}
        finally:
            store.close()

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def memory_mib(self) -> float:
        """Return the memory that it uses now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def receiver(kind: str = "", *, store: str | None = None) -> Iterator[Running]:
    """Run ``voicectl webhook serve``, or the control *kind*, as a separate process."""
    with tempfile.TemporaryDirectory() as home:
        state = Path(home) / "state" / ACCOUNT.application_id
        state.mkdir(parents=True)
        with started(kind, Path(home), store=store) as found:
            yield found


@contextmanager
def started(kind: str, home: Path, *, store: str | None = None) -> Iterator[Running]:
    """Run a receiver as :func:`receiver` does, in a home directory that is kept."""
    state = home / "state" / ACCOUNT.application_id
    if kind:
        words = [__file__, kind, str(state)]
    else:
        (home / "answer.json").write_text(json.dumps(NCCO).replace("{from}", "caller"))
        words = ["-m", "voicectl", "webhook", "serve", "--port", "0", "--answer", str(home / "answer.json")]
    remarks = home / "stderr"
    with (
        remarks.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, *words],
            env=os.environ | _environ(home) | ({"VOICECTL_STORE": store} if store else {}),
            stdout=subprocess.PIPE if kind else subprocess.DEVNULL,
            stderr=stderr,
            text=True,
        ) as child,
    ):
        try:
            url = child.stdout.readline().strip() if child.stdout else _url_in(remarks, child)
            yield Running(f"{url}/webhooks/event", child.pid, child, state, store)
        finally:
            child.terminate()


def _url_in(remarks: Path, child: subprocess.Popen[str]) -> str:
    """Return the URL that ``webhook serve`` prints."""
    while child.poll() is None:
        for word in remarks.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                return word.partition("/webhooks")[0].rstrip(".,;")
        time.sleep(0.01)
    raise SystemExit(remarks.read_text())


def _environ(home: Path) -> dict[str, str]:
    key = home / "key.pem"
    if not key.exists():
        key.write_bytes(keys.to_pem(_KEY))
        key.chmod(0o600)
    return {
        "VOICECTL_CONFIG_DIR": str(home / "config"),
        "VOICECTL_STATE_DIR": str(home / "state"),
        "VOICECTL_APPLICATION_ID": ACCOUNT.application_id,
        "VOICECTL_PRIVATE_KEY": str(key),
        "VOICECTL_SIGNATURE_SECRET": ACCOUNT.secret,
    }


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
else:
    _KEY = rsa.generate_private_key(65537, 2048)
