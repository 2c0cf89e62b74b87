"""An application to test: a menu by keys, in one file that needs only the standard library.

Run it with a port. If the variable ``FAULT`` is ``start``, it does not start.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PORT = int(sys.argv[1])
BASE = f"http://127.0.0.1:{PORT}"
AGENT = "447700900002"

GREETING = "Welcome to ACME. For sales, press 1. For support, press 2."
Ncco = list[dict[str, Any]]


def menu(*before: dict[str, Any]) -> Ncco:
    greeting = {"action": "talk", "text": GREETING, "bargeIn": True}
    keys = {"maxDigits": 1, "timeOut": 4}
    return [
        *before,
        greeting,
        {"action": "input", "type": ["dtmf"], "dtmf": keys, "eventUrl": [f"{BASE}/menu"]},
    ]


def say(text: str) -> dict[str, Any]:
    return {"action": "talk", "text": text}


def chosen(event: dict[str, Any]) -> Ncco:
    match event["dtmf"]["digits"]:
        case "1":
            return [
                say("Connecting you."),
                {"action": "connect", "endpoint": [{"type": "phone", "number": AGENT}]},
            ]
        case "2":
            listening = {"action": "input", "type": ["speech"], "eventUrl": [f"{BASE}/said"]}
            return [say("What is it about?"), listening]
        case _:
            return menu(say("Sorry."))


def said(event: dict[str, Any]) -> Ncco:
    results = event["speech"].get("results") or [{"text": "nothing"}]
    return [say(f"You said {results[0]['text']}. Goodbye.")]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(menu() if urlsplit(self.path).path == "/answer" else [])

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(self.path, event.get("status", ""), flush=True)
        match urlsplit(self.path).path:
            case "/menu":
                self.answer(chosen(event))
            case "/said":
                self.answer(said(event))
            case _:
                self.answer([])

    def answer(self, ncco: Ncco) -> None:
        content = json.dumps(ncco).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


if __name__ == "__main__":
    if os.environ.get("FAULT") == "start":
        sys.exit("no database")
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
