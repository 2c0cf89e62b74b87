"""A telephone bank, whose flows scenarios test. Run it with a port."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BASE = f"http://127.0.0.1:{sys.argv[1]}"
NUMBER = "442079460000"
AGENTS = {"447700900011": "447700900202"}  # this caller's agent does not answer
AGENT = "447700900002"
NIGHT = "447700900205"
Ncco = list[dict[str, Any]]

MENU = "Welcome to the telephone bank. For your balance, press 1. To speak to us, press 2. For news, press 3."


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"action": "talk", "text": text, "language": "en-GB", **more}


def keys(path: str, count: int, **more: Any) -> dict[str, Any]:
    dtmf = {"maxDigits": count, "timeOut": 5, "submitOnHash": True, **more}
    return {"action": "input", "type": ["dtmf"], "dtmf": dtmf, "eventUrl": [f"{BASE}/{path}"]}


def answer(query: dict[str, str]) -> Ncco:
    if query["from"] == NIGHT:
        return [say("We are closed."), {"action": "conversation", "name": "night", "startOnEnter": False}]
    return [say(MENU, bargeIn=True), keys("menu", 1)]


def menu(event: dict[str, Any]) -> Ncco:
    match event["dtmf"]["digits"]:
        case "1":
            return [say("Enter your account number, then hash."), keys("account", 8)]
        case "2":
            return [
                say("Please hold."),
                {"action": "stream", "streamUrl": [f"{BASE}/hold.wav"]},
                {
                    "action": "connect",
                    "from": NUMBER,
                    "timeout": 20,
                    "endpoint": [{"type": "phone", "number": AGENTS.get(event["from"], AGENT)}],
                    "eventType": "synchronous",
                    "eventUrl": [f"{BASE}/agent"],
                },
            ]
        case "3":
            return [say("<speak>Rates <break time='1s'/> rise.</speak>"), say("Goodbye.")]
        case "":
            return [say("Goodbye.")]
        case _:
            return [say("Sorry, that is not a choice."), *answer({"from": ""})]


def account(event: dict[str, Any]) -> Ncco:
    digits = event["dtmf"]["digits"]
    if len(digits) != 8:
        return [say("That number is not complete. Goodbye.")]
    spoken = " ".join(digits[-2:])
    return [say(f"The balance of the account ending in {spoken} is £1,250.50."), say("Goodbye.")]


def agent(event: dict[str, Any]) -> Ncco:
    if event.get("status") not in ("timeout", "unanswered", "busy", "rejected", "failed"):
        return []
    record = {"action": "record", "beepStart": True, "endOnSilence": 3, "eventUrl": [f"{BASE}/event"]}
    return [say("Nobody is free. Leave a message after the tone."), record, say("Thank you.")]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/hold.wav":
            self.reply(b"RIFF")
        elif url.path == "/answer":
            self.reply(answer({name: values[0] for name, values in parse_qs(url.query).items()}))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        flows = {"/menu": menu, "/account": account, "/agent": agent}
        self.reply(flows[self.path](event) if self.path in flows else {})

    def reply(self, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
