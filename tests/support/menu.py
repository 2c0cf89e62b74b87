"""An application to test: a menu by keys, in one file. Run it with a port.

The variable ``FAULT`` breaks it in one way, which :data:`FAULTS` describes. If ``LATE`` is set, it mutes callers
once it has replied to their answer; ``API_HOST`` is the host of the platform.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_WR
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

PORT = int(sys.argv[1])
BASE = f"http://127.0.0.1:{PORT}"
AGENT = "447700900002"
MISSING = "447700900205"
FAULT = os.environ.get("FAULT", "")
FAULTS = {
    "start": "it does not start",
    "ncco": "its answer is not an NCCO",
    "close": "it closes the connection instead of answering events",
    "audio": "its music does not exist",
    "loop": "the menu is repeated whatever is pressed",
    "redial": "a number that does not exist is dialled again and again",
    "crash": "it ends when a key is pressed",
}

GREETING = "Welcome to ACME. For sales, press 1. For support, press 2."
Ncco = list[dict[str, Any]]


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"action": "talk", "text": text, **more}


def menu(*before: dict[str, Any]) -> Ncco:
    keys = {"maxDigits": 1, "timeOut": 4}
    listen = {"action": "input", "type": ["dtmf"], "dtmf": keys, "eventUrl": [f"{BASE}/menu"]}
    return [*before, say(GREETING, bargeIn=True), listen]


def redial() -> Ncco:
    hook = {"eventType": "synchronous", "eventUrl": [f"{BASE}/redial"]}
    return [{"action": "connect", "endpoint": [{"type": "phone", "number": MISSING}], **hook}]


def chosen(event: dict[str, Any]) -> Ncco:
    if FAULT == "crash":
        os._exit(3)
    match event["dtmf"]["digits"]:
        case _ if FAULT == "loop":
            return menu()
        case "1":
            return [
                say("Connecting you."),
                {"action": "connect", "endpoint": [{"type": "phone", "number": AGENT}]},
            ]
        case "2":
            listen = {"action": "input", "type": ["speech"], "eventUrl": [f"{BASE}/said"]}
            return [say("<speak>What is it <break time='1s'/> about?</speak>"), listen]
        case "3":
            return [say("Please hold."), {"action": "conversation", "name": "support"}]
        case "4":
            name = "missing" if FAULT == "audio" else "hold"
            return [{"action": "stream", "streamUrl": [f"{BASE}/{name}.wav?v=2"]}, say("Goodbye.")]
        case "5":
            return [
                say("After the tone."),
                {"action": "record", "eventUrl": [f"{BASE}/event"], "timeOut": 3},
                say("Bye."),
            ]
        case "":
            return [say("Goodbye.")]
        case _:
            return menu(say("Sorry."))


def said(event: dict[str, Any]) -> Ncco:
    results = event["speech"].get("results") or [{"text": "nothing"}]
    return [say(f"You said {results[0]['text']}. Your balance is £1,250.50, Mr O'Neil.")]


def call(order: dict[str, Any]) -> None:
    """Call somebody."""
    body = {
        "to": [{"type": "phone", "number": order["to"]}],
        "from": {"type": "phone", "number": "442079460000"},
        "ncco": [say(f"Hello {order['name']}."), say("Your parcel is here.")],
    }
    ask("POST", "/v1/calls", body)


def ask(method: str, path: str, body: dict[str, Any]) -> None:
    """Send a request to the platform, as its clients do."""
    import jwt  # noqa: PLC0415 (slow to load)

    now = int(time.time())
    claims = {
        "application_id": os.environ["VONAGE_APPLICATION_ID"],
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid4()),
    }
    token = jwt.encode(claims, Path(os.environ["VONAGE_PRIVATE_KEY"]).read_text(), algorithm="RS256")
    host = os.environ.get("API_HOST") or os.environ["VONAGE_API_HOST"]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    urllib.request.urlopen(
        urllib.request.Request(host + path, json.dumps(body).encode(), headers, method=method)
    ).close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/hold.wav":
            self.answer(b"RIFF")
        elif path != "/answer":
            self.send_error(404)
        elif FAULT == "ncco":
            self.answer({"say": "hello"})
        else:
            self.answer(redial() if FAULT == "redial" else menu())

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path
        print(path, event.get("status", ""), flush=True)
        if FAULT == "close" and path == "/event":
            self.close_connection = True
            return
        replies = {"/menu": chosen, "/said": said, "/redial": lambda _: redial()}
        if path == "/call":
            for _ in range(event.get("times", 1)):
                call(event)
        self.answer(replies[path](event) if path in replies else [])
        if event.get("status") == "answered" and "LATE" in os.environ:
            self.wfile.flush()
            self.connection.shutdown(SHUT_WR)
            ask("PUT", f"/v1/calls/{event['uuid']}", {"action": "mute"})

    def answer(self, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


if __name__ == "__main__":
    if FAULT == "start":
        sys.exit("no database")
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
