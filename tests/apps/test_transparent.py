"""An application that works alone also works behind ``webhook serve``, which keeps all events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.apps import hostbuilt, voicebot
from tests.apps.archive import Archive
from tests.conftest import StartRoom
from tests.support.bots import Bot
from tests.support.machines import Application
from tests.support.ports import free_block
from tests.support.room import Room
from tests.support.waiting import eventually
from tests.support.web import Served, serving
from tests.webhook.test_serve import served
from voicectl.clock import SystemClock


def prepared(room: Room) -> Room:
    room.environ |= {"VOICECTL_SANDBOX": room.url, "VOICECTL_STATE_DIR": str(room.home / "state")}
    return room


@pytest.fixture
def party(start_room: StartRoom) -> Room:
    return prepared(start_room(clock=SystemClock(), speed=20.0))


@pytest.fixture
def still(start_room: StartRoom) -> Room:
    """A machine whose sandbox has a frozen call clock, so times can be compared to the millisecond."""
    return prepared(start_room(clock=SystemClock(), frozen=True))


Outcome = Callable[[], tuple[str, Any]]


def outcomes(
    room: Room, application: Application, app: Served, outcome: Outcome, **paths: str
) -> tuple[str, Any, Any]:
    """Return the leg of the last call, and the outcome of a call without and with a receiver before *app*.

    Args:
        outcome: Makes a call, and returns its leg and its outcome.
        paths: The path of each webhook of the application: ``answer``, ``event`` and ``rtc_event``.
    """
    own = " ".join(f"--{name.replace('_', '-')} {app.url}{path}" for name, path in paths.items())
    assert room(f"app urls {own} --answer-method GET").exit_code == 0
    app.asked.clear()
    _, alone = outcome()
    app.asked.clear()
    port = free_block(1)
    options = f"--port {port} --forward-to {app.url} --set-urls http://127.0.0.1:{port}"
    with served(room, application, options) as process:
        leg, behind = outcome()
        assert process.end() == 0
    assert not any("warning" in line for line in process.stderr_lines), process.stderr_lines
    return leg, alone, behind


def rung(room: Room) -> str:
    return room("sandbox ring --to 442079460000 --from 447700900001 -q").stdout.strip()


def advance(room: Room, seconds: float) -> None:
    assert room(f"sandbox advance {seconds}").exit_code == 0


def hear(room: Room, leg: str) -> list[dict[str, Any]]:
    return room(f"sandbox hear {leg} -o json").json


def received(app: Served) -> dict[str, list[str]]:
    """Return the statuses, or the types, of the events that the application got, by path."""
    by_path: dict[str, list[str]] = {}
    for path, fields in app.asked:
        by_path.setdefault(path, []).append(fields.get("status") or fields.get("type") or "")
    return {path: sorted(events) for path, events in by_path.items()}


def kept(room: Room, leg: str) -> tuple[set[str], set[str], list[str]]:
    """Return the kinds of the stored events of a leg's conversation, what ``trace`` says, and the recordings."""
    conversation = room(f"call show {leg} -o json").json["conversation_uuid"]
    events = room(f"webhook list --conversation {conversation} -o json").json
    assert all(each["signed"] for each in events)
    traced = room(f"trace {leg} -o json").json["entries"]
    recordings = room("recording list -q").stdout.split()
    return {each["kind"] for each in events}, {each["what"] for each in traced}, recordings


def called(party: Room, app: Served) -> tuple[str, Any]:
    """Return the leg of a caller who presses 2, and the outcome for both sides of the call."""
    leg = party("sandbox ring --to 442079460000 --from 447700900120 -q").stdout.strip()

    def events(path: str) -> list[Any]:
        return [each.get("status") for each in app.fields(path)]

    eventually(lambda: "completed" in events("/webhooks/events") and app.fields("/recorded"))
    heard = party(f"sandbox hear {leg} --fields text").stdout.split("\n")
    paths = sorted({path for path, _ in app.asked})
    return leg, (heard, paths, sorted(events("/webhooks/events")), len(app.fields("/menu")))


def test_an_application_that_builds_urls_from_the_host_header_behaves_the_same_behind_the_receiver(
    party: Room, application: Application
) -> None:
    with serving(hostbuilt.application) as app:
        leg, alone, behind = outcomes(
            party,
            application,
            app,
            lambda: called(party, app),
            answer="/webhooks/answer",
            event="/webhooks/events",
        )

    assert "Order 17, key 2." in alone[0]
    assert alone[1] == ["/menu", "/recorded", "/webhooks/answer", "/webhooks/events"]
    assert behind == alone

    answers = party("webhook list --kind answer -o json").json
    assert {each["method"] for each in answers} == {"GET"}
    kinds, entries, recordings = kept(party, leg)
    assert {"answer", "status", "input", "record"} <= kinds
    assert {"answered", "input", "record", "completed"} <= entries
    assert len(recordings) == 1


def test_an_interrupted_bot_falls_silent_within_a_frame_alone_and_behind_the_receiver(
    still: Room, application: Application
) -> None:
    conversation = voicebot.Conversation()
    with ExitStack() as stack:
        bot = stack.enter_context(Bot(on_open=conversation.greet, on_message=conversation.listen))
        app = stack.enter_context(serving(lambda _base: voicebot.application(bot.url)))

        def outcome() -> tuple[str, Any]:
            bot.messages.clear()
            leg = rung(still)
            advance(still, 4.5)
            still(f"sandbox say {leg} 'Stop, please'")
            advance(still, 15)
            spoken = next(n for n, frame in enumerate(bot.frames) if any(frame))
            heard = [(each["kind"], each.get("text"), each["seconds"]) for each in hear(still, leg)]
            return leg, (spoken, heard, received(app))

        leg, alone, behind = outcomes(
            still, application, app, outcome, answer="/webhooks/answer", event="/webhooks/events"
        )

    frames_before_the_caller_spoke, heard, events = alone
    assert heard == [
        ("audio", None, (frames_before_the_caller_spoke + 1) * 0.02),
        ("audio", None, 1.0),
        ("speech", voicebot.GOODBYE, pytest.approx(len(voicebot.GOODBYE) / 14, abs=0.001)),
    ]
    assert "disconnected" in events["/webhooks/events"]
    assert behind == alone

    kinds, entries, recordings = kept(still, leg)
    assert {"answer", "status", "record"} <= kinds
    assert {"answered", "record", "completed"} <= entries
    assert len(recordings) == 1


def test_rtc_events_name_the_leg_alone_and_behind_the_receiver(still: Room, application: Application) -> None:
    archive = Archive()
    with serving(archive.application) as app:

        def outcome() -> tuple[str, Any]:
            archive.legs.clear()
            archive.recordings.clear()
            leg = rung(still)
            advance(still, 30)
            assert set(archive.legs) == {each["uuid"] for each in app.fields("/event") if "uuid" in each}
            caller, url = archive.recordings[leg]
            downloaded = still(f"recording download {url} --dir {still.home}")
            return leg, (list(archive.legs.values()), caller, downloaded.exit_code, received(app))

        leg, alone, behind = outcomes(
            still, application, app, outcome, answer="/answer", event="/event", rtc_event="/rtc"
        )

    channels, caller, downloaded, _ = alone
    assert (channels, caller, downloaded) == (["phone", "phone"], "447700900001", 0)
    assert behind == alone

    kinds, entries, recordings = kept(still, leg)
    assert {"answer", "status", "record", "rtc"} <= kinds
    assert {"answered", "record", "completed"} <= entries
    assert len(recordings) == 1
