"""Serving in the foreground until a signal or request stops it, and from a thread."""

import asyncio
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.support.clock import FakeClock
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.clock import SystemClock
from voicectl.sandbox import runner
from voicectl.sandbox.account.identity import Options
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running, serve

from .conftest import Start
from .parts import Client

SERVER = """
import sys
from voicectl.clock import SystemClock
from voicectl.sandbox.account.identity import Options, new_identity
from voicectl.sandbox.runner import serve
from voicectl.sandbox.platform import Sandbox

identity, _ = new_identity()
sandbox = Sandbox(identity, Options(seed=1), clock=SystemClock())
print("ended by", serve(sandbox, port=0, on_ready=lambda url: print(url, flush=True)))
"""


@pytest.fixture
def sandbox(application) -> Sandbox:
    return Sandbox(application[0], Options(seed=1), clock=FakeClock())


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/sandbox/status", trust_env=False)
    except httpx.TransportError:
        return False
    return True


def post(url: str, path: str) -> httpx.Response:
    return httpx.post(f"{url}/sandbox/{path}", json={}, trust_env=False)


class TestRunning:
    def test_it_answers_during_the_block_and_not_after(self, sandbox: Sandbox):
        with running(sandbox) as url:
            assert httpx.get(f"{url}/sandbox/status", trust_env=False).json()["url"] == url

        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/sandbox/status", trust_env=False)

    def test_a_port_in_use_is_an_error_at_once(self, sandbox: Sandbox, taken_port):
        with pytest.raises(OSError, match="in use"), running(sandbox, port=taken_port):
            pass

    def test_it_stops_at_once(self, sandbox: Sandbox, monkeypatch):
        monkeypatch.setattr(runner, "GRACE_SECONDS", FOR_EVER)

        def run() -> None:
            with running(sandbox) as url:
                sandbox_of.get(f"{url}/sandbox/status")

        with httpx.Client(trust_env=False) as sandbox_of:  # whose connection stays open
            ending(run)

    def test_it_can_be_stopped_by_request_before_the_block_ends(self, sandbox: Sandbox):
        with running(sandbox) as url:
            assert post(url, "stop").json() == {}
            eventually(lambda: not answers(url), "it still answers")

    def test_an_error_in_the_block_stops_it_too(self, sandbox: Sandbox):
        with pytest.raises(KeyError), running(sandbox) as url:
            raise KeyError

        with pytest.raises(httpx.ConnectError):
            post(url, "stop")

    def test_a_delayed_reply_does_not_delay_the_end(self, start: Start):
        client = start()
        client.fault("delay", seconds=600)
        client.http.timeout = FOR_EVER
        asking = threading.Thread(target=client.get, args=("/v1/calls",))
        asking.start()
        eventually(lambda: client.http.get("/sandbox/faults").json()[0]["struck"])

        post(client.url, "stop")

        asking.join(PATIENCE_SECONDS)
        assert not asking.is_alive()

    def test_requests_aborted_at_the_end_are_not_internal_errors(self, sandbox: Sandbox, monkeypatch, caplog):
        monkeypatch.setattr(runner, "GRACE_SECONDS", 0.05)
        with running(sandbox) as url, socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as sock:
            sock.sendall(b"POST /v1/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
            eventually(lambda: sandbox.log.since(0))
            sandbox_stops = threading.Thread(target=post, args=(url, "stop"))
            sandbox_stops.start()
            assert sock.recv(100) == b""
            sandbox_stops.join()

        assert caplog.text == ""

    def test_a_failed_start_says_why(self, sandbox: Sandbox, monkeypatch):
        monkeypatch.setattr(sandbox, "keep_time", lambda: 1 / 0)

        with pytest.raises(ExceptionGroup), running(sandbox):
            pass

    def test_many_sandboxes_at_once_are_independent(self, start: Start):
        first, second = start(), start()
        first.call()

        assert [each.get("/v1/calls").json()["count"] for each in (first, second)] == [1, 0]


class TestServe:
    @pytest.fixture
    def server(self):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        yield process
        process.kill()
        process.communicate()

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_it_ends_cleanly_on_a_signal(self, server, signum):
        server.stdout.readline()

        server.send_signal(signum)
        out, err = server.communicate(timeout=PATIENCE_SECONDS)

        assert (out, err, server.returncode) == (f"ended by {int(signum)}\n", "", 0)

    def test_it_ends_cleanly_on_request(self, server):
        url = server.stdout.readline().strip()

        assert post(url, "stop").status_code == 200
        out, err = server.communicate(timeout=PATIENCE_SECONDS)

        assert (out, err, server.returncode) == ("ended by None\n", "", 0)

    def test_a_port_in_use_is_an_error_before_anything_else(self, sandbox: Sandbox, taken_port):
        with pytest.raises(OSError, match="in use"):
            serve(sandbox, port=taken_port, on_ready=lambda _: pytest.fail("it is not ready"))

    def test_a_connection_that_is_accepted_just_as_it_stops_is_closed(self, sandbox: Sandbox, monkeypatch):
        sock, lost = socket.socket(), []
        monkeypatch.setattr(sys, "unraisablehook", lost.append)

        def stop_meanwhile(url: str) -> None:
            sock.connect(("127.0.0.1", httpx.URL(url).port))
            # The next turn of the loop accepts it and requests the stop; the turn after that stops.
            asyncio.get_running_loop().call_soon(sandbox.stop)

        serve(sandbox, port=0, on_ready=stop_meanwhile)
        sock.close()
        gc.collect()

        assert lost == []

    def test_the_limit_of_open_files_is_raised_to_its_maximum(self, sandbox: Sandbox):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        few, meanwhile = (before[0] - 1, before[1]), []
        resource.setrlimit(resource.RLIMIT_NOFILE, few)

        def look(_url: str) -> None:
            meanwhile.append(resource.getrlimit(resource.RLIMIT_NOFILE))
            sandbox.stop()

        serve(sandbox, port=0, on_ready=look)

        assert meanwhile == [(before[1], before[1])]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == few
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org", ""])
    def test_it_binds_loopback_only(self, sandbox: Sandbox, host):
        with pytest.raises(ValueError, match="loopback"):
            serve(sandbox, host=host, port=0)

    def test_the_caller_s_signal_handlers_are_restored(self, sandbox: Sandbox):
        signums, caught = (signal.SIGINT, signal.SIGTERM), []
        before = {
            signum: signal.signal(signum, lambda signum, _: caught.append(signum)) for signum in signums
        }

        ended_by = serve(sandbox, port=0, on_ready=lambda _: os.kill(os.getpid(), signal.SIGTERM))
        for signum in signums:
            os.kill(os.getpid(), signum)
        for signum, handler in before.items():
            signal.signal(signum, handler)

        assert ended_by == signal.SIGTERM
        assert caught == [signal.SIGINT, signal.SIGTERM]


def test_tasks_run_when_due_without_a_request(application):
    sandbox = Sandbox(application[0], Options(seed=1, speed=100), clock=SystemClock())
    with running(sandbox) as url:
        client = Client(sandbox, url, application[1])
        uuid = client.call("447700900502")  # over after 4.5 s, 45 ms of them real
        statuses = ["started", "ringing", "answered", "completed"]
        eventually(
            lambda: statuses == [each["status"] for each in sandbox.log.since(0) if each["kind"] == "status"]
        )
        client.http.close()

    assert uuid in sandbox.exchange.legs


def test_a_frozen_host_clock_causes_no_busy_loop(start: Start):
    client = start(frozen=False)
    client.call()
    busy, began = time.process_time(), time.monotonic()

    time.sleep(0.2)

    assert time.process_time() - busy < (time.monotonic() - began) / 2


def test_no_warnings_and_no_tasks_are_left(sandbox: Sandbox):
    with running(sandbox) as url:
        httpx.get(f"{url}/sandbox/status", trust_env=False)

    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sandbox")]
