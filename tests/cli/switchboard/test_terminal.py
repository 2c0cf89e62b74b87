"""``watch`` on a terminal: real processes, each with its own terminal."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.kept import keep, status
from tests.support.machines import Application, machine
from tests.support.room import BY_HAND, Room
from tests.support.servers import Answer, Canned, Listener, page, read_request, reply
from tests.support.tty import CTRL_Z, Tty
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore
from voicectl.store.receiver_lock import receiving

pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")  # pexpect, from Python 3.12 on

CTRL_C = "\x03"
CONVERSATION = "CON-1a2b3c4d-5e6f-4788-99aa-bbccddeeff00"
ALTERNATE, NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"


def record(number: int = 1, **fields: object) -> dict[str, object]:
    return {
        "uuid": f"{number:08x}-4a51-4f6b-86e1-46edebcf9356",
        "conversation_uuid": CONVERSATION,
        "status": "answered",
        "direction": "outbound",
        "to": {"type": "phone", "number": "447700900001"},
        "from": {"type": "phone", "number": "442079460000"},
    } | fields


@pytest.fixture
def live(start_room: StartRoom) -> tuple[Room, str]:
    """A machine with a leg that rings until its party answers."""
    room = start_room(clock=SystemClock(), frozen=True)
    leg = room.call(BY_HAND, wait=None)
    control(room, "advance 1s")
    return room, leg


def control(room: Room, words: str) -> None:
    ran = room(f"sandbox {words}", env={"VOICECTL_SANDBOX": room.url})
    assert ran.exit_code == 0, ran.stderr


def assert_is_given_back(tty: Tty) -> None:
    assert tty.raw.count(ALTERNATE) == tty.raw.count(NORMAL) == 1
    assert not tty.is_alternate
    assert tty.has_cursor


def test_the_table_is_updated_and_its_last_state_remains(live: tuple[Room, str]) -> None:
    room, leg = live
    with Tty(room, "watch --interval 0.1", columns=160) as tty:
        tty.until_all("1 live leg in 1 conversation", leg, "ringing", "447700900600")
        assert tty.is_alternate
        assert not tty.has_cursor

        assert room(f"mute {leg}").exit_code == 5  # it has not been answered yet, and nothing is marked
        control(room, f"answer {leg}")
        tty.until("answered")
        assert room(f"mute {leg}").exit_code == 0
        tty.until(lambda tty: "yes" in tty.text)
        control(room, f"hangup {leg}")
        tty.until_all("completed", "0 live legs, 1 ended")

        tty.type(CTRL_C)
        assert tty.end() == 130
    assert_is_given_back(tty)
    assert "0 live legs, 1 ended" in tty.text
    assert f"{leg}    completed" in tty.text
    assert "Updated" not in tty.text
    assert tty.styles


def test_an_event_is_shown_before_the_api_is_asked_again(live: tuple[Room, str]) -> None:
    room, leg = live
    keep(room, status("ringing", leg=leg))
    directory = room.state / ProfileStore(room.config).get("test").application_id
    with receiving(directory), Tty(room, "watch --interval 600") as tty:
        tty.until("ringing")

        keep(room, status("answered", leg=leg, second=9))

        tty.until_all("answered", "Events are shown as soon as they arrive; the last one came")
    assert len(room.requests("getCalls")) == 4


def test_it_ends_like_wait(live: tuple[Room, str]) -> None:
    room, leg = live
    with Tty(room, f"watch {leg} --for answered --interval 0.1") as tty:
        tty.until("ringing")
        control(room, f"answer {leg}")
        assert tty.end() == 0
    assert_is_given_back(tty)

    with Tty(room, f"watch {leg} --for busy --timeout 3 --interval 0.1", columns=160) as tty:
        assert tty.end() == 8
    assert_is_given_back(tty)
    assert "did not reach 'busy' within 3 s" in tty.text


def test_it_uses_at_most_a_third_of_the_shared_rate_limit(live: tuple[Room, str]) -> None:
    room, leg = live
    with Tty(room, "watch --for answered --timeout 600 --interval 0.1", columns=160) as tty:
        tty.until("every 0.8 s")  # with --for, it stays so while nothing changes
        control(room, f"answer {leg}")
        assert tty.end() == 0


def test_the_screen_is_restored_when_the_api_refuses(tmp_path: Path, application: Application) -> None:
    answers = iter([reply(200, page(record())), *[reply(200, page())] * 3])
    with Canned(lambda _: next(answers, reply(401, {"title": "Unauthorized"}))) as server:
        room = machine(tmp_path, application, server.url)
        room.clock = SystemClock()
        with Tty(room, "watch --interval 0.1") as tty:
            assert tty.end() == 3
    assert_is_given_back(tty)
    assert "answered" in tty.text
    assert "refused the credentials" in tty.text


def test_it_continues_and_says_that_it_is_rate_limited(tmp_path: Path, application: Application) -> None:
    answers = iter([reply(200, page(record())), *[reply(200, page())] * 3])
    limited = reply(429, {"title": "Too many"}, retry_after="59")
    with Canned(lambda _: next(answers, limited)) as server:
        room = machine(tmp_path, application, server.url)
        with Tty(room, "watch --interval 0.1") as tty:
            tty.until_all("Rate limited", "answered")
            assert tty.is_alternate
            tty.type(CTRL_C)
            assert tty.end() == 130
    assert_is_given_back(tty)
    assert "Rate limited" in tty.text


class Silent(Listener):
    """A server that answers the first request only."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.asked = threading.Event()
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader) is not None:
            if not self._answers:
                self.asked.set()
                await reader.read()
                return
            answer = self._answers.pop(0)
            assert isinstance(answer, bytes)
            writer.write(answer)


