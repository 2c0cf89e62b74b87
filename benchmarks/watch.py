"""Measure the switchboard of ``voicectl watch``: its CPU time, how fast it answers keys, and its first frame.

::

    python benchmarks/watch.py [--seconds 30] [--legs 1000 10000]

Each run is a separate process on a terminal of 50 lines and 160 columns, against an API on loopback that lists that
many live legs. In ``busy`` runs, events for five of them are stored each second, in ``storm`` runs, 300. The cost of
starting (imports, the first list of all legs) is shown separately. Keys are timed from the moment when they are
written to the terminal until the screen has changed. The control arranges and draws all rows again five times a
second, as a table that is built anew would. It must exceed the goal, or the goal would prove nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from voicectl.core.identity import keys
from voicectl.core.identity.profiles import Profile, ProfileStore
from voicectl.store.event_stores import open_events
from voicectl.store.events import Arrival, Route

GOALS = {
    (1000, "quiet"): 10.0,
    (1000, "busy"): 10.0,
    (1000, "storm"): 30.0,
    (10_000, "quiet"): 15.0,
    (10_000, "busy"): 15.0,
    (10_000, "storm"): 30.0,
}
"""The greatest share of one core, in percent."""

GOAL_KEY_SECONDS = 0.1
"""The greatest time to answer a key, at the 95th percentile."""

ROWS, COLUMNS = 50, 160
APPLICATION = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
EVENTS_PER_SECOND = {"busy": 5, "storm": 300}
KEYS = 60
LEAST_CHANGE = 200
"""The fewest bytes that moving the cursor writes. The clock alone writes fewer."""

TICKS = os.sysconf("SC_CLK_TCK")

CONTROL = """
from voicectl.cli.switchboard import app
before = app.Switchboard.on_mount
def on_mount(self):
    before(self)
    self.set_interval(0.2, draw)
def draw():
    from textual._context import active_app
    board = active_app.get()
    board.arrange()
    board.table._strips.clear()
    for y in range(len(board.roster.rows)):
        board.table._leg_strip(board.roster.rows[y]) if not hasattr(board.roster.rows[y], "legs") else None
app.Switchboard.on_mount = on_mount
from voicectl.__main__ import main
main()
"""


def leg(number: int) -> str:
    return f"3c1f7c5e-9a6b-4d0e-8f7a-{number:012x}"


def conversation(number: int) -> str:
    return f"CON-6f1d2c3b-4a59-4687-9786-{number // 2:012x}"


class Api(BaseHTTPRequestHandler):
    """An API that lists answered legs, a hundred per page."""

    protocol_version = "HTTP/1.1"
    legs = 0
    pages: dict[int, bytes] = {}  # noqa: RUF012 (made once, before it serves)

    def do_GET(self) -> None:
        is_answered = "status=answered" in self.path or "record_index" in self.path
        index = int((re.findall(r"record_index=(\d+)", self.path) or ["0"])[0])
        body = self.pages[index] if is_answered else b'{"count":0,"_embedded":{"calls":[]},"_links":{}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    @classmethod
    def holding(cls, legs: int) -> type[Api]:
        """Return an API that lists *legs* legs."""
        pages = {}
        for first in range(0, legs, 100):
            following = f"/v1/calls?page_size=100&record_index={first // 100 + 1}"
            links = {"next": {"href": following}} if first + 100 < legs else {}
            calls = [record(number) for number in range(first, min(first + 100, legs))]
            page = {"count": legs, "_embedded": {"calls": calls}, "_links": links}
            pages[first // 100] = json.dumps(page).encode()
        return type("Holding", (cls,), {"legs": legs, "pages": pages})


def record(number: int) -> dict[str, object]:
    return {
        "uuid": leg(number),
        "conversation_uuid": conversation(number),
        "status": "answered",
        "direction": "outbound",
        "to": {"type": "phone", "number": f"4477009{number:05}"},
        "from": {"type": "phone", "number": "442079460000"},
        "_links": {"self": {"href": f"/v1/calls/{leg(number)}"}},
    }


class EventFeed:
    """Stores events during a run: for each leg in turn, that a human answered."""

    def __init__(self, directory: Path, legs: int, per_second: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._per_second = per_second
        self._directory = directory
        self._legs = legs
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> EventFeed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(open_events(None, self._directory, APPLICATION)) as store:
            number = 0
            while not self._is_done.wait(0.2):
                arrivals = []
                for _ in range(max(self._per_second // 5, 1)):
                    number += 1
                    arrivals.append(self._arrival(number))
                store.add(arrivals)

    def _arrival(self, number: int) -> Arrival:
        uuid = leg(self._legs - 1 - number % self._legs)
        fields = {"uuid": uuid, "status": "human", "timestamp": "2026-02-02T02:40:00.000Z", "n": number}
        body = json.dumps(fields | {"conversation_uuid": conversation(self._legs - 1 - number % self._legs)})
        return Arrival.read(
            received=time.time(),
            route=Route.EVENT,
            method="POST",
            query=b"",
            body=body.encode(),
            is_signed=True,
        )


class Watching:
    """A running ``watch`` on its own terminal.

    Attributes:
        shown: Number of bytes that it wrote.
    """

    def __init__(self, home: Path, *, is_control: bool = False) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        program = ["-c", CONTROL] if is_control else ["-m", "voicectl"]
        self.shown = 0
        self.began = time.monotonic()
        self._ours = ours
        self._child = subprocess.Popen(
            [sys.executable, *program, "watch"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(theirs)
        self._text = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.send_signal(signal.SIGINT)
        assert self._child.wait(30) == 130
        self._thread.join()
        os.close(self._ours)

    def until(self, text: bytes) -> None:
        give_up = time.monotonic() + 300
        while text not in self._text:
            assert time.monotonic() < give_up, self._text[-2000:]
            time.sleep(0.01)

    def press(self, key: bytes) -> float:
        """Type a key, and return the seconds until more than the time has changed on the screen."""
        before, began = self.shown, time.monotonic()
        os.write(self._ours, key)
        while self.shown - before < LEAST_CHANGE:
            assert time.monotonic() - began < 30, "a key was not answered"
            time.sleep(0.001)
        return time.monotonic() - began

    @property
    def cpu(self) -> float:
        """Return the CPU seconds used so far."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while part := os.read(self._ours, 65_536):
                self.shown += len(part)
                self._text = (self._text + part)[-200_000:]


