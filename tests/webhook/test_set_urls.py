"""``webhook serve`` after a kill, with an API that hangs: calls are still answered, and the process ends soon."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.conftest import StartRoom
from tests.support.fault_proxy import FaultProxy
from tests.support.machines import Application
from tests.support.ports import free_block
from tests.support.servers import Request
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock

from .test_serve import served

BEFORE = "https://ops.example.org/answer"


@pytest.mark.parametrize(("sets_urls", "status"), [(False, 0), (True, 7)])
def test_after_a_kill_the_next_receiver_serves_at_once(
    start_room: StartRoom, application: Application, sets_urls: bool, status: int
) -> None:
    room = start_room(clock=SystemClock())
    port = free_block(1)
    (room.home / "hello.json").write_text('[{"action": "talk", "text": "Hello"}]')
    options = f"--port {port} --answer {room.home / 'hello.json'}"
    taking = f"{options} --set-urls http://127.0.0.1:{port}"
    may_go = threading.Event()
    with FaultProxy(room.url) as api:
        room.environ |= {"VOICECTL_BASE_URL": api.url, "VOICECTL_STATE_DIR": str(room.home / "state")}

        def address() -> str:
            ran = room("app urls --fields webhook,address", env={"VOICECTL_SANDBOX": room.url})
            return next(row[1] for row in ran.rows if row[0] == "voice.answer_url")

        assert room(f"app urls --answer {BEFORE}").exit_code == 0
        with served(room, application, taking) as process:
            process.end(signal.SIGKILL)
        assert address() == f"http://127.0.0.1:{port}/webhooks/answer"

        asked = threading.Event()

        def hang(request: Request) -> None:
            if request.path.startswith("/v2/applications"):
                asked.set()
                may_go.wait()

        api.on_request = hang
        try:
            patient = "--request-timeout 600"
            with served(room, application, f"{taking if sets_urls else options} {patient}") as process:
                process.claims["api_key"] = application[0].api_key
                assert process.send(secret=application[0].signature_secret) == 200
                assert asked.wait(PATIENCE_SECONDS)
                assert process.end() == status
        finally:
            may_go.set()
        if sets_urls:
            assert any("To do it now: voicectl app urls" in line for line in process.stderr_lines)

        with served(room, application, options) as process:
            eventually(lambda: address() == BEFORE)
            assert process.end() == 0


def test_without_answers_it_sets_only_the_event_urls(start_room: StartRoom, application: Application) -> None:
    room = start_room(clock=SystemClock())
    room.environ |= {"VOICECTL_SANDBOX": room.url, "VOICECTL_STATE_DIR": str(room.home / "state")}

    def addresses() -> dict[str, str]:
        return {row[0]: row[1] for row in room("app urls --fields webhook,address").rows}

    assert room(f"app urls --answer {BEFORE}").exit_code == 0
    before = addresses()
    with served(room, application, "--set-urls http://127.0.0.1:9") as process:
        assert process.port
        assert addresses() == before | {
            "voice.event_url": "http://127.0.0.1:9/webhooks/event",
            "rtc.event_url": "http://127.0.0.1:9/webhooks/rtc",
        }
        assert process.end() == 0
    assert addresses() == before
    assert any("Calls are not answered" in line for line in process.stderr_lines)
