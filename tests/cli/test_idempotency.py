"""``--idempotency-key``: the same key finds the call that exists, and never dials a second one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.clock import FakeClock
from tests.support.fault_proxy import Fault, FaultProxy, Side, What, cut
from tests.support.room import BY_HAND, PERSON, Ran, Room
from tests.support.waiting import PATIENCE_SECONDS, eventually
from voicectl.clock import SystemClock
from voicectl.store.journal import Journal

HOUR = 3600


COMMAND = f"call create --to {PERSON} --talk Hello --idempotency-key alert-17 -o json"


def create(room: Room, more: str = "", *, to: str = PERSON, key: str = "alert-17") -> Ran:
    return room(f"call create --to {to} --talk Hello --idempotency-key {key} -o json {more}")


def creates(room: Room) -> int:
    return len(room.requests("createCall"))


def fail(room: Room, what: str, **more: object) -> None:
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": what, "on": "createCall", "times": 1, **more})


def test_the_same_key_again_prints_the_existing_call(room: Room) -> None:
    first, second = create(room), create(room)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "replayed" not in first.json
    assert second.json == first.json | {"replayed": True}
    assert creates(room) == 1


def test_a_replay_waits_for_the_existing_call(room: Room) -> None:
    uuid = create(room, to=BY_HAND).json["uuid"]
    ran = create(room, "--wait ringing", to=BY_HAND)

    assert ran.exit_code == 0
    assert (ran.json["uuid"], ran.json["status"], ran.json["replayed"]) == (uuid, "ringing", True)
    assert creates(room) == 1


def test_a_plus_before_the_number_does_not_make_it_another_call(room: Room) -> None:
    create(room)
    assert create(room, to=f"+{PERSON}").json["replayed"] is True


@pytest.mark.parametrize(
    "line",
    [
        "--to 447700900002 --talk Hello",
        f"--to {PERSON} --talk Goodbye",
        f"--to {PERSON} --talk Hello --join room",
        f"--to {PERSON} --talk Hello --ringing-timer 10",
        f"--to {PERSON} --talk Hello --from 442079460001",
        f"--to {PERSON} --answer-url https://app.example.org/",
    ],
)
def test_the_key_of_another_call_is_refused(room: Room, line: str) -> None:
    uuid = create(room).json["uuid"]
    ran = room(f"call create {line} --idempotency-key alert-17 -o json")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert uuid in ran.error["hint"]
    assert creates(room) == 1


def test_another_key_is_another_call(room: Room) -> None:
    assert create(room).json["uuid"] != create(room, key="alert-18").json["uuid"]


@pytest.mark.parametrize(
    ("what", "more", "status"),
    [
        ("status", {"code": 400}, 5),
        ("status", {"code": 402}, 5),
        ("status", {"code": 401}, 3),
        ("status", {"code": 302}, 7),
        ("rate-limit", {"retry_after": 3600}, 6),
    ],
)
def test_after_a_rejected_attempt_the_key_dials(
    room: Room, what: str, more: dict[str, object], status: int
) -> None:
    fail(room, what, **more)
    assert create(room).exit_code == status

    ran = create(room)
    assert ran.exit_code == 0
    assert "replayed" not in ran.json
    assert create(room).json["replayed"] is True


def test_the_latest_of_several_attempts_decides(room: Room) -> None:
    """Not the first, which was rejected: a third would then ring the phone again."""
    fail(room, "status", code=400)
    assert create(room).exit_code == 5
    room.clock.sleep(60)
    uuid = create(room).json["uuid"]
    room.clock.sleep(60)

    ran = create(room)
    assert (ran.json["uuid"], ran.json["replayed"]) == (uuid, True)
    assert creates(room) == 2


def test_after_an_attempt_that_sent_nothing_the_key_dials(room: Room) -> None:
    with FaultProxy(room.url) as gone:
        pass
    line = f"call create --to {PERSON} --talk Hello --idempotency-key alert-17 -o json"
    assert room(line, env={"VOICECTL_BASE_URL": gone.url}).exit_code == 7

    ran = create(room)
    assert ran.exit_code == 0
    assert "replayed" not in ran.json


def test_an_earlier_attempt_in_doubt_is_looked_up_and_never_dialled_again(room: Room) -> None:
    with FaultProxy(room.url) as line:
        room.environ["VOICECTL_BASE_URL"] = line.url
        line.fault = cut(Side.REQUEST, 50)
        assert create(room).exit_code == 12
        line.fault = None

        for _ in range(3):
            ran = create(room)
            assert (ran.exit_code, ran.stdout) == (12, "")
            assert "call reconcile vc-" in ran.error["hint"]
        assert len(line.posts) == 1


def test_an_earlier_attempt_in_doubt_that_is_found_is_replayed(room: Room) -> None:
    with FaultProxy(room.url) as line:
        room.environ["VOICECTL_BASE_URL"] = line.url
        line.fault = cut(Side.REPLY, 0, method="")
        assert create(room).exit_code == 12
        line.fault = None

        ran = create(room)
        assert ran.exit_code == 0
        assert (ran.json["certainty"], ran.json["replayed"]) == ("matched", True)
        assert create(room).json == ran.json
        assert len(line.posts) == 1


def test_after_a_resolved_doubt_the_key_dials(room: Room) -> None:
    fail(room, "lost-request")
    assert create(room).exit_code == 12
    (row,) = room("call reconcile -o json").json
    assert row["idempotency_key"] == "alert-17"
    room(f"call reconcile {row['reference']} --assume not-created --reason 'nobody was called'")

    ran = create(room)
    assert ran.exit_code == 0
    assert "replayed" not in ran.json


def test_a_key_lives_24_hours_from_the_intent(room: Room) -> None:
    first = create(room).json["uuid"]
    room.clock.sleep(24 * HOUR - 10)
    assert create(room).json["uuid"] == first
    room.clock.sleep(20)

    ran = create(room, "--join another")
    assert ran.exit_code == 0
    assert ran.json["uuid"] != first
    assert creates(room) == 2


def test_a_key_in_doubt_is_kept_longer(room: Room) -> None:
    fail(room, "lost-request")
    assert create(room).exit_code == 12
    room.clock.sleep(72 * HOUR)

    assert create(room).exit_code == 12
    assert create(room, "--join another").exit_code == 2
    assert creates(room) == 1


@pytest.mark.parametrize(
    "line",
    [
        f"--to {PERSON} --to 447700900002 --talk Hi --idempotency-key k",
        f"--to {PERSON} --talk Hi --idempotency-key k --no-journal",
        f"--to {PERSON} --talk Hi --idempotency-key ''",
        f"--to {PERSON} --talk Hi --idempotency-key ' '",
    ],
)
def test_a_key_needs_a_single_call_in_the_journal(room: Room, line: str) -> None:
    assert room(f"call create {line}").exit_code == 2
    assert creates(room) == 0


def test_a_key_is_any_text_and_not_part_of_a_file_name(room: Room) -> None:
    for key in ("../../x", "a/b", "ключ", "k" * 5000, "*"):
        command = ["call", "create", "--to", PERSON, "--talk", "Hi", "--idempotency-key", key, "-q"]
        assert room(command).stdout == room(command).stdout != ""
    (directory,) = room.state.iterdir()
    assert all(path.parent == directory for path in room.state.rglob("*") if path.is_file())


def test_a_key_belongs_to_the_application(room: Room, tmp_path: Path) -> None:
    """Each application has its own journal, so the same key of another application is another key."""
    create(room)
    (directory,) = room.state.iterdir()
    directory.rename(directory.with_name("1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"))

    assert "replayed" not in create(room).json


def test_a_dry_run_with_a_key_neither_dials_nor_records(room: Room) -> None:
    ran = room(f"call create --to {PERSON} --talk Hello --idempotency-key alert-17 --dry-run")
    assert (ran.exit_code, creates(room)) == (0, 0)
    assert "replayed" not in create(room).json


class Releasing(FakeClock):
    """The clock of a command that waits for the lock of a key, which is released during its third wait."""

    def __init__(self, held: ExitStack, look: Callable[[], None]) -> None:
        super().__init__()
        self._held, self._look = held, look

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if len(self.slept) <= 3:
            self._look()
        if len(self.slept) == 3:
            self._held.close()


def test_nothing_is_sent_while_another_process_holds_the_key(room: Room) -> None:
    with ExitStack() as held:
        hold(room, held)
        waiting: list[int] = []
        clock = Releasing(held, lambda: waiting.append(creates(room)))
        ran = room(COMMAND, clock=clock)

    assert ran.exit_code == 0
    assert waiting == [0, 0, 0]
    assert creates(room) == 1


def test_a_key_that_is_held_for_two_minutes_is_given_up_and_nothing_is_sent(room: Room) -> None:
    with ExitStack() as held:
        hold(room, held)
        started = room.clock.monotonic()
        ran = create(room)

        assert (ran.exit_code, ran.stdout) == (7, "")
        assert 120 <= room.clock.monotonic() - started < 121
        assert (ran.error["retryable"], "Nothing was sent" in ran.error["hint"]) == (True, True)
        assert create(room, key="another").exit_code == 0
        assert creates(room) == 1
    assert "replayed" not in create(room).json


def hold(room: Room, held: ExitStack) -> None:
    """Hold the lock of the key until *held* is closed."""
    room("call reconcile")  # creates the journal
    (directory,) = room.state.iterdir()
    journal = held.enter_context(closing(Journal(directory, FakeClock())))
    held.enter_context(journal.only_one("alert-17"))


def test_a_link_in_place_of_a_key_s_lock_is_refused(room: Room) -> None:
    """Otherwise another file would be locked or created."""
    create(room)
    (lock,) = room.state.rglob("key-*.lock")
    lock.unlink()
    lock.symlink_to(room.home / "elsewhere")

    ran = create(room)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert (ran.error["code"], str(lock) in ran.error["message"]) == ("journal", True)
    assert not (room.home / "elsewhere").exists()
    assert creates(room) == 1


def test_two_processes_at_once_make_one_call(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    with FaultProxy(room.url) as line:
        room.environ["VOICECTL_BASE_URL"] = line.url
        line.fault = Fault(What.DELAY, Side.REPLY, 0, seconds=0.3)
        command = f"call create --to {PERSON} --talk Hello --idempotency-key alert-17 -o json"
        ran: list[Ran] = []
        threads = [threading.Thread(target=lambda: ran.append(room.process(command))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [each.exit_code for each in ran] == [0, 0, 0], ran
        assert len({each.json["uuid"] for each in ran}) == 1
        assert sorted("replayed" in each.json for each in ran) == [False, True, True]
        assert len(line.posts) == 1


def test_a_process_that_died_with_a_key_leaves_it_in_doubt(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    command = f"call create --to {PERSON} --talk Hello --idempotency-key alert-17 -o json"
    with FaultProxy(room.url) as line:
        line.fault = Fault(What.STALL, Side.REQUEST)
        room.environ["VOICECTL_BASE_URL"] = line.url
        with room.spawn(command) as child:
            eventually(lambda: line.posts)
            child.kill()
        line.fault = None
        with room.spawn(command) as child:
            eventually(lambda: len(line.requests) > 1)
            child.terminate()
            out, _ = child.communicate(timeout=PATIENCE_SECONDS)

        assert (child.returncode, out) == (143, b"")
        assert [request.method for request in line.requests[:2]] == ["POST", "GET"]
        assert len(line.posts) == 1
