"""Whole applications that are called from a sandbox: each with its webhooks, and a call to it with its outcome.

Run as a module, this serves one of them, calls it from the sandbox of ``VOICECTL_SANDBOX``, and prints the outcome.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apps import hostbuilt, voicebot
from tests.apps.archive import Archive
from tests.support.bots import Bot
from tests.support.room import Room
from tests.support.waiting import eventually
from tests.support.web import Served, serving
from voicectl.clock import SystemClock


@dataclass(frozen=True)
class Driven:
    """An application that is served.

    Attributes:
        hooks: The path of each of its webhooks, by its name, such as ``answer`` or ``rtc_event``.
        call: A function that makes a call to the application, and returns the call's leg and outcome.
    """

    served: Served
    hooks: dict[str, str]
    call: Callable[[], tuple[str, Any]]


def rung(room: Room, caller: str = "447700900001") -> str:
    return room(f"sandbox ring --to 442079460000 --from {caller} -q").stdout.strip()


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


def point_to(room: Room, app: Served, hooks: dict[str, str]) -> None:
    """Let the sandbox's application send its webhooks to *app*."""
    own = " ".join(f"--{name.replace('_', '-')} {app.url}{path}" for name, path in hooks.items())
    assert room(f"app urls {own} --answer-method GET").exit_code == 0


@contextmanager
def driven_menu(room: Room) -> Iterator[Driven]:
    """Serve the menu; its caller presses 2."""
    with serving(hostbuilt.application) as app:

        def events() -> list[Any]:
            return [each.get("status") for each in app.fields("/webhooks/events")]

        def call() -> tuple[str, Any]:
            leg = rung(room, "447700900120")
            eventually(lambda: "completed" in events() and app.fields("/recorded"))
            heard = room(f"sandbox hear {leg} --fields text").stdout.split("\n")
            paths = sorted({path for path, _ in app.asked})
            return leg, (heard, paths, sorted(events()), len(app.fields("/menu")))

        yield Driven(app, {"answer": "/webhooks/answer", "event": "/webhooks/events"}, call)


@contextmanager
def driven_bot(room: Room) -> Iterator[Driven]:
    """Serve the voice bot; its caller interrupts it."""
    conversation = voicebot.Conversation()
    with ExitStack() as stack:
        bot = stack.enter_context(Bot(on_open=conversation.greet, on_message=conversation.listen))
        app = stack.enter_context(serving(lambda _base: voicebot.application(bot.url)))

        def call() -> tuple[str, Any]:
            bot.messages.clear()
            leg = rung(room)
            advance(room, 4.5)
            room(f"sandbox say {leg} 'Stop, please'")
            advance(room, 15)
            spoken = next(n for n, frame in enumerate(bot.frames) if any(frame))
            heard = [(each["kind"], each.get("text"), each["seconds"]) for each in hear(room, leg)]
            return leg, (spoken, heard, received(app))

        yield Driven(app, {"answer": "/webhooks/answer", "event": "/webhooks/events"}, call)


@contextmanager
def driven_archive(room: Room) -> Iterator[Driven]:
    """Serve the archive; the recording that it knows of is downloaded."""
    archive = Archive()
    with serving(archive.application) as app:

        def call() -> tuple[str, Any]:
            archive.legs.clear()
            archive.recordings.clear()
            leg = rung(room)
            advance(room, 30)
            assert set(archive.legs) == {each["uuid"] for each in app.fields("/event") if "uuid" in each}
            caller, url = archive.recordings[leg]
            downloaded = room(f"recording download {url} --dir {room.home}")
            return leg, (list(archive.legs.values()), caller, downloaded.exit_code, received(app))

        yield Driven(app, {"answer": "/answer", "event": "/event", "rtc_event": "/rtc"}, call)


APPLICATIONS: dict[str, Callable[[Room], AbstractContextManager[Driven]]] = {
    "menu": driven_menu,
    "bot": driven_bot,
    "archive": driven_archive,
}

if __name__ == "__main__":
    here = Room(Path.cwd(), SystemClock(), environ=dict(os.environ))  # type: ignore[arg-type]
    with APPLICATIONS[sys.argv[1]](here) as found:
        point_to(here, found.served, found.hooks)
        found.served.asked.clear()
        print(json.dumps(found.call()[1]))