def test_ages_advance_while_a_reply_is_awaited(tmp_path: Path, application: Application) -> None:
    with Silent(reply(200, page(record())), *[reply(200, page())] * 3) as server:
        room = machine(tmp_path, application, server.url)
        with Tty(room, "watch --interval 0.1") as tty:
            tty.until("answered")
            assert server.asked.wait(PATIENCE_SECONDS)
            tty.until(lambda tty: re.search(r">([2-9]|[0-9]{2,})s", tty.text) is not None)
            tty.until("The API has not responded for")
            tty.type(CTRL_C)
            assert tty.end() == 130
    assert_is_given_back(tty)


def legs(number: int) -> Callable[[object], bytes]:
    """An API with the given number of answered legs, two in each conversation, the newest last."""
    calls = [
        record(each, conversation_uuid=f"CON-{each // 2:08x}-5e6f-4788-99aa-bbccddeeff00")
        for each in range(1, number + 1)
    ]

    def answer(request: object) -> bytes:
        query = request.query  # type: ignore[attr-defined]
        if query.get("status", "answered") != "answered":
            return reply(200, page())
        first = 100 * int(query.get("record_index", 0))
        more = f"/v1/calls?record_index={first // 100 + 1}" if first + 100 < number else None
        return reply(200, page(*calls[first : first + 100], following=more))

    return answer


@pytest.fixture
def crowd(tmp_path: Path, application: Application) -> Room:
    with Canned(legs(30)) as server:
        yield machine(tmp_path, application, server.url)


def test_columns_that_do_not_fit_are_left_out_and_come_back(crowd: Room) -> None:
    with Tty(crowd, "watch", columns=80, rows=12) as tty:
        heads = ["leg", "status", "dir", "from", "to", "age▴", "mut", "ear"]
        tty.until(lambda tty: "0000001e" in tty.text and tty.lines[1].split() == heads)
        assert tty.lines[0].startswith("30 live legs in 16 conversations")
        assert all(len(line) <= 80 for line in tty.lines)

        tty.resize(columns=80, rows=60)
        tty.until("00000001")
        tty.resize(columns=20, rows=5)
        tty.until(
            lambda tty: [line.split()[:2] for line in tty.lines[:2]] == [["30", "live"], ["leg", "status"]]
        )
        tty.until("0000001e answered")
        assert tty.lines[0] == "30 live legs"
        tty.resize(columns=200, rows=10)
        tty.until("0000001e-4a51-4f6b-86e1-46edebcf9356")

        tty.type(CTRL_C)
        assert tty.end() == 130
    assert_is_given_back(tty)


@pytest.mark.parametrize(("columns", "rows"), [(20, 5), (20, 3), (1, 1)])
def test_a_small_terminal_breaks_nothing(crowd: Room, columns: int, rows: int) -> None:
    with Tty(crowd, "watch", columns=columns, rows=rows) as tty:
        tty.until(lambda tty: tty.lines[0].startswith("30 live legs"[:columns]))
        tty.type(CTRL_C)
        assert tty.end() == 130
    assert_is_given_back(tty)


def test_other_output_formats_show_no_table(crowd: Room) -> None:
    with Tty(crowd, "watch --fields uuid,age") as tty:
        tty.until(lambda tty: re.search(r"0000001e-4a51-4f6b-86e1-46edebcf9356 +>0s", tty.text) is not None)
        tty.type(CTRL_C)
        assert tty.end() == 130
    assert b"\x1b" not in tty.raw


def test_several_signals_at_once_restore_the_screen_too(crowd: Room) -> None:
    with Tty(crowd, "watch") as tty:
        tty.until("answered")
        tty.type(5 * CTRL_C)
        assert tty.end() == 130
    assert_is_given_back(tty)


def test_ctrl_z_restores_the_terminal_and_fg_draws_the_screen_again(crowd: Room) -> None:
    with Tty(crowd, "watch", is_job=True) as tty:
        tty.until("answered")
        tty.type(CTRL_Z)
        tty.until("[stopped: 148]")
        assert not tty.is_alternate
        assert tty.has_cursor

        tty.type("\n")
        tty.until(lambda tty: tty.is_alternate and "answered" in tty.text and not tty.has_cursor)

        tty.type(CTRL_C)
        tty.until("[ended: 130]")
    assert not tty.is_alternate
    assert tty.has_cursor


def test_ctrl_z_stops_nothing_without_a_shell_that_could_continue_it(crowd: Room) -> None:
    with Tty(crowd, "watch") as tty:
        tty.until("answered")
        tty.type(CTRL_Z)
        tty.type(CTRL_C)
        assert tty.end() == 130
    assert not tty.is_alternate
    assert tty.has_cursor


