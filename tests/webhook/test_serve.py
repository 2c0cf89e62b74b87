"""``webhook serve`` as a process: starting, showing events, and ending in every way."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartRoom
from tests.support.machines import Application, forget_signature_secret, machine
from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore

from .killing import Senders, lost, some_moment
from .serving import Client, serving, signed_request
from .signing import APPLICATION, SECRET, event

SEED = 20_260_204
KILLS = 10
HELLO = [{"action": "talk", "text": "Hello"}]


@pytest.fixture
def desk(tmp_path: Path, application: Application) -> Room:
    """A machine with an application and a signature secret, but no server for its API."""
    room = machine(tmp_path / "home", application, "http://127.0.0.1:9")
    forget_signature_secret(room)
    room.environ["VOICECTL_SIGNATURE_SECRET"] = SECRET
    return room


class Process:
    """A receiver in its own process.

    Attributes:
        stderr_lines: The lines of its standard error so far.
    """

    def __init__(self, child: subprocess.Popen[bytes], application_id: str) -> None:
        self.child = child
        self.claims: dict[str, Any] = {"application_id": application_id}
        self.stderr_lines: list[str] = []
        self.port = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        eventually(lambda: self.port or child.poll() is not None)
        assert self.port, self.stderr_lines

    def ask(self, content: bytes) -> int:
        with Client(self.port) as client:
            return client.send(content).reply().status

    def send(self, **changes: Any) -> int:
        """Send a freshly signed event, and return the status of the response."""
        claims = self.claims | {"now": time.time()}
        secret = changes.pop("secret", SECRET)
        return self.ask(signed_request(event(**changes), secret=secret, **claims))

    def end(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status."""
        with suppress(ProcessLookupError):
            self.child.send_signal(signum)
        status = self.child.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return status

    def _read(self) -> None:
        assert self.child.stderr is not None
        for raw in self.child.stderr:
            line = raw.decode().rstrip()
            self.stderr_lines.append(line)
            if line.startswith("Receiving at "):
                self.port = int(line.split("/")[2].rpartition(":")[2])


@contextmanager
def served(room: Room, application: Application, options: str = "", **popen: Any) -> Iterator[Process]:
    """Run ``webhook serve`` on a free port; it is killed at the end if it still runs."""
    port = "" if "--port" in options else "--port 0"
    with room.spawn(f"webhook serve {port} {options}", **popen) as child:
        try:
            process = Process(child, application[0].application_id)
            yield process
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def state(room: Room, application: Application) -> Path:
    return room.state / application[0].application_id