def run(home: Path, legs: int, seconds: float, name: str) -> float:
    """Return the percentage of one core that a run uses once all legs are shown."""
    with Watching(home, is_control=name == "control") as watching:
        watching.until(b"live legs")
        first = time.monotonic() - watching.began
        watching.until(f"{legs:,} live legs".replace(",", " ").encode())
        began = watching.cpu
        time.sleep(3)
        state = home / ".local" / "state" / "voicectl" / APPLICATION
        start, since, bytes_ = watching.cpu, time.monotonic(), watching.shown
        if name in EVENTS_PER_SECOND:
            with EventFeed(state, legs, EVENTS_PER_SECOND[name]):
                time.sleep(seconds)
        else:
            time.sleep(seconds)
        took = time.monotonic() - since
        percent = 100 * (watching.cpu - start) / took
        shown = (watching.shown - bytes_) / took / 1000
        print(
            f"{legs:6} legs, {name:7}: {percent:5.1f} % of one core, {shown:5.1f} kB/s to the terminal;"
            f" first frame after {first:.2f} s; {began:.1f} s of CPU to begin",
            flush=True,
        )
        return percent


def time_keys(home: Path, legs: int) -> float:
    """Return the 95th percentile of the seconds until a key is answered while the legs are polled."""
    with Watching(home) as watching:
        watching.until(f"{legs:,} live legs".replace(",", " ").encode())
        watching.press(b"j")
        took = []
        for number in range(KEYS):
            took.append(watching.press(b"j" if number < KEYS // 2 else b"k"))
            time.sleep(0.05)
    p95 = sorted(took)[int(0.95 * len(took))]
    print(f"{legs:6} legs: keys answered after {1000 * p95:.0f} ms at p95, {1000 * max(took):.0f} ms at most")
    return p95


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--legs", type=int, nargs="+", default=[1000, 10_000])
    options = parser.parse_args()
    missed: list[str] = []
    for legs in options.legs:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Api.holding(legs))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as directory:
            home = Path(directory)
            profile = Profile(
                name="bench", application_id=APPLICATION, base_url=f"http://127.0.0.1:{server.server_port}"
            )
            key = keys.parse(_pem(), where="the benchmark")
            ProfileStore(home / ".config" / "voicectl").add(profile, key=key)
            used = {"quiet": run(home, legs, options.seconds, "quiet")}
            control = run(home, legs, min(options.seconds, 10), "control")
            with EventFeed(home / ".local" / "state" / "voicectl" / APPLICATION, legs, 5):
                time.sleep(1)  # until the store exists
            used |= {name: run(home, legs, options.seconds, name) for name in EVENTS_PER_SECOND}
            slowest = time_keys(home, legs)
        server.shutdown()
        missed += [f"{legs} legs, {name}" for name in used if used[name] > GOALS.get((legs, name), 100.0)]
        missed += [f"{legs} legs, the control"] * (control <= GOALS.get((legs, "busy"), 0.0))
        missed += [f"{legs} legs, keys"] * (slowest > GOAL_KEY_SECONDS)
    print(f"goals missed: {', '.join(missed) or 'none'}")
    sys.exit(bool(missed))


def _pem() -> bytes:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 (only to make the key)
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


if __name__ == "__main__":
    main()
