"""A menu to explore, as a table of states. Run it with a port, and the name of a table or a number of states.

Faults can be planted: two dead ends, a loop, and a key that is offered but not routed. One menu has no end, and one
ends the program, a moment after its connections.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

KEYS = "0123456789*#"
PORT, WHAT = int(sys.argv[1]), sys.argv[2]
BASE = f"http://127.0.0.1:{PORT}"
ANSWER_SECONDS = float(os.environ.get("ANSWER_SECONDS", "0"))
GOOD = {
    "main": (
        "Welcome to ACME. For sales, press 1. For hours, press 2, or press star for the date.",
        "1:sales 2:hours *:date",
    ),
    "sales": ("Sales. Press 1 for an offer, or press 0 to go back.", "1:offer 0:main"),
    "offer": ("Our offer costs 12.50 pounds. Goodbye.", None),
    "hours": ("We are open from nine to five. Press 0 to go back.", "0:main"),
    "date": ("Today is Tuesday 1 December. Goodbye.", None),
}
FAULTY = GOOD | {
    "sales": (
        "Sales. Press 1 for an offer, press 2 for news, press 3 for jobs, or press 4 for games.",
        "1:offer 2:cut 3:silent 4:games",
    ),
    "games": ("Games. Press 1 for more.", "1:more"),
    "more": ("More games. Press 1 for all.", "1:games"),
    "hours": ("We are open from nine to five. Press 0 to go back, or press 7 for holidays.", "0:main"),
}
ENDLESS = ("games", "more")
BROKEN = {
    "main": ("Press 1 for music, or press 2 for more of it.", "1:lost 2:lost 3:end 4:end"),
    "end": GOOD["date"],
}
DEADLY = {
    "main": ("Press 1 for the end, or press 2 for another.", "1:end 2:death"),
    "end": ("Goodbye.", None),
}


def many(count: int) -> dict[str, tuple[str, str | None]]:
    """Return a tree of menus, each of which leads to five others."""

    def name(number: int) -> str:
        letters = chr(97 + number // 26) + chr(97 + number % 26)
        return "main" if number == 0 else letters

    found: dict[str, tuple[str, str | None]] = {}
    for number in range(count):
        ways = {str(key): name(number * 5 + key) for key in range(1, 6) if number * 5 + key < count}
        offers = ", ".join(f"press {key} for {way}" for key, way in ways.items()) or "Press 1 to end"
        found[name(number)] = (
            f"This is {name(number)}. {offers}.",
            " ".join(f"{key}:{way}" for key, way in ways.items()) or "1:bye",
        )
    return found | {"bye": ("Goodbye.", None)}


STATES = (
    many(int(WHAT))
    if WHAT.isdigit()
    else {"good": GOOD, "faulty": FAULTY, "deadly": DEADLY, "broken": BROKEN, "endless": {}}[WHAT]
)


def ncco(name: str, *before: str, tries: int = 1) -> list[dict[str, Any]]:
    if name == "cut":
        return []
    if name == "death":
        die()
    if name == "lost":
        return [{"action": "stream", "streamUrl": [f"{BASE}/lost.wav"]}, *ncco("main")]
    if name == "silent":
        return [{"action": "stream", "streamUrl": [f"{BASE}/hold.wav"], "loop": 0}]
    text, ways = STATES[name] if STATES else (f"{name}. Press 1 to go on.", "")
    talks = [{"action": "talk", "text": part, "bargeIn": ways is not None} for part in (*before, text)]
    url = f"{BASE}/menu?state={quote(name)}&tries={tries}"
    listen = {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1, "timeOut": 3}, "eventUrl": [url]}
    return [*talks, listen] if ways is not None else talks


def chosen(query: dict[str, list[str]], digits: str) -> list[dict[str, Any]]:
    name, tries = query["state"][0], int(query["tries"][0])
    if WHAT == "endless":
        return ncco(f"{name} {chr(97 + (KEYS.find(digits[:1]) if digits else 12))}")
    ways = dict(way.split(":") for way in (STATES[name][1] or "").split())
    if digits in ways:
        return ncco(ways[digits])
    if tries == 3 and (WHAT != "faulty" or name not in ENDLESS):
        return [{"action": "talk", "text": "Goodbye."}]
    return ncco(name, "Sorry.", tries=tries + 1)


def die() -> None:
    """End as a program does whose memory takes a while to be freed: its connections are closed first."""
    os.closerange(3, 100)
    time.sleep(0.1)
    os._exit(3)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(ncco("main"), 404 if self.path == "/lost.wav" else 200)

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = urlsplit(self.path)
        self.answer(chosen(parse_qs(parts.query), event["dtmf"]["digits"]) if parts.path == "/menu" else [])

    def answer(self, body: Any, status: int = 200) -> None:
        time.sleep(ANSWER_SECONDS)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
