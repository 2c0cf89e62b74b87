"""Ctrl-Z and ``fg``: a running command stops, and continues where it was."""

from __future__ import annotations

import pytest

from tests.conftest import StartRoom
from tests.support.kept import keep, status
from tests.support.room import BY_HAND
from tests.support.tty import CTRL_Z, Tty
from voicectl.clock import SystemClock

pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")  # pexpect, from Python 3.12 on

CTRL_C = "\x03"


def test_a_wait_continues_after_a_suspension(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    leg = room.call(BY_HAND, wait="ringing")
    with Tty(room, f"wait {leg} --for answered", is_job=True) as tty:
        tty.until(leg)
        tty.type(CTRL_Z)
        tty.until("[stopped: 148]")
        assert room(f"sandbox answer {leg}", env={"VOICECTL_SANDBOX": room.url}).exit_code == 0

        tty.type("\n")
        tty.until("[ended: 0]")


def test_a_tail_shows_events_that_arrived_during_a_suspension(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    keep(room, status("started", to="447700900066"))
    with Tty(room, "webhook tail --last 1", is_job=True) as tty:
        assert "No receiver is running on this machine" in tty.until("447700900066")
        tty.type(CTRL_Z)
        tty.until("[stopped: 148]")
        keep(room, status("ringing", to="447700900077"))

        tty.type("\n")
        tty.until("447700900077")
        tty.type(CTRL_C)
        tty.until("[ended: 130]")


def test_a_suspended_receiver_says_that_it_receives_nothing(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    with Tty(room, "webhook serve --port 0 --allow-unsigned", is_job=True) as tty:
        tty.until("Ctrl-C to stop")
        tty.type(CTRL_Z)
        tty.until("No webhooks will be received until you resume this command")
        tty.until("[stopped: 148]")

        tty.type("\n")
        tty.until("Receiving again")
        tty.type(CTRL_C)
        tty.until("[ended: 0]")
