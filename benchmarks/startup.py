"""Measure what a command costs: medians of whole processes, interleaved, as ratios to ``python -c pass``.

Run it with the Python of the environment that voicectl is installed in (not in editable mode, and with its ``.pyc``
files, as users have it)::

    python benchmarks/startup.py [--rounds 21] [--beside PROGRAM]

It serves its own replies on loopback, over HTTP and TLS, and needs only ``curl`` besides voicectl. With ``--beside``,
each command alternates with that of another installation, such as one from before a change.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import json
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

LEG = "3c1f7c5e-9a6b-4d0e-8f7a-5a2b1c0d9e8f"
APPLICATION = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
OTHER = "other: "
GOALS = {
    "--version": 7,
    "--help": 7,
    "dtmf, http": 14,
    "completion": 20,
}


class Answers(BaseHTTPRequestHandler):
    """Replies at once, with "DTMF sent" or a page of a long list."""

    protocol_version = "HTTP/1.1"
    legs = 10_000

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer({"message": "DTMF sent", "uuid": LEG})

    def do_GET(self) -> None:
        index = int((re.findall(r"record_index=(\d+)", self.path) or ["0"])[0])
        first = index * 100
        calls = [record(number) for number in range(first, min(first + 100, self.legs))]
        links = {"self": {"href": self.path}}
        if first + 100 < self.legs:
            links["next"] = {"href": f"/v1/calls?page_size=100&record_index={index + 1}"}
        self._answer({"count": self.legs, "_embedded": {"calls": calls}, "_links": links})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def record(number: int) -> dict[str, object]:
    """Return the record of a completed call."""
    uuid = f"3c1f7c5e-9a6b-4d0e-8f7a-{number:012x}"
    return {
        "uuid": uuid,
        "conversation_uuid": f"CON-6f1d2c3b-4a59-4687-9786-{number:012x}",
        "status": "completed",
        "direction": "outbound",
        "rate": "0.01270000",
        "price": "0.00296333",
        "duration": "14",
        "network": "23410",
        "start_time": "2026-02-03T09:15:02.000Z",
        "end_time": "2026-02-03T09:15:16.000Z",
        "to": {"type": "phone", "number": "447700900123"},
        "from": {"type": "phone", "number": "447700900456"},
        "_links": {"self": {"href": f"/v1/calls/{uuid}"}},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--beside", metavar="PROGRAM", help="Another voicectl to compare with.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
        voicectl = str(Path(sys.executable).with_name("voicectl"))
        certificate = make_certificate(home)
        http = serve(None)
        tls = serve(certificate)
        for name, bits, url in (("http", 2048, http), ("big", 4096, http), ("tls", 2048, tls)):
            key = rsa.generate_private_key(65537, bits)
            pem = home / f"{name}.pem"
            pem.touch(0o600)
            pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            words = [
                voicectl,
                "profile",
                "add",
                name,
                "--application-id",
                APPLICATION,
                "--private-key",
                str(pem),
            ]
            words += ["--base-url", url, "--ca-file", str(certificate)]
            subprocess.run(words, env=environ, check=True, capture_output=True)
        dtmf = [voicectl, "dtmf", LEG, "1234", "-p"]
        line = "_VOICECTL_COMPLETE_LINE=voicectl -p http dtmf "
        curl = ["curl", "-sS", "-X", "PUT", "-H", "Authorization: Bearer token", "-d", '{"digits":"1234"}']
        cases = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "--version": [voicectl, "--version"],
            "--help": [voicectl, "--help"],
            "dtmf, http": [*dtmf, "http"],
            "dtmf, http, 4096 bits": [*dtmf, "big"],
            "dtmf, TLS": [*dtmf, "tls"],
            "completion": ["env", "_VOICECTL_COMPLETE=bash", line, voicectl],
            "curl, TLS": [*curl, "--cacert", str(certificate), f"{tls}/v1/calls/{LEG}/dtmf"],
        }
        if args.beside is not None:
            mine = {name: words for name, words in cases.items() if voicectl in words}
            cases |= {
                OTHER + name: [args.beside if word == voicectl else word for word in words]
                for name, words in mine.items()
            }
        report(measure(cases, environ, args.rounds))
        for legs in (1_000, 10_000):
            Answers.legs = legs
            cpu, size, lines = listing([voicectl, "call", "list", "--all", "-p", "http"], environ)
            print(f"call list --all of {lines} legs, piped: {cpu:.2f} s of CPU, {size / 1024:.0f} MiB")


def measure(cases: dict[str, list[str]], environ: dict[str, str], rounds: int) -> dict[str, float]:
    """Return the median seconds of each case; each round runs all cases in turn."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, words in cases.items():
            started = time.perf_counter()
            subprocess.run(words, env=environ, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def report(medians: dict[str, float]) -> None:
    """Print a table of ratios."""
    base = medians["python -c pass"]
    print(f"{'':24} {'ms':>7} {'x python':>9} {'at most':>8} {'/ other':>8}")
    for name, seconds in medians.items():
        if not name.startswith(OTHER):
            goal, other = GOALS.get(name, ""), medians.get(OTHER + name)
            ratio = "" if other is None else f"{seconds / other:.3f}"
            print(f"{name:24} {seconds * 1000:7.1f} {seconds / base:9.1f} {goal:>8} {ratio:>8}")
    print(f"dtmf over TLS / curl with a token: {medians['dtmf, TLS'] / medians['curl, TLS']:.1f} (at most 5)")
    print(
        f"dtmf, 4096 / 2048 bits: {medians['dtmf, http, 4096 bits'] / medians['dtmf, http']:.2f} (at most 1.1)"
    )


def listing(words: list[str], environ: dict[str, str]) -> tuple[float, int, int]:
    """Return the CPU seconds, peak KiB and printed lines of a command in a pipe."""
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        lines = sum(1 for _ in child.stdout)
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss, lines


def serve(certificate: Path | None) -> str:
    """Serve from a thread, and yield the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"


def make_certificate(home: Path) -> Path:
    """Create a self-signed certificate for 127.0.0.1, and its key in the same directory."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path = home / "certificate.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    path.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


if __name__ == "__main__":
    main()
