"""Completion: the scripts in the repository are current and offer the right words."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.clock import FakeClock
from tests.support.kept import keep, status
from tests.support.machines import Application, machine
from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LEG, Canned, page, reply
from tests.support.waiting import eventually
from voicectl.cli import refresh as refreshing
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore
from voicectl.store.action_log import ActionLog

from .test_regions import Watch, ring

FILES = {"bash": "voicectl.bash", "zsh": "_voicectl", "fish": "voicectl.fish"}
COMPLETIONS = Path(__file__).parent.parent.parent / "completions"
OTHER = "447700900002"
ASKS_FOR_A_FILE = 1


def complete(room: Room, line: str, **env: str) -> Ran:
    """Complete *line*, which lacks its first word."""
    ran = room([], env={"_VOICECTL_COMPLETE": "bash", "_VOICECTL_COMPLETE_LINE": f"voicectl {line}"} | env)
    assert ran.stderr == ""
    return ran


def words(room: Room, line: str, **env: str) -> list[str]:
    return [word for word, _ in complete(room, line, **env).rows]


def about(room: Room, line: str, **env: str) -> dict[str, str]:
    """Return each word with its description."""
    return dict(complete(room, line, **env).rows)


def state(room: Room) -> Path:
    return room.state / ProfileStore(room.config).get("test").application_id


@pytest.mark.parametrize("shell", FILES)
def test_the_script_in_the_repository_is_current(bare: Room, shell: str) -> None:
    printed = bare(f"completion {shell}").stdout

    assert (COMPLETIONS / FILES[shell]).read_text() == printed, (
        f"write it anew: voicectl completion {shell} > completions/{FILES[shell]}"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ear", ["earmuff"]),
        ("sandbox f", ["fault"]),
        ("sandbox fault ", ["add", "list", "clear"]),
        ("call list --sta", ["--status"]),
        ("call list --status an", ["answered"]),
        ("talk --lan", ["--language"]),
        ("wait x --for e", ["ended"]),
        ("wait x --for h", ["human"]),
        ("call create --wait an", ["answered"]),
        ("webhook list --status ans", ["answered"]),
        ("webhook list --kind trans", ["transcribed", "transfer"]),
        ("webhook tail --kind a", ["answer"]),
        ("profile add prod --region na", ["na-east", "na-west"]),
        ("call list -o jso", ["json", "jsonl"]),
        ("sandbox fault add lost", ["lost-reply", "lost-request"]),
        ("sandbox fault add status --on getCa", ["getCalls", "getCall"]),
        ("call list -o w", ["wide"]),
        ("call list -o te", ["template="]),
        ("call list --output=jso", ["--output=json", "--output=jsonl"]),
        ("hangup --status r", ["ringing", "rejected"]),
        ("nonsense ", []),
        ("nonsense x ", []),
        ("--version ear", ["earmuff"]),
        ("mute 'unclosed", []),
    ],
)
def test_commands_options_and_fixed_values_complete(bare: Room, line: str, expected: list[str]) -> None:
    assert words(bare, line) == expected


@pytest.mark.parametrize(
    "line", ["talk --file ", "transfer x --ncco ", "sandbox exec ", "profile add --private-key "]
)
def test_file_names_are_completed_by_the_shell(bare: Room, line: str) -> None:
    assert complete(bare, line).exit_code == ASKS_FOR_A_FILE


@pytest.mark.parametrize(
    "line", ["", "call ", "mute ", "-p ", "move x ", "wait --for ", "talk x ", "webhook list --leg "]
)
def test_without_any_setup_there_is_no_error(bare: Room, line: str) -> None:
    assert complete(bare, line).exit_code == 0
    assert not bare.state.exists()
    assert bare.refreshes == []


def test_profiles_are_shown_with_their_hosts(room: Room) -> None:
    assert about(room, "-p ") == {"test": f"{room.url}, the default"}
    assert about(room, "call list --profile te") == {"test": f"{room.url}, the default"}
    assert words(room, "profile show ") == ["test"]


def test_calls_created_from_here_complete_with_number_and_age(room: Room) -> None:
    first, last = room.call(PERSON), room.call(OTHER)
    room.clock.sleep(180)
    watch = Watch(room)

    assert about(room, "mute ") == {last: f"to {OTHER}, 3m", first: f"to {PERSON}, 3m"}
    assert words(room, f"dtmf {first[:4]}") == [first]
    assert watch.asked == []


def test_legs_of_the_last_listing_complete_with_status_and_its_age(room: Room) -> None:
    leg = ring(room, "na-east")
    assert room("call list -q").stdout.split() == [leg]
    room.clock.sleep(120)
    room("call list")

    assert about(room, "mute ") == {leg: f"from {PERSON}, answered, >2m"}
    room.clock.sleep(60)
    assert about(room, "mute ") == {leg: f"from {PERSON}, answered, >3m, last seen 1m ago"}


@pytest.mark.parametrize("how", ["listed", "reported", "hung up", "long ago"])
def test_legs_known_to_have_ended_do_not_complete(room: Room, how: str) -> None:
    over, up = room.call(PERSON), room.call(OTHER)
    room("call list")
    if how == "listed":
        room(f"sandbox hangup {over}", env={"VOICECTL_SANDBOX": room.url})
        room.clock.sleep(10)
        room("call list")
    elif how == "reported":
        keep(room, status("completed", leg=over))
    elif how == "hung up":
        room(f"hangup {over}")
    else:
        room.clock.sleep(4 * 3600)
        up = room.call(OTHER)

    assert words(room, "mute ") == [up]


def test_a_leg_that_only_events_report_completes(room: Room) -> None:
    now = room.clock.time()
    fields = {"leg": LEG, "to": PERSON, "direction": "outbound"}
    keep(room, status("started", **fields), received=now - 40)
    keep(room, status("ringing", **fields), received=now - 30)

    assert about(room, "mute ") == {LEG: f"to {PERSON}, ringing, >40s, last seen 30s ago"}


def test_a_filtered_listing_does_not_end_the_other_legs(room: Room) -> None:
    legs = [room.call(OTHER), room.call(PERSON)]
    room.clock.sleep(60)
    room("call list --status ringing")
    room(f"call list --match-to {OTHER}")

    assert sorted(words(room, "mute ")) == sorted(legs)


def test_numbers_complete_after_to_and_from(room: Room) -> None:
    room.call(PERSON)
    room.call(OTHER)
    room.call(OTHER)
    room("call list")

    assert sorted(words(room, "mute to:")) == [f"to:{PERSON}", f"to:{OTHER}"]
    assert about(room, f"mute to:{OTHER}") == {f"to:{OTHER}": "2 legs"}


def test_a_leg_already_on_the_line_is_not_offered_again(room: Room) -> None:
    one, other = room.call(PERSON), room.call(OTHER)

    assert words(room, f"mute {one} ") == [other]


def test_rooms_that_legs_were_moved_to_complete(room: Room) -> None:
    leg = room.call()
    assert room(f"move {leg} support-17").exit_code == 0
    room.clock.sleep(120)
    assert room(f"move {leg} 'two words'").exit_code == 0

    assert words(room, "call create --join ") == ["two words", "support-17", "room"]
    assert about(room, f"move {leg} sup") == {"support-17": "room, 2m ago"}
    assert words(room, "conversation show sup") == ["support-17"]


def test_no_room_is_offered_in_place_of_a_leg_and_many_rooms_displace_no_leg(room: Room) -> None:
    leg, other = room.call(PERSON), room.call(OTHER)
    notes = ActionLog(state(room))
    for number in range(300):
        notes.add(room.clock.time(), LEG, "move", detail={"room": f"room-{number}"})

    assert words(room, "move ") == [other, leg]
    after = words(room, f"move {leg} ")
    assert other in after
    assert "room-299" in after
    assert words(room, f"move {leg} room-17") == [
        "room-179",
        *(f"room-17{n}" for n in range(8, -1, -1)),
        "room-17",
    ]


def test_conversations_of_listed_legs_complete(room: Room) -> None:
    room.call(PERSON)
    room.call(OTHER)
    (conversation,) = {each["conversation_uuid"] for each in room("call list -o json").json}

    assert about(room, "call list --conversation ") == {conversation: "2 legs", "room": "room, 3s ago"}
    assert conversation in words(room, "hangup --conversation CON")
    assert words(room, "call create --join CON") == []


def test_each_profile_has_its_own_legs(room: Room) -> None:
    room.call()

    assert words(room, "-p nobody mute ") == []
    assert len(words(room, "-p test mute ")) == 1
    assert words(room, "mute ", VOICECTL_PROFILE="nobody") == []


def test_a_rehearsal_completes_the_legs_of_its_sandbox_without_a_request(room: Room) -> None:
    environ = {"VOICECTL_SANDBOX": room.url}
    leg = room(f"call create --to {PERSON} --talk Hello -q", env=environ).stdout.strip()
    watch = Watch(room)

    assert words(room, "mute ", **environ) == [leg]
    assert watch.asked == []


@pytest.mark.parametrize("name", ["listed", "journal.db", "events.db", "notes"])
@pytest.mark.parametrize("content", [b"", b"\0\xff" * 4096, b"[1, true, [[]]]", b"null\n"])
def test_unreadable_sources_are_skipped(room: Room, name: str, content: bytes) -> None:
    leg = room.call()
    room("call list")
    (state(room) / name).write_bytes(content)

    assert words(room, "mute ") == [leg]


def test_a_locked_journal_is_not_waited_for(room: Room) -> None:
    leg = room.call()
    room("call list")

    def ended() -> float:
        """Return the shortest of several run times."""
        took = []
        for _ in range(3):
            began = time.perf_counter()
            assert words(room, "mute ") == [leg]
            took.append(time.perf_counter() - began)
        return min(took)

    with sqlite3.connect(state(room) / "journal.db") as db:
        db.execute("BEGIN EXCLUSIVE")
        locked = ended()
        db.rollback()
    free = ended()

    assert locked < 50 * free, "SQLite itself would wait for five seconds"
    db.close()


def refresh(room: Room) -> None:
    """Perform the last refresh that completion started as a background process."""
    refreshing.run(room.refreshes[-1], room.clock)


def test_only_the_time_of_the_refresh_is_written(room: Room) -> None:
    room.call()
    keep(room, status("ringing", leg=LEG))
    before = {each.name: each.read_bytes() for each in state(room).iterdir()}

    assert words(room, "mute ")

    after = {each.name: each.read_bytes() for each in state(room).iterdir()}
    assert after.pop("refreshed")
    assert after == before


def test_known_legs_are_offered_and_a_listing_is_made_for_the_next_time(room: Room) -> None:
    ring(room, "na-east")
    watch = Watch(room)

    assert words(room, "mute ") == []
    assert watch.asked == []
    refresh(room)
    (leg,) = words(room, "mute ")

    assert about(room, "mute ")[leg].startswith(f"from {PERSON}, answered")


def test_the_listing_is_refreshed_at_most_every_ten_seconds(room: Room) -> None:
    for seconds in (0, 5, 4.9, 0.1, 9.9, 0.1):
        room.clock.sleep(seconds)
        words(room, "mute ")
        words(room, "talk ")
    assert len(room.refreshes) == 3

    room.clock = FakeClock(room.clock.time() - 3600)  # a time in the future does not delay the next refresh
    words(room, "mute ")
    assert len(room.refreshes) == 4


@pytest.mark.parametrize("line", ["ear", "wait x --for e", "-p ", "sandbox fault add "])
def test_words_that_need_no_listing_refresh_none(room: Room, line: str) -> None:
    assert words(room, line)
    assert room.refreshes == []


def test_the_refresh_is_for_the_profile_on_the_line(room: Room) -> None:
    words(room, "-p nobody mute ")
    assert room.refreshes == []
    words(room, "-p test mute ")
    assert [each["VOICECTL_PROFILE"] for each in room.refreshes] == ["test"]


def test_a_refresh_in_a_rehearsal_asks_only_its_sandbox(room: Room) -> None:
    environ = {"VOICECTL_SANDBOX": room.url}
    room("call list", env=environ)
    ring(room, "na-east")

    assert words(room, "mute ", **environ) == []
    assert room.refreshes[-1]["VOICECTL_SANDBOX"] == room.url
    refresh(room)

    assert len(words(room, "mute ", **environ)) == 1


def test_a_refresh_runs_no_key_command_and_shows_no_error(room: Room, tmp_path: Path) -> None:
    store = ProfileStore(room.config)
    store.add(replace(store.get("test"), key_command=f"touch {tmp_path}/asked"), key=None, replace=True)
    watch = Watch(room)

    words(room, "mute ")
    refresh(room)

    assert watch.asked == []
    assert not (tmp_path / "asked").exists()


def test_a_refresh_that_is_refused_changes_nothing(room: Room) -> None:
    leg = room.call()
    room("call list")
    room("sandbox fault add key-revoked", env={"VOICECTL_SANDBOX": room.url})

    words(room, "mute ")
    refresh(room)

    assert words(room, "mute ") == [leg]


def test_a_room_without_legs_is_no_longer_offered(room: Room) -> None:
    leg, other = (
        room.call(options="--talk Hello --join lobby"),
        room.call(options="--talk Hello --join lobby"),
    )
    assert room(f"move {leg} support-17").exit_code == 0
    assert room(f"move {other} support-18").exit_code == 0
    assert room(f"hangup {leg}").exit_code == 0
    room.clock.sleep(10)

    assert words(room, "conversation show sup") == ["support-18", "support-17"]
    refresh(room)
    assert words(room, "conversation show sup") == ["support-18"]

    assert room(f"move {other} support-17").exit_code == 0
    assert words(room, "conversation show sup") == ["support-17", "support-18"]


def test_the_listing_is_refreshed_in_the_background(start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    ring(room, "na-east")

    ran = room.process([], env={"_VOICECTL_COMPLETE": "bash", "_VOICECTL_COMPLETE_LINE": "voicectl mute "})

    assert ran == Ran(0, "", "")
    eventually(lambda: words(room, "mute "), "nothing was listed")


def test_hostile_names_remain_one_word_on_one_line(tmp_path: Path, application: Application) -> None:
    bad = "x\t\n\x1b[31m$(touch /tmp/pwned)`id`'\"\u202e"
    records = [
        {"uuid": LEG, "status": "answered\n", "direction": "outbound", "to": {"type": "app", "user": bad}},
        {"uuid": "../../etc", "status": "answered", "to": {"type": "app", "user": "y"}},
    ]
    with Canned(reply(200, page(*records))) as server:
        room = machine(tmp_path, application, server.url)
        room("call list")

    (row,) = complete(room, "mute ").stdout.splitlines()
    assert row.startswith(LEG + "\t")
    assert row.replace("\t", "").isprintable()


def test_ten_thousand_legs_and_a_long_journal_are_fast(room: Room) -> None:
    record = [LEG, "answered", "outbound", PERSON, "447700900000", f"CON-{LEG}", "", 0]
    legs = [[f"{number:08x}{LEG[8:]}", *record[1:]] for number in range(1000)]
    state(room).mkdir(parents=True, exist_ok=True)
    (state(room) / "listed").write_text(json.dumps([room.clock.time(), False, legs]))

    assert len(words(room, "mute ")) == 100
    assert len(words(room, "mute 000001ff")) == 1
