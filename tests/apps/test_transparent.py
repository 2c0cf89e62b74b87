"""An application that works alone works behind ``webhook serve``, and what happens there is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps import hostbuilt
from tests.conftest import StartRoom
from tests.support.machines import Application
from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.waiting import eventually
from tests.support.web import Served, serving
from tests.webhook.test_serve import served
from voicectl.clock import SystemClock


@pytest.fixture
def party(start_room: StartRoom) -> Room:
    room = start_room(clock=SystemClock(), speed=20.0)
    room.environ |= {"VOICECTL_SANDBOX": room.url, "VOICECTL_STATE_DIR": str(room.home / "state")}
    return room


def called(party: Room, app: Served) -> tuple[str, Any]:
    """Return the leg of a caller who presses 2, and what happened to both sides of the call."""
    app.asked.clear()
    leg = party("sandbox ring --to 442079460000 --from 447700900120 -q").stdout.strip()

    def events(path: str) -> list[Any]:
        return [each.get("status") for each in app.fields(path)]

    eventually(lambda: "completed" in events("/webhooks/events") and app.fields("/recorded"))
    heard = party(f"sandbox hear {leg} --fields text").stdout.split("\n")
    paths = sorted({path for path, _ in app.asked})
    return leg, (heard, paths, sorted(events("/webhooks/events")), len(app.fields("/menu")))


def test_an_application_that_builds_urls_from_the_host_is_the_same_behind_the_receiver(
    party: Room, application: Application
) -> None:
    with serving(hostbuilt.application) as app:
        own = f"--answer {app.url}/webhooks/answer --answer-method GET --event {app.url}/webhooks/events"
        assert party(f"app urls {own}").exit_code == 0
        _, alone = called(party, app)
        assert "Order 17, key 2." in alone[0]
        assert alone[1] == ["/menu", "/recorded", "/webhooks/answer", "/webhooks/events"]

        port = free_block(1)
        options = f"--port {port} --forward-to {app.url} --set-urls http://127.0.0.1:{port}"
        with served(party, application, options) as process:
            leg, behind = called(party, app)
            assert process.end() == 0
        assert behind == alone
        assert not any("warning" in line for line in process.told), process.told

    kept = party("webhook list -o json").json
    kinds = {each["kind"] for each in kept}
    assert {"answer", "status", "input", "record"} <= kinds
    assert all(each["signed"] for each in kept)
    assert {each["method"] for each in kept if each["kind"] == "answer"} == {"GET"}
    traced = {each["what"] for each in party(f"trace {leg} -o json").json["entries"]}
    assert {"answered", "input", "record", "completed"} <= traced
    assert len(party("recording list -q").stdout.split()) == 1