class TestStarting:
    """W12."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1"])
    def test_without_a_secret_it_does_not_start_at_any_address(self, desk: Room, host: str) -> None:
        del desk.environ["VOICECTL_SIGNATURE_SECRET"]

        ran = desk(f"webhook serve --host {host} --port 0")

        assert ran.exit_code == 3
        assert "No signature secret is known" in ran.stderr
        assert "--allow-unsigned" in ran.stderr

    @pytest.mark.parametrize("host", ["", "\udcff", "a b", "256.1.1.1"])
    def test_an_invalid_address_is_refused(self, desk: Room, host: str) -> None:
        ran = desk(f"webhook serve --host {shlex.quote(host)} --port 0")

        assert (ran.exit_code, ran.stdout) == (2, "")
        assert "Cannot listen on" in ran.stderr

    @pytest.mark.parametrize("host", ["0.0.0.0", "::1"])
    def test_without_a_secret_it_warns_that_it_accepts_unsigned_requests(
        self, desk: Room, application: Application, host: str
    ) -> None:
        del desk.environ["VOICECTL_SIGNATURE_SECRET"]
        with served(desk, application, f"--allow-unsigned --host {host}") as process:
            with Client(process.port, host=host.replace("0.0.0.0", "127.0.0.1")) as client:
                assert client.ask(body=event()).status == 200
            assert process.end() == 0
        assert any(
            "requests from anyone who can reach this port are accepted" in line
            for line in process.stderr_lines
        )
        assert '"signed": false' in desk("webhook list -o jsonl").stdout

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("--proxy nowhere", 2),
            ("--host 192.0.2.1", 2),
            ("--host no.such.name.invalid", 2),
            ("--answer missing.json", 2),
            ("--answer broken.json", 2),
            ("--forward-to ftp://127.0.0.1/", 2),
            ("--store postgresql://me:secret@127.0.0.1/x", 2),
            ("--dry-run", 2),
            ("--port 70000", 2),
        ],
    )
    def test_errors_are_reported_before_anything_is_received(
        self, desk: Room, line: str, status: int
    ) -> None:
        broken = desk.home / "broken.json"
        broken.write_text('[{"action": "nothing"}]')
        line = line.replace("broken.json", str(broken))

        ran = desk(f"webhook serve --port 0 {line}")

        assert ran.exit_code == status, ran.stderr
        assert "Traceback" not in ran.stderr
        assert "secret@" not in ran.stderr

    def test_a_port_in_use_is_reported(self, desk: Room) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ran = desk(f"webhook serve --port {taken.getsockname()[1]}")
        assert ran.exit_code == 2
        assert "--port" in ran.stderr

    @pytest.mark.parametrize("secret", ["a\nb\nc\n", "\n", "na\u00efve"])
    def test_an_invalid_secret_is_reported(self, desk: Room, secret: str) -> None:
        desk.environ["VOICECTL_SIGNATURE_SECRET"] = secret
        ran = desk("webhook serve --port 0")
        assert (ran.exit_code, "line of ASCII" in ran.stderr) == (3, True)

    def test_a_secret_that_others_can_read_is_refused(self, desk: Room) -> None:
        del desk.environ["VOICECTL_SIGNATURE_SECRET"]
        path = desk.config / "keys" / "test.signature-secret"
        path.write_text(SECRET)
        path.chmod(0o644)
        ran = desk("webhook serve --port 0")
        assert ran.exit_code == 3
        assert "chmod 600" in ran.stderr


class TestSecrets:
    def test_the_secret_of_the_profile_is_changed_during_operation_and_no_event_is_rejected(
        self, desk: Room, application: Application
    ) -> None:
        """W4, with the file that a profile has."""
        del desk.environ["VOICECTL_SIGNATURE_SECRET"]
        store, new = ProfileStore(desk.config), "n" * 32

        def keep(secrets: str) -> None:
            store.add(store.get("test"), key=None, signature_secret=secrets, replace=True)

        keep(SECRET)
        with served(desk, application) as process, Senders(process.port, "old", process.claims) as old:
            old.wait_for(20)
            keep(f"{new}\n{SECRET}\n")
            with Senders(process.port, "new", process.claims | {"secret": new}) as following:
                following.wait_for(20)
                old.wait_for(len(old.acknowledged) + 20)
                old.__exit__()
                keep(new)
                following.wait_for(len(following.acknowledged) + 20)
            assert old.refused == following.refused == []
            assert process.send() == 401
            assert process.end() == 0


class TestShowing:
    def test_each_event_is_a_line_as_it_arrives(self, desk: Room, application: Application) -> None:
        with served(desk, application) as process:
            stdout = process.child.stdout
            assert stdout is not None
            for number, status in enumerate(("started", "ringing"), 1):
                assert process.send(status=status) == 200
                fields = stdout.readline().decode().rstrip("\n").split("\t")
                assert fields[0] == str(number)
                assert fields[2:5] == ["event", "status", status]
            assert process.send(status="ringing") == 200  # sent again, but not shown again
            assert process.end() == 0
            assert stdout.read() == b""

    @pytest.mark.parametrize(
        "options", ["-o jsonl", "-o json", "-q", "-o csv", "-o table --fields id,status"]
    )
    def test_events_are_shown_in_other_formats(
        self, desk: Room, application: Application, options: str
    ) -> None:
        with served(desk, application, options) as process:
            assert process.send(status="answered") == 200
            assert process.end() == 0
            assert process.child.stdout is not None
            lines = process.child.stdout.read().decode().splitlines()
        if "json" in options:
            (record,) = map(json.loads, lines)
            assert (record["id"], record["status"], record["event"]["to"]) == (1, "answered", "447700900123")
        else:
            assert lines[-1].startswith("1")
            assert len(lines) == 1 + ("csv" in options)

    def test_a_blocked_reader_of_the_output_stops_nothing(self, desk: Room, application: Application) -> None:
        with served(desk, application, "-o jsonl") as process:
            assert process.child.stdout is not None
            long = "x" * 40_000
            for number in range(8):  # a pipe holds 64 KiB
                assert process.send(status="answered", timestamp=str(number), detail=long) == 200
            assert process.end() == 0
        assert len(desk("webhook list -q").stdout.splitlines()) == 8

    def test_a_closed_output_stops_nothing(self, desk: Room, application: Application) -> None:
        with served(desk, application) as process:
            assert process.child.stdout is not None
            process.child.stdout.close()
            for number in range(3):
                assert process.send(timestamp=str(number)) == 200
                time.sleep(0.01)
            assert process.end() == 0
        assert any(
            "nothing is reading the output" in line or "Broken pipe" in line for line in process.stderr_lines
        )
        assert len(desk("webhook list -q").stdout.splitlines()) == 3


class TestEnding:
    def test_a_signal_that_timeout_sends_twice_counts_once(
        self, desk: Room, application: Application
    ) -> None:
        with served(desk, application) as process:
            assert process.send() == 200
            for _ in range(2):
                process.child.send_signal(signal.SIGINT)
                time.sleep(0.02)
            assert process.end(0) == 0

    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_under_load_ends_it_cleanly_with_all_acknowledged_events(
        self, desk: Room, application: Application, signum: int
    ) -> None:
        """W13."""
        with served(desk, application) as process:
            assert process.child.stdout is not None
            reader = threading.Thread(target=process.child.stdout.read)
            reader.start()
            with Senders(process.port, "load", process.claims) as senders:
                senders.wait_for(100)
                assert process.end(signum) == 0
            reader.join()
        assert senders.refused == []
        assert not lost(senders.acknowledged, state(desk, application), application[0].application_id)
        assert not any("Traceback" in line or "rror" in line for line in process.stderr_lines), (
            process.stderr_lines
        )

    def test_slow_connections_do_not_delay_the_end(self, desk: Room, application: Application) -> None:
        with served(desk, application) as process, Client(process.port) as dripper, Client(process.port):
            dripper.send(b"POST /webhooks/event HTTP/1.1\r\n")
            assert process.send() == 200
            assert process.end() == 0
            assert dripper.is_closed(), "it was given time, and then refused as too slow"

    def test_slow_connections_do_not_get_the_time_of_requests_in_progress(self, tmp_path: Path) -> None:
        with ExitStack() as clients:

            def serve() -> None:
                with serving(tmp_path, grace_seconds=FOR_EVER) as receiver:
                    clients.enter_context(receiver.client()).send(b"POST /webhooks/event HTTP/1.1\r\n")
                    clients.enter_context(receiver.client())
                    assert receiver.ask(signed_request()).status == 200

            ending(serve)


class TestKilling:
    """W9: kill -9 at random points, and everything that was acknowledged is there."""

    def test_every_acknowledged_event_is_in_the_store(self, desk: Room, application: Application) -> None:
        chance = random.Random(SEED)
        acknowledged: list[bytes] = []
        for number in range(KILLS):
            with served(desk, application, stdout=subprocess.DEVNULL) as process:
                with Senders(process.port, f"{SEED}-{number}", process.claims) as senders:
                    senders.wait_for(1)
                    time.sleep(some_moment(chance))
                    process.end(signal.SIGKILL)
                acknowledged += senders.acknowledged
                assert senders.refused == []
        assert len(acknowledged) > KILLS
        missing = lost(acknowledged, state(desk, application), application[0].application_id)
        assert not missing, f"seed {SEED}: {len(missing)} of {len(acknowledged)} lost"

    def test_a_receiver_that_acknowledges_first_loses_some_events(self, tmp_path: Path) -> None:
        acknowledged: list[bytes] = []
        environ = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        for number in range(KILLS):
            words = [sys.executable, "-m", "tests.webhook.killing", str(tmp_path)]
            root = Path(__file__).parents[2]
            with subprocess.Popen(words, stderr=subprocess.PIPE, cwd=root, env=environ) as child:
                process = Process(child, "")
                with Senders(process.port, str(number)) as senders:
                    senders.wait_for(20)
                    process.end(signal.SIGKILL)
            acknowledged += senders.acknowledged
            if lost(acknowledged, tmp_path, APPLICATION):
                return
        pytest.fail("the test does not see what is lost")


@pytest.fixture
def party(start_room: StartRoom) -> Room:
    """A machine in a rehearsal whose clock runs at twenty times the normal speed."""
    room = start_room(clock=SystemClock(), speed=20.0)
    room.environ |= {"VOICECTL_SANDBOX": room.url, "VOICECTL_STATE_DIR": str(room.home / "state")}
    return room


@pytest.mark.parametrize(("option", "is_reported"), [("--unsigned", True), ("--signed", False)])
def test_an_application_whose_webhooks_are_not_signed_is_reported(
    party: Room, application: Application, option: str, is_reported: bool
) -> None:
    """W5."""
    assert party(f"app urls --event http://127.0.0.1:1/ {option}").exit_code == 0
    with served(party, application) as process:
        if is_reported:
            eventually(lambda: any("are not signed" in line for line in process.stderr_lines))
        assert process.end() == 0
    assert any("are not signed" in line for line in process.stderr_lines) == is_reported


def test_a_recording_is_fetched_once_its_event_arrives(party: Room, application: Application) -> None:
    port = free_block(1)
    flow = [
        {
            "action": "record",
            "endOnKey": "#",
            "beepStart": True,
            "eventUrl": [f"http://127.0.0.1:{port}/webhooks/event"],
        }
    ]
    (party.home / "voicemail.json").write_text(json.dumps(flow))
    options = f"--port {port} --answer voicemail.json --set-urls http://127.0.0.1:{port} --recordings kept"
    with served(party, application, options) as process:
        leg = party("sandbox ring --to 442079460000 --from 447700900042 -q").stdout.strip()
        eventually(lambda: party(f"sandbox press {leg} '#'").exit_code == 0)
        eventually(lambda: any(line.startswith("fetched ") for line in process.stderr_lines))
        assert process.end() == 0

    (name,) = (line.removeprefix("fetched ") for line in process.stderr_lines if line.startswith("fetched "))
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=party.home / "kept", capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout) == (0, f"{name}: OK\n")


def test_a_call_of_the_sandbox_is_answered_and_all_its_events_are_kept(
    party: Room, application: Application
) -> None:
    (party.home / "answer.json").write_text('[{"action": "talk", "text": "Welcome {from}"}]')
    port = free_block(1)
    options = f"--port {port} --answer answer.json --set-urls http://127.0.0.1:{port} -o jsonl"
    with served(party, application, options) as process:
        leg = party("sandbox ring --to 442079460000 --from 447700900042 -q").stdout.strip()
        records = []
        assert process.child.stdout is not None
        for line in process.child.stdout:
            records.append(json.loads(line))
            if records[-1]["uuid"] == leg and records[-1]["status"] == "completed":
                break
        assert process.end() == 0

    assert party(f"sandbox hear {leg} --fields text").stdout == "Welcome 447700900042\n"
    statuses = [
        record["status"] for record in records if record["uuid"] == leg and record["route"] == "event"
    ]
    assert statuses == ["started", "ringing", "answered", "completed"]
    assert all(record["signed"] for record in records)
    assert "answer" in {record["route"] for record in records}
    assert party("app urls --fields address").stdout.split() == ["-"] * 4  # as it was before
