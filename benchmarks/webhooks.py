"""Measure how many webhooks the receiver handles, and check that it loses none.

Run it with the Python of the environment that voicectl is installed in::

    python benchmarks/webhooks.py [PART ...] [--kills 50] [--postgres URL]

Each part measures ``voicectl webhook serve`` in a separate process, with signed events from this one. It also
measures a control, a receiver that does one thing worse. The control must miss the goal, or the measurement proves
nothing. The exit status is 1 if a part misses its goal or a control reaches it.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import random
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import load
import uvloop
from receivers import ACCOUNT, Running, receiver, started

from voicectl import tokens

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 64
FULL_LOAD = 40_000
EVENTS = 100_000
SLOW = 500
SEED = 4


class Report:
    """Prints a line for each figure, and records whether all goals are met."""

    def __init__(self) -> None:
        self.is_good = True

    def line(self, what: str, figure: str, goal: str, *, is_met: bool, is_control: bool = False) -> None:
        is_right = is_met != is_control
        self.is_good &= is_right
        verdict = ("misses it, as it must" if is_right else "REACHES IT") if is_control else ""
        if not is_control and not is_right:
            verdict = "MISSED"
        print(
            f"{'  control: ' * is_control}{what:{52 - 11 * is_control}} {figure:>24}  {goal:12} {verdict}",
            flush=True,
        )


def rates(report: Report, _: argparse.Namespace) -> None:
    """Measure events at a rate: the time of each, and whether all are stored."""
    for rate, seconds, most in ((200, 30, 50), (1000, 10, 150)):
        for kind in ("", "slow-disk"):
            lasts = 2 if kind else seconds  # a receiver that falls behind takes many times as long
            with receiver(kind) as found:
                load.at_rate(found.url, ACCOUNT, rate=50, seconds=1)
                result = load.at_rate(found.url, ACCOUNT, rate=rate, seconds=lasts, connections=CONNECTIONS)
                lost = set(result.acknowledged) - found.stored_events()
            what = f"{rate} events/s for {seconds} s: p99, lost" if not kind else "a commit of 25 ms each"
            is_met = result.quantile(0.99) <= most and not lost and len(result.acknowledged) == rate * lasts
            figure = f"{result.quantile(0.99):.1f} ms, {len(lost)}"
            report.line(what, figure, f"{most} ms, 0", is_met=is_met, is_control=bool(kind))


def full_load(report: Report, options: argparse.Namespace) -> None:
    """Measure events as fast as they are answered, in turn with and without a store."""
    kinds = {"nothing": [], "one-by-one": [], "": []}
    for _ in range(3):
        for kind, figures in kinds.items():
            with receiver(kind) as found:
                load.at_full_load(found.url, ACCOUNT, count=2000, connections=CONNECTIONS)
                figures.append(_per_second(found))
    best = {kind: max(figures) for kind, figures in kinds.items()}
    for kind in ("", "one-by-one"):
        share = best[kind] / best["nothing"]
        what = f"{CONNECTIONS} connections: durable receipts/s" if not kind else "a commit for each event"
        figure = f"{best[kind]:.0f}/{best['nothing']:.0f} = {share:.2f}"
        report.line(what, figure, "0.50", is_met=share >= 0.5, is_control=bool(kind))
    if options.postgres:
        with receiver(store=options.postgres) as found:
            load.at_full_load(found.url, ACCOUNT, count=2000, connections=CONNECTIONS)
            each = _per_second(found)
        share = each / best["nothing"]
        figure = f"{each:.0f}/{best['nothing']:.0f} = {share:.2f}"
        report.line("  in PostgreSQL", figure, "0.50", is_met=share >= 0.5)


def kills(report: Report, options: argparse.Namespace) -> None:
    """Kill the receiver at random moments, and check that all acknowledged events are in the store."""
    for name, store in (("SQLite", None), ("PostgreSQL", options.postgres)):
        if name == "SQLite" or store:
            acknowledged, lost = _killed("", options.kills, store)
            what = f"{options.kills} kills, {name}: acknowledged, lost"
            report.line(what, f"{acknowledged}, {lost}", "0 lost", is_met=acknowledged > 0 and lost == 0)
    acknowledged, lost = _killed("eager", min(options.kills, 10), None)
    report.line(
        "acknowledged before it is stored",
        f"{acknowledged}, {lost}",
        "0 lost",
        is_met=lost == 0,
        is_control=True,
    )


def slow(report: Report, _: argparse.Namespace) -> None:
    """Measure events while many connections send only a byte a second."""
    for kind in ("", "no-door"):
        with receiver(kind) as found:
            load.at_rate(found.url, ACCOUNT, rate=50, seconds=1)
            result, closed = uvloop.run(_beside_slow_ones(found.url))
        is_met = result.quantile(0.99) <= 250 and len(result.acknowledged) == len(result.milliseconds)
        what = f"{SLOW} slow connections: p99, all closed within" if not kind else "no connection limits"
        figure = f"{result.quantile(0.99):.1f} ms, {closed:.1f} s"
        report.line(what, figure, "250 ms, 16 s", is_met=is_met and closed <= 16, is_control=bool(kind))


def locked(report: Report, _: argparse.Namespace) -> None:
    """Measure call answers while another process locks the store; the control is an event, which is stored."""
    with receiver() as found:
        load.at_rate(found.url, ACCOUNT, rate=50, seconds=1)
        with closing(sqlite3.connect(found.state / "events.db", isolation_level=None)) as held:
            held.execute("BEGIN EXCLUSIVE")
            event = _ask(found.url, 1)[0]
            answers = _ask(found.url.replace("event", "answer"), 50)
    slowest = max(answers)
    report.line(
        "store locked: the slowest of 50 answers", f"{slowest:.1f} ms", "250 ms", is_met=slowest <= 250
    )
    report.line(
        "an event, stored in the spool", f"{event:.1f} ms", "250 ms", is_met=event <= 250, is_control=True
    )


def memory(report: Report, _: argparse.Namespace) -> None:
    """Measure the memory used after many events."""
    for kind in ("", "hoard"):
        with receiver(kind) as found:
            sizes = []
            for _ in range(5):
                load.at_full_load(found.url, ACCOUNT, count=EVENTS // 5, connections=CONNECTIONS)
                sizes.append(found.memory_mib())
        is_met = sizes[-1] <= 150 and sizes[-1] <= 1.1 * sizes[0]
        what = f"{EVENTS} events: memory after a fifth, after all" if not kind else "all kept in memory"
        figure = f"{sizes[0]:.0f}, {sizes[-1]:.0f} MiB"
        report.line(what, figure, "150, flat", is_met=is_met, is_control=bool(kind))


PARTS: dict[str, Callable[[Report, argparse.Namespace], None]] = {
    part.__name__.replace("_", "-"): part for part in (rates, full_load, kills, slow, locked, memory)
}


def _per_second(found: Running) -> float:
    return load.at_full_load(found.url, ACCOUNT, count=FULL_LOAD, connections=CONNECTIONS).per_second


def _killed(kind: str, times: int, store: str | None) -> tuple[int, int]:
    """Return the numbers of acknowledged events, and of those missing from the store."""
    chance = random.Random(SEED)
    acknowledged: set[tuple[str, str]] = set()
    with TemporaryDirectory() as home:
        (Path(home) / "state" / ACCOUNT.application_id).mkdir(parents=True)
        for _ in range(times):
            with started(kind, Path(home), store=store) as found:
                killer = threading.Timer(chance.uniform(0.02, 0.4), found.kill)
                result = load.at_full_load(
                    found.url, ACCOUNT, count=6000, connections=CONNECTIONS, on_start=killer.start
                )
                killer.join()
            acknowledged.update(result.acknowledged)
        with started(kind, Path(home), store=store) as found:  # stores the events of the spool
            load.at_rate(found.url, ACCOUNT, rate=50, seconds=1)
            return len(acknowledged), len(acknowledged - found.stored_events())


async def _beside_slow_ones(url: str) -> tuple[load.Result, float]:
    """Send events at a rate during slow connections; return the result and the seconds until those are closed."""
    parts = urlsplit(url)
    started_at = time.perf_counter()
    ends = [asyncio.create_task(_drip(parts.hostname or "", parts.port or 0)) for _ in range(SLOW)]
    requests = load.prepare(url, ACCOUNT, 200 * 5)
    result = await load.send_at_rate(url, requests, 200, 16)
    done, left = await asyncio.wait(ends, timeout=25 - (time.perf_counter() - started_at))
    for task in left:
        task.cancel()
    moments = [task.result() - started_at for task in done]
    return result, max(moments) if not left else 25.0


class _Drip(asyncio.Protocol):
    """A connection that sends a request header, one byte a second."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"POST /webhooks/event HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")  # type: ignore[attr-defined]
        self._go_on(transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.ended.done():  # else the wait was cancelled
            self.ended.set_result(time.perf_counter())

    def _go_on(self, transport: asyncio.BaseTransport) -> None:
        if not transport.is_closing():
            transport.write(b"a")  # type: ignore[attr-defined]
            asyncio.get_running_loop().call_later(1, self._go_on, transport)


async def _drip(host: str, port: int) -> float:
    """Send slowly, and return the time when the connection was closed."""
    transport, connection = await asyncio.get_running_loop().create_connection(_Drip, host, port)
    try:
        return await connection.ended
    finally:
        transport.abort()


def _ask(url: str, times: int) -> list[float]:
    """Return the milliseconds of each of several requests over one connection."""
    taken = []
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for request in load.prepare(url, ACCOUNT, times):
        body = request.content.partition(b"\r\n\r\n")[2]
        token = tokens.webhook_token(
            body,
            secret=ACCOUNT.secret,
            api_key=ACCOUNT.api_key,
            application_id=ACCOUNT.application_id,
            now=time.time(),
        )
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        began = time.perf_counter()
        connection.request("POST", parts.path, body, headers)
        reply = connection.getresponse()
        said = reply.read()
        taken.append((time.perf_counter() - began) * 1000)
        assert reply.status == 200, said
        assert "answer" not in url or json.loads(said)
    connection.close()
    return taken


def main() -> int:
    """Run the chosen parts, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument(
        "--postgres", metavar="URL", help="Also measure this database; its events are not removed."
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    report = Report()
    for name in options.parts or PARTS:
        PARTS[name](report, options)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
