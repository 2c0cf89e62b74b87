"""A small voice application, a keypad menu, on which to try call-flow tests.

Start it with a port: ``python3 ivr.py 3000``. The platform requests ``/answer`` when somebody calls, and sends the
keys that the caller presses to ``/key``; the responses are NCCOs.
"""

import json
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SALES = "447700900002"


def menu(keys_url):
    return [
        {
            "action": "talk",
            "text": "Welcome to ACME. For sales, press 1. For our opening hours, press 2.",
            "bargeIn": True,
        },
        {
            "action": "input",
            "type": ["dtmf"],
            "dtmf": {"maxDigits": 1, "timeOut": 5},
            "eventUrl": [keys_url],
        },
    ]


def chosen(key, keys_url):
    match key:
        case "1":
            return [
                {"action": "talk", "text": "Connecting you."},
                {"action": "connect", "endpoint": [{"type": "phone", "number": SALES}]},
            ]
        case "2":
            return [{"action": "talk", "text": "We are open from nine to five."}]
        case "":
            return [{"action": "talk", "text": "Goodbye."}]
        case _:
            return [{"action": "talk", "text": "Sorry."}, *menu(keys_url)]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.reply({})
        elif self.path.startswith("/answer?"):
            self.reply(menu(self.keys_url()))
        else:
            self.send_error(404)

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/key":
            key = event["dtmf"]["digits"]
            print("key:", key or "none", flush=True)
            self.reply(chosen(key, self.keys_url()))
        else:  # an event of the call, such as "answered"
            self.reply({})

    def keys_url(self):
        return f"http://{self.headers['Host']}/key"

    def reply(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        """Print nothing for each request."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print("Listening on port", server.server_port, flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()
