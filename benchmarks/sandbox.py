"""Measure the sandbox: a request, 10 000 legs at once, an hour of 1 000 calls, and the webhooks of 1 000 legs.

Run it with the Python of the environment that voicectl is installed in::

    python benchmarks/sandbox.py [--legs 10000] [--calls 1000] [--profile DIRECTORY]

Each part runs ``voicectl sandbox start`` as a separate process and uses it over HTTP, as users do. A control beside a
figure shows the part of it that is not caused by the sandbox. ``--profile`` writes the cProfile statistics of each
part, and makes all of them about twice as slow.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicectl import tokens
from voicectl.core.identity import keys
from voicectl.core.identity.profiles import SANDBOX, ProfileStore
from voicectl.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLER = {"type": "phone", "number": "442079460000"}
REQUESTS = 2_000
LEGS_IN_A_ROOM = 50
LISTS = 200
HOUR = 3600

BARE = """
import socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

def show(request):
    return JSONResponse({"uuid": request.path_params["uuid"]})

app = Starlette(routes=[Route("/v1/calls/{uuid}", show)])
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
sock.bind(("127.0.0.1", 0))
print(f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
config = uvicorn.Config(app, http="h11", ws="none", loop="asyncio", lifespan="off", log_level="error")
uvicorn.Server(config).run(sockets=[sock])
"""
"""Program of the control: the same server and routing, with a constant reply."""

PROFILED = """
import cProfile, sys
from voicectl.cli.app import run

profile = cProfile.Profile()
profile.runcall(run, sys.argv[2:])
profile.dump_stats(sys.argv[1])
"""
"""Program that profiles ``voicectl``, which itself exits too fast for cProfile to write its results."""


@dataclass
class Client:
    """A client with a persistent connection and the application's token."""

    url: str
    token: str = ""

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=300)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request, and return the JSON of the reply or None; a status of 400 or more is an error."""
        content = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self._connection.request(method, path, content, headers)
        reply = self._connection.getresponse()
        said = reply.read()
        if reply.status >= 400:
            raise RuntimeError(f"{method} {path}: {reply.status} {said.decode()}")
        return json.loads(said) if reply.getheader("Content-Type") == "application/json" and said else said

    def call(self, number: str, *ncco: dict[str, Any], **more: Any) -> str:
        body = {"to": [{"type": "phone", "number": number}], "from": CALLER, "ncco": list(ncco)} | more
        return str(self.ask("POST", "/v1/calls", body)["uuid"])

    def advance(self, seconds: float) -> None:
        self.ask("POST", "/sandbox/advance", {"seconds": seconds})

    def status(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/sandbox/status"))

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask("GET", "/sandbox/log").splitlines()]

    def timed(self, method: str, path: str, body: object = None, *, times: int) -> list[float]:
        """Return the milliseconds of each of several requests, sent one after another."""
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            self.ask(method, path, body)
            taken.append((time.perf_counter() - started) * 1000)
        return taken


class Benchmark:
    """Starts the sandboxes to measure, and prints a line for each figure."""

    def __init__(self, profile: Path | None) -> None:
        self._profile = profile

    @contextmanager
    def sandbox(self, part: str, *options: str) -> Iterator[tuple[Client, int]]:
        """Run a sandbox without rate limits, and yield a client and the process id."""
        with tempfile.TemporaryDirectory() as home:
            environ = os.environ | {
                "VOICECTL_CONFIG_DIR": f"{home}/config",
                "VOICECTL_STATE_DIR": f"{home}/state",
            }
            program = ["-m", "voicectl"]
            if self._profile:
                program = ["-c", PROFILED, str(self._profile / f"{part}.prof")]
            words = ["sandbox", "start", "--port", "0", "--seed", "1", "--no-limits", "-q", *options]
            remarks = Path(home) / "stderr"
            with (
                remarks.open("w") as stderr,
                subprocess.Popen(
                    [sys.executable, *program, *words],
                    env=environ,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                ) as child,
            ):
                assert child.stdout is not None
                url = child.stdout.readline().strip()
                if not url:
                    raise SystemExit(remarks.read_text())
                try:
                    yield Client(url, _token(Path(home) / "config")), child.pid
                finally:
                    child.terminate()

    def line(self, what: str, figure: str, goal: str = "", control: str = "") -> None:
        print(f"{what:44} {figure:>16}  {goal:14} {control}", flush=True)

    def requests(self) -> None:
        """Measure a request to an idle sandbox."""
        with self.sandbox("requests") as (client, _):
            leg = client.call("447700900000", {"action": "conversation", "name": "room"})
            time.sleep(3)  # real time, until it is answered
            path = f"/v1/calls/{leg}"
            client.timed("GET", path, times=200)
            shown = client.timed("GET", path, times=REQUESTS)
            muted = client.timed("PUT", path, {"action": "mute"}, times=REQUESTS)
            fresh = [
                Client(client.url, client.token).timed("GET", path, times=1)[0] for _ in range(REQUESTS // 4)
            ]
        with _bare() as bare:
            bare.timed("GET", path, times=200)
            control = _quantiles(bare.timed("GET", path, times=REQUESTS))
        self.line(
            "a request, median (p99): show a leg",
            _quantiles(shown),
            "< 5 ms",
            f"same server, empty: {control}",
        )
        self.line("                         mute a leg", _quantiles(muted), "< 5 ms")
        self.line("                         on a fresh connection", _quantiles(fresh), "< 5 ms")

    def legs(self, count: int) -> None:
        """Measure many legs at once."""
        with self.sandbox("legs", "--frozen") as (client, pid):
            quiet = _peak_mib(pid)
            started = time.perf_counter()
            for number in range(count):
                room = {"action": "conversation", "name": f"room {number // LEGS_IN_A_ROOM}"}
                client.call("447700900000", {"action": "talk", "text": "Welcome"}, room)
            created = time.perf_counter() - started
            client.advance(10)
            answered = time.perf_counter() - started - created
            assert client.status()["legs_live"] == count
            page = f"/v1/calls?status=answered&page_size=100&record_index={count // 200}"
            assert client.ask("GET", page)["count"] == count
            pages = client.timed("GET", page, times=LISTS)
            one = client.ask("GET", page)["_embedded"]["calls"][0]
            room = f"/v1/calls?page_size=100&conversation_uuid={one['conversation_uuid']}"
            in_room = client.timed("GET", room, times=LISTS)
            first = client.timed("GET", "/v1/calls?page_size=10", times=LISTS)
            shown = client.timed("GET", f"/v1/calls/{one['uuid']}", times=LISTS)
            peak = _peak_mib(pid)
        self.line(
            f"{count} legs live at once, peak memory",
            f"{peak:.0f} MiB",
            "< 500 MB",
            f"quiet: {quiet:.0f} MiB",
        )
        self.line("  made, and answered by one advance", f"{created:.1f} s, {answered:.1f} s")
        self.line(
            "  a page of 100 of those answered", _quantiles(pages), "< 5 ms", f"one leg: {_quantiles(shown)}"
        )
        self.line("  a page of 10 of all", _quantiles(first), "< 5 ms")
        self.line(f"  the {LEGS_IN_A_ROOM} of one conversation", _quantiles(in_room), "< 5 ms")

    def hour(self, count: int) -> None:
        """Measure an hour of calls on the call clock, one after another, to the end of the last."""
        with self.sandbox("hour", "--frozen") as (client, _):
            started = time.perf_counter()
            for number in range(count):
                _place(client, number)
                client.advance(HOUR / count)
            client.advance(HOUR)
            taken = time.perf_counter() - started
            status = client.status()
        assert status["legs_live"] == 0, status
        with self.sandbox("idle hour", "--frozen") as (client, _):
            started = time.perf_counter()
            for _ in range(count):
                client.ask("GET", "/v1/calls")
                client.advance(HOUR / count)
            control = time.perf_counter() - started
        self.line(
            f"an hour of {count} calls ({status['legs']} legs)",
            f"{taken:.1f} s",
            "< 30 s",
            f"no calls: {control:.1f} s",
        )

    def webhooks(self, count: int) -> None:
        """Measure the events of many legs, sent to a receiver on this machine."""
        with receiver() as (url, received), self.sandbox("webhooks", "--frozen") as (client, _):
            for _ in range(count):
                leg = client.call("447700900505", {"action": "talk", "text": "Welcome"}, event_url=[url])
            client.advance(30)
            meanwhile = []
            while client.status()["webhooks_pending"]:
                meanwhile += client.timed("GET", f"/v1/calls/{leg}", times=1)
                time.sleep(0.02)
            sent = Counter((e["uuid"], e["status"]) for e in client.log() if e["kind"] == "status")
            got = Counter((event["uuid"], event["status"]) for _, event in received if "status" in event)
            moments = [moment for moment, _ in received]
        lost, twice = sent - got, got - sent
        each = len(received) / (moments[-1] - moments[0]) if received else 0
        self.line(
            f"events of {count} legs",
            f"{each:.0f} events/s",
            "",
            f"one sender, no sandbox: {_receiver_alone():.0f} events/s",
        )
        self.line("  a request meanwhile", _quantiles(meanwhile) if len(meanwhile) > 1 else "-")
        self.line(f"  of {sent.total()} lost, sent twice", f"{lost.total()}, {twice.total()}", "0, 0")


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[float, dict[str, Any]]]]]:
    """Run a webhook receiver on a thread, and yield its URL and the arrival times."""
    received: list[tuple[float, dict[str, Any]]] = []

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((time.perf_counter(), json.loads(body)))
            self.send_response_only(204)
            self.end_headers()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024  # with the usual 5, a burst of connections waits a second for the next try

    server = Server(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/event", received
    finally:
        server.shutdown()
        server.server_close()


def _receiver_alone() -> float:
    """Return the events a second that the receiver takes from one sender, with a new connection for each."""
    with receiver() as (url, received):
        for _ in range(REQUESTS):
            Client(url.removesuffix("/event")).ask("POST", "/event", {"uuid": "u", "status": "answered"})
        return len(received) / (received[-1][0] - received[0][0])


def _place(client: Client, number: int) -> None:
    """Return a call of one of three kinds: a menu that connects to a person, a conference, an announcement."""
    welcome = {"action": "talk", "text": "Welcome. Press one for sales, two for support."}
    match number % 3:
        case 0:
            menu = {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1}}
            sales = {"action": "connect", "from": CALLER["number"], "endpoint": [_phone("447700900530")]}
            client.call(
                f"4477009001{number % 100:02}", welcome, menu, sales, {"action": "talk", "text": "Goodbye."}
            )
        case 1:
            room = {"action": "conversation", "name": f"room {number // 30}"}
            client.call(f"4477009005{60 + number % 40}", welcome, room)
        case _:
            file = {"action": "stream", "streamUrl": ["https://cdn.example.org/news.mp3"]}
            client.call("447700900000", welcome, file, {"action": "talk", "text": "Goodbye."})


def _phone(number: str) -> dict[str, str]:
    return {"type": "phone", "number": number}


def _token(config: Path) -> str:
    store = ProfileStore(config)
    key = keys.parse(files.read_private(store.key_path(SANDBOX), what="private key"), where="the sandbox")
    return tokens.mint(tokens.application_claims(store.get(SANDBOX).application_id, now=time.time()), key)


@contextmanager
def _bare() -> Iterator[Client]:
    with subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        client = Client(child.stdout.readline().strip())
        time.sleep(0.5)
        yield client
        child.terminate()


def _peak_mib(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def _quantiles(taken: list[float]) -> str:
    return f"{statistics.median(taken):.2f} ({statistics.quantiles(taken, n=100)[98]:.2f}) ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--legs", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--only", choices=("requests", "legs", "hour", "webhooks"))
    given = parser.parse_args()
    if given.profile:
        given.profile.mkdir(parents=True, exist_ok=True)
    benchmark = Benchmark(given.profile)
    parts = {
        "requests": benchmark.requests,
        "legs": lambda: benchmark.legs(given.legs),
        "hour": lambda: benchmark.hour(given.calls),
        "webhooks": lambda: benchmark.webhooks(given.calls),
    }
    benchmark.line("", "measured", "goal", "control")
    for name, measure in parts.items():
        if given.only in (None, name):
            measure()


if __name__ == "__main__":
    main()