def test_without_colors_the_screen_is_still_used(crowd: Room) -> None:
    with Tty(crowd, "watch", env={"NO_COLOR": "1"}) as tty:
        tty.until("answered")
        assert tty.is_alternate
        tty.type(CTRL_C)
        assert tty.end() == 130
    assert_is_given_back(tty)
    assert tty.styles <= {
        b"39;49",
        b"1;39;49",
        b"2;39;49",
        b"1;4;39;49",
        b"7;39;49",
    }  # the terminal's own colors


def test_a_terminal_without_cursor_movement_gets_lines(crowd: Room) -> None:
    with Tty(crowd, "watch", env={"TERM": "dumb"}) as tty:
        tty.until("442079460000 -> 447700900001  seen")
        tty.type(CTRL_C)
        assert tty.end() == 130
    assert b"\x1b" not in tty.raw


def test_text_from_outside_is_escaped(tmp_path: Path, application: Application) -> None:
    hostile = record(
        status="a\x1b[31m\u202eword",
        direction="\x07",
        conversation_uuid="CON-\x1b]0;x\x07",
        to={"type": "sip", "uri": "sip:\x1b[2J\u200b@x"},
        **{"from": {"user": "名前" * 30}},
    )
    with Canned(reply(200, page(hostile))) as server:
        room = machine(tmp_path, application, server.url)
        for columns in (80, 20):
            with Tty(room, "watch", columns=columns) as tty:
                tty.until("a\\x1b[3")
                assert all(len(line) <= columns for line in tty.lines)
                tty.type(CTRL_C)
                assert tty.end() == 130
            for bad in (b"\x1b[31m\xe2", b"\x1b[2J", b"\x1b]0", "\u202e".encode(), "\u200b".encode()):
                assert bad not in tty.raw


def test_a_remark_does_not_break_the_table(tmp_path: Path, application: Application) -> None:
    with Canned(legs(1)) as server:
        room = machine(tmp_path, application, server.url)
        state = room.state / application[0].application_id
        state.mkdir(parents=True)
        (state / "journal.db").write_bytes(b"no database at all, but long enough" * 40)
        with Tty(room, "watch") as tty:
            tty.until("continuing without the journal")
            assert tty.is_alternate
            tty.until("1 live leg")
            tty.type(CTRL_C)
            assert tty.end() == 130
    assert_is_given_back(tty)
    assert "continuing without the journal" in tty.text


def test_q_leaves_with_0_and_the_last_table(crowd: Room) -> None:
    with Tty(crowd, "watch", columns=100) as tty:
        tty.until("answered")
        tty.type("q")
        assert tty.end() == 0
    assert_is_given_back(tty)
    assert "answered" in tty.text


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_restores_the_terminal(crowd: Room, signum: int, code: int) -> None:
    with Tty(crowd, "watch") as tty:
        tty.until("answered")
        tty.send_signal(signum)
        assert tty.end() == code
    assert_is_given_back(tty)


@pytest.mark.parametrize("term", ["xterm", "screen", "screen-256color", "linux"])
def test_every_kind_of_terminal_is_used_and_given_back(crowd: Room, term: str) -> None:
    with Tty(crowd, "watch", columns=80, rows=24, env={"TERM": term}) as tty:
        tty.until("answered")
        tty.type("jj ")
        tty.until("marked")
        tty.type("q")
        assert tty.end() == 0
    assert_is_given_back(tty)


def test_the_first_frame_does_not_wait_for_the_api(tmp_path: Path, application: Application) -> None:
    with Silent() as server:
        room = machine(tmp_path, application, server.url)
        with Tty(room, "watch") as tty:
            tty.until_all("0 live legs", "Waiting for the API.")
            tty.type("q")
            assert tty.end() == 0
    assert_is_given_back(tty)


def test_with_lines_a_terminal_gets_lines(crowd: Room) -> None:
    with Tty(crowd, "watch --lines --match-to 447700900001") as tty:
        tty.until("442079460000 -> 447700900001  seen")
        tty.type(CTRL_C)
        assert tty.end() == 130
    assert not tty.is_alternate
    assert ALTERNATE not in tty.raw


@pytest.mark.parametrize("how", ['exec "$@" 2>log', 'echo "$LEG" | "$@" -', 'trap : INT; "$@" | cat'])
def test_without_three_terminals_there_are_lines(live: tuple[Room, str], how: str) -> None:
    room, leg = live
    with Tty(room, "watch", shell=how, env={"LEG": leg}) as tty:
        tty.until("447700900600")
        tty.type(CTRL_C)
        tty.end()
    assert ALTERNATE not in tty.raw


def test_two_switchboards_show_the_same(live: tuple[Room, str]) -> None:
    room, leg = live
    with Tty(room, "watch --interval 0.1") as one, Tty(room, "watch --interval 0.1") as other:
        for tty in (one, other):
            tty.until("ringing")
        control(room, f"answer {leg}")
        for tty in (one, other):
            tty.until("answered")
            tty.type("q")
            assert tty.end() == 0
