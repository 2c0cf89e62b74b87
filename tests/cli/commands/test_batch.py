"""Calling many people once each: whole commands against the sandbox, with time handed in."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from itertools import pairwise

import pytest

from tests.conftest import StartRoom
from tests.support.batches import called, make, open_batch, outcomes, serving, state, statuses, write_list
from tests.support.kept import EventfulClock, keep, status
from tests.support.ports import free_block
from tests.support.room import BUSY, DECLINES, PERSON, RINGS, Ran, Room
from voicectl.clock import SystemClock
from voicectl.store.batches.process import this_process
from voicectl.store.batches.records import Attempt, AttemptState, Stop
from voicectl.store.journal import Journal

VOICEMAIL, NO_BEEP, UNROUTABLE, INVALID = "447700900300", "447700900301", "447700900203", "447700900205"
PEOPLE = [f"4477009000{number:02}" for number in range(10)]


def run(
    room: Room, options: str = "--talk Hello", name: str = "a", file: str = "people.csv", **how: object
) -> Ran:
    return room(f"batch run {room.home}/{file} --id {name} --yes {options}", **how)  # type: ignore[arg-type]


def add_fault(room: Room, what: str, **settings: object) -> None:
    """Make the sandbox misbehave when calls are created."""
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": what, "on": "createCall"} | settings)


def add_strict(room: Room, guards: str) -> None:
    """Add a profile ``strict`` of the room's application, with guards."""
    assert room.sandbox is not None
    add_profile(room, room.sandbox.identity.application_id, room.url, guards)


def add_profile(room: Room, application: str, base_url: str, guards: str) -> None:
    """Add a profile ``strict`` with the room's key."""
    key = room.home / "key.pem"
    key.write_bytes((room.config / "keys" / "test.pem").read_bytes())
    key.chmod(0o600)
    added = room(
        f"profile add strict --application-id {application} --private-key {key} --base-url {base_url}"
        f" --from 447700900000 {guards}"
    )
    assert added.exit_code == 0, added.stderr


def test_everybody_is_called_once_and_the_outcomes_are_counted(room: Room) -> None:
    write_list(room, PERSON, BUSY, DECLINES, RINGS, VOICEMAIL, INVALID, UNROUTABLE)

    ran = run(room)

    assert ran.exit_code == 0, ran.stderr
    assert ran.rows == [
        ["answered", "1"], ["machine", "1"], ["busy", "1"], ["no-answer", "1"], ["rejected", "2"], ["failed", "1"],
    ]  # fmt: skip
    assert set(called(room).values()) == {1}
    assert len(called(room)) == 7


def test_the_same_command_again_calls_nobody(room: Room) -> None:
    write_list(room, PERSON, BUSY)
    run(room)

    assert run(room).rows == [["answered", "1"], ["busy", "1"]]
    assert sum(called(room).values()) == 2


def test_a_number_is_called_once_however_it_is_written(room: Room) -> None:
    write_list(room, PERSON, f"+{PERSON}", "+44 7700 900001")

    ran = run(room)

    assert called(room) == {PERSON: 1}
    assert f"Duplicates left out: 2; {PERSON} (line 3), {PERSON} (line 4)." in ran.stderr


def test_nobody_is_called_if_any_row_is_bad(room: Room) -> None:
    write_list(room, PERSON, "4.47701E+11", "07700900001")

    ran = run(room)

    assert ran.exit_code == 2
    assert "line 3, column to" in ran.stderr
    assert "line 4, column to" in ran.stderr
    assert "has 2 bad rows" in ran.stderr
    assert called(room) == {}
    assert room("batch list").stdout == ""


@pytest.mark.parametrize("content", ["", "to\n", "name\nAnn\n"])
def test_a_list_without_people_is_refused(room: Room, content: str) -> None:
    room.home.joinpath("people.csv").write_text(content)

    assert run(room).exit_code == 2


class TestMessages:
    def test_each_person_hears_their_own_values_which_are_only_spoken(self, room: Room) -> None:
        evil = '"""},{""action"":""connect"" <b>x</b>"'
        write_list(room, f"Ann,en-GB,{PERSON}", f"{evil},,{PEOPLE[2]}", header="name,language,to")

        run(room, '--talk "Hello {name}, {{sic}}"')

        flows = [json.loads(each["body"])["ncco"] if isinstance(each["body"], str) else each["body"]["ncco"]
                 for each in room.requests("createCall")]  # fmt: skip
        assert [flow[0]["text"] for flow in flows] == [
            "Hello Ann, {sic}", 'Hello "},{"action":"connect" bx/b, {sic}',
        ]  # fmt: skip
        assert [[action["action"] for action in flow] for flow in flows] == [["talk", "wait"]] * 2
        assert [flow[0].get("language") for flow in flows] == ["en-GB", None]

    def test_a_column_that_does_not_exist_is_refused(self, room: Room) -> None:
        write_list(room, f"Ann,{PERSON}", header="name,to")

        ran = run(room, '--talk "Hello {nmae}"')

        assert ran.exit_code == 2
        assert "no column 'nmae'" in ran.stderr
        assert "Did you mean {name}?" in ran.stderr

    def test_a_column_outside_a_talk_text_is_refused(self, room: Room) -> None:
        write_list(room, f"Ann,{PERSON}", header="name,to")
        room.home.joinpath("flow.json").write_text('[{"action": "conversation", "name": "{name}"}]')

        ran = run(room, f"--ncco {room.home}/flow.json")

        assert ran.exit_code == 2
        assert "only the text of a talk action" in ran.stderr

    def test_a_flow_that_dials_counts_against_the_rate_and_the_guards(self, room: Room) -> None:
        write_list(room, PERSON)
        flow = [{"action": "connect", "endpoint": [{"type": "phone", "number": "447700900002"}]}]
        room.home.joinpath("flow.json").write_text(json.dumps(flow))

        ran = run(room, f"--ncco {room.home}/flow.json --dry-run")

        assert ran.exit_code == 0
        assert "Each call rings 2 phones" in ran.stderr

    @pytest.mark.parametrize(
        "options", ["", "--talk Hi --answer-url https://example.org", "--ncco x --talk y"]
    )
    def test_there_is_exactly_one_flow(self, room: Room, options: str) -> None:
        write_list(room, PERSON)

        assert run(room, options).exit_code == 2


class TestConsent:
    def test_a_list_is_confirmed(self, room: Room) -> None:
        write_list(room, PERSON)
        line = f"batch run {room.home}/people.csv --id a --talk Hello"

        assert room(line).exit_code == 9
        assert room(line, terminal=True, stdin="n\n").exit_code == 9
        assert called(room) == {}
        assert room(line, terminal=True, stdin="y\n").exit_code == 0
        assert called(room) == {PERSON: 1}

    def test_standard_input_always_needs_yes(self, room: Room) -> None:
        line = "batch run - --id a --talk Hello"

        assert room(line, stdin=f"to\n{BUSY}\n").exit_code == 9
        assert room(f"{line} --yes", stdin=f"to\n{BUSY}\n").exit_code == 0
        assert called(room) == {BUSY: 1}

    def test_more_people_than_max_are_refused(self, room: Room) -> None:
        write_list(room, *PEOPLE, BUSY)

        ran = run(room)

        assert ran.exit_code == 9
        assert "--max 11" in ran.stderr
        assert called(room) == {}

    def test_people_without_consent_are_not_called(self, room: Room) -> None:
        write_list(room, f"{PERSON},no", f"{BUSY},yes", header="to,ok")

        assert run(room, "--talk Hello --consent-column ok").rows == [["busy", "1"], ["refused", "1"]]
        assert called(room) == {BUSY: 1}

    def test_excluded_numbers_are_not_called_and_the_file_is_read_again(self, room: Room) -> None:
        write_list(room, PERSON, BUSY)
        exclude = room.home / "exclude.txt"
        exclude.write_text(f"# no calls\n+{PERSON}\n")

        assert run(room, f"--talk Hello --exclude {exclude}").rows == [["busy", "1"], ["refused", "1"]]

    def test_a_number_that_is_excluded_while_the_batch_runs_is_not_called(
        self, start_room: StartRoom
    ) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        write_list(room, PERSON, BUSY)
        exclude = room.home / "exclude.txt"
        exclude.write_text("")

        clock.after(3, lambda: exclude.write_text(BUSY))  # the first person is being called, alone
        run(room, f"--talk Hello --exclude {exclude}")

        assert outcomes(room, "a") == {PERSON: "answered", BUSY: "refused"}
        assert called(room) == {PERSON: 1}

    def test_an_exclude_file_that_cannot_be_read_stops_everything(self, room: Room) -> None:
        write_list(room, PERSON)

        assert run(room, "--talk Hello --exclude /nowhere").exit_code == 2
        assert called(room) == {}

    def test_numbers_that_the_profile_denies_are_not_called(self, room: Room) -> None:
        add_strict(room, "--deny 447700900001")
        write_list(room, PERSON, BUSY)

        assert run(room, "--talk Hello -p strict").rows == [["busy", "1"], ["refused", "1"]]
        assert called(room) == {BUSY: 1}


class TestPlan:
    def test_a_dry_run_shows_the_plan_and_the_first_requests_and_keeps_nothing(self, room: Room) -> None:
        write_list(room, *PEOPLE[:5])

        ran = run(room, "--talk Hello --dry-run --price-per-minute 0.1 --length-timer 60 --attempts 2")

        assert ran.exit_code == 0
        assert len(ran.stdout.splitlines()) == 3
        assert all(line.startswith("curl -X POST") for line in ran.stdout.splitlines())
        assert "Would call 5 people" in ran.stderr
        assert "The cost is at most EUR 1.00." in ran.stderr
        assert called(room) == {}
        assert room("batch list").stdout == ""

    def test_a_rate_above_the_platforms_is_refused_off_this_machine(self, room: Room) -> None:
        write_list(room, PERSON)
        key = room.config / "keys" / "test.pem"
        env = {
            "VOICECTL_APPLICATION_ID": "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8",
            "VOICECTL_PRIVATE_KEY": str(key),
            "VOICECTL_FROM": "447700900000",
        }

        ran = run(room, "--talk Hello --rate 4", env=env)

        assert ran.exit_code == 9
        assert "above the limit of 3 calls per second" in ran.stderr

    @pytest.mark.parametrize(("rate", "status"), [(10, 0), (11, 9)])
    def test_the_profile_may_allow_a_higher_rate(self, room: Room, rate: int, status: int) -> None:
        write_list(room, PERSON)
        application = "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8"
        add_profile(room, application, "https://api.nexmo.com", "--max-calls-per-second 10")

        assert run(room, f"--talk Hello --rate {rate} --dry-run -p strict").exit_code == status


class TestPace:
    def test_calls_are_a_third_of_a_second_apart(self, room: Room) -> None:
        write_list(room, INVALID, *PEOPLE[:6])

        run(room)

        with closing(open_batch(room, "a")) as store:
            asked = sorted(attempt.asked_at for person in store.people() for attempt in person.attempts)
        assert min(b - a for a, b in pairwise(asked)) > 0.332

    def test_the_first_person_is_called_alone(self, room: Room) -> None:
        write_list(room, *PEOPLE[:3])

        run(room)

        with closing(open_batch(room, "a")) as store:
            first, *others = [person.attempts[0] for person in store.people()]
        assert first.ended_at is not None
        assert all(each.asked_at >= first.ended_at for each in others)

    def test_no_more_calls_are_under_way_than_allowed(self, room: Room) -> None:
        write_list(room, *PEOPLE[:4])

        run(room, "--talk Hello --concurrent 1")

        with closing(open_batch(room, "a")) as store:
            made = [person.attempts[0] for person in store.people()]
        assert all(a.ended_at and a.ended_at <= b.asked_at for a, b in pairwise(made))

    def test_outside_the_window_nobody_is_called(self, room: Room) -> None:
        write_list(room, PERSON)
        began = room.clock.time()  # 02:40 UTC

        assert run(room, "--talk Hello --window 02:45-03:00 --timezone UTC").exit_code == 0

        with closing(open_batch(room, "a")) as store:
            (person,) = store.people()
        assert person.attempts[0].asked_at >= began - began % 300 + 300

    def test_each_person_is_called_in_the_window_of_their_own_time_zone(self, room: Room) -> None:
        header, began = "to,tz", room.clock.time()  # 02:40 UTC, 01:40 in the Azores
        write_list(room, f"{PEOPLE[1]},Atlantic/Azores", f"{PEOPLE[2]},UTC", header=header)

        assert run(room, "--talk Hi --window 01:43-02:50 --timezone-column tz").exit_code == 0

        with closing(open_batch(room, "a")) as store:
            waited = [person.attempts[0].asked_at - began for person in store.people()]
        assert waited[0] >= 180
        assert waited[1] < 60

    def test_the_profiles_limit_of_calls_per_hour_is_waited_for(self, room: Room) -> None:
        add_strict(room, "--max-calls-per-hour 1")
        write_list(room, INVALID)
        state(room).mkdir(parents=True, exist_ok=True)
        with closing(Journal(state(room), room.clock)) as journal:
            journal.note_dials([PERSON])
        dialled_at = room.clock.time()
        room.clock.sleep(3500)

        ran = run(room, "--talk Hello -p strict")

        assert ran.rows == [["rejected", "1"]]
        assert ran.stderr.count("The batch will continue when the limit allows it.") == 1
        with closing(open_batch(room, "a")) as store:
            (person,) = store.people()
        assert person.attempts[0].asked_at >= dialled_at + 3600

    def test_a_window_needs_a_time_zone(self, room: Room) -> None:
        write_list(room, PERSON)

        assert run(room, "--talk Hello --window 02:45-03:00").exit_code == 2


class TestAttempts:
    def test_a_person_is_called_again_after_the_gap_and_within_one_budget(self, room: Room) -> None:
        write_list(room, PERSON, BUSY)

        ran = run(room, "--talk Hello --attempts 3 --gap 30s")

        assert ran.rows == [["answered", "1"], ["busy", "1"]]
        assert called(room) == {PERSON: 1, BUSY: 3}
        with closing(open_batch(room, "a")) as store:
            _, person = store.people()
        assert all(a.ended_at and b.asked_at - a.ended_at >= 30 for a, b in pairwise(person.attempts))

    def test_only_the_chosen_outcomes_are_repeated(self, room: Room) -> None:
        write_list(room, BUSY, DECLINES)

        run(room, "--talk Hello --attempts 2 --retry-on rejected --gap 1s")

        assert called(room) == {BUSY: 1, DECLINES: 2}

    def test_the_second_number_is_tried_next(self, room: Room) -> None:
        write_list(room, f"{BUSY},{PERSON}", header="to,mobile")

        ran = run(room, "--talk Hello --second-column mobile --gap 1s")

        assert ran.rows == [["answered", "1"]]
        assert called(room) == {BUSY: 1, PERSON: 1}

    def test_an_answered_outcome_cannot_be_repeated(self, room: Room) -> None:
        write_list(room, PERSON)

        assert run(room, "--talk Hello --attempts 2 --retry-on answered").exit_code == 2


class TestMachines:
    @pytest.mark.parametrize("number", [VOICEMAIL, NO_BEEP])
    @pytest.mark.parametrize("options", ["", "--on-machine leave-message"])
    def test_a_machine_is_never_counted_as_a_person(self, room: Room, number: str, options: str) -> None:
        write_list(room, number)

        run(room, f"--talk Hello {options}")

        assert outcomes(room, "a") == {number: "machine"}
        assert room("batch status a -o json").json["reached"] == 0

    def test_a_machine_is_hung_up_on(self, room: Room) -> None:
        write_list(room, VOICEMAIL)

        run(room, f"--talk '{'Hello ' * 100}'")

        assert [each["body"] for each in room.requests("updateCall")] != []

    def test_an_answer_without_a_verdict_does_not_count_as_a_person(self, room: Room) -> None:
        write_list(room, "447700900501")  # hangs up 1 s after the answer

        run(room)

        assert outcomes(room, "a") == {"447700900501": "unverified"}

    @pytest.mark.parametrize(("verdict", "outcome"), [("human", "answered"), ("machine", "machine")])
    def test_the_verdict_of_an_event_counts(self, start_room: StartRoom, verdict: str, outcome: str) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        keep(room, status("ringing"))
        write_list(room, "447700900501")

        def report() -> None:
            with closing(open_batch(room, "a")) as store:
                (attempt,) = store.open_attempts()
            keep(room, status(verdict, leg=attempt.uuid or ""))

        clock.after(3, report)
        run(room)

        assert outcomes(room, "a") == {"447700900501": outcome}

    def test_a_verdict_outlives_the_process_that_saw_it(self, start_room: StartRoom) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        write_list(room, VOICEMAIL)

        def interrupt() -> None:
            signal.raise_signal(signal.SIGINT)

        clock.when(lambda: statuses(room) == {"machine"}, lambda: clock.after(3, interrupt))
        assert run(room, "--talk Hello --on-machine leave-message").exit_code == 130
        assert outcomes(room, "a") == {VOICEMAIL: None}
        clock.sleep(300)  # the record of the call no longer shows the verdict
        room("batch resume a")

        assert outcomes(room, "a") == {VOICEMAIL: "machine"}

    def test_without_detection_an_answer_counts(self, room: Room) -> None:
        write_list(room, "447700900501")

        run(room, "--talk Hello --no-machine-detection")

        assert outcomes(room, "a") == {"447700900501": "answered"}


class TestKeys:
    """People press keys, which ``webhook serve`` receives. 447700900110 presses 1, 447700900190 presses 9."""

    def test_a_key_confirms_and_another_one_is_remembered_beyond_the_batch(
        self, start_room: StartRoom
    ) -> None:
        room = start_room(clock=SystemClock(), speed=20)
        write_list(room, "447700900110", "447700900190")
        keys = "--talk 'Press one or nine' --confirm-key 1 --opt-out-key 9"

        port = free_block(1)
        with serving(room, f"--port {port} --set-urls http://127.0.0.1:{port}"):
            ran = run(room, keys)

        assert ran.exit_code == 0, ran.stderr
        assert outcomes(room, "a") == {
            "447700900110": "confirmed",
            "447700900190": "opted-out",
        }
        assert room("batch status a -o json").json["reached"] == 1
        write_list(room, "447700900190", BUSY)
        assert run(room, name="b").rows == [["busy", "1"], ["opted-out", "1"]]
        assert called(room)["447700900190"] == 1

    @pytest.mark.parametrize(
        "options",
        [
            "--talk Hi --confirm-key 1",
            "--answer-url https://example.org --confirm-key 1 --public-url https://example.org",
            "--talk Hi --confirm-key 12 --public-url https://example.org",
            "--talk Hi --confirm-key 1 --opt-out-key 1 --public-url https://example.org",
            "--talk Hi --confirm-key 1 --public-url https://example.org",
        ],
        ids=["no url", "no talk", "two keys", "one key twice", "no receiver"],
    )
    def test_what_cannot_work_is_refused(self, room: Room, options: str) -> None:
        write_list(room, PERSON)

        assert run(room, options).exit_code == 2
        assert called(room) == {}

    @pytest.mark.parametrize(("is_own", "outcome"), [(True, "confirmed"), (False, "answered")])
    def test_only_a_key_for_the_attempts_own_token_counts(
        self, start_room: StartRoom, is_own: bool, outcome: str
    ) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        keep(room, status("ringing"))
        write_list(room, PERSON)

        def press() -> None:
            with closing(open_batch(room, "a")) as store:
                (attempt,) = store.open_attempts()
            pressed = {"uuid": attempt.uuid, "dtmf": {"digits": "1"}, "timestamp": "2026-02-02T02:40:05.000Z"}
            token = attempt.token if is_own else attempt.token[::-1]
            keep(room, pressed, path=f"/webhooks/batch/{token}".encode())

        clock.after(6, press)
        run(room, "--talk Hi --confirm-key 1 --public-url http://127.0.0.1:9")

        assert outcomes(room, "a") == {PERSON: outcome}

    def test_a_key_counts_even_if_its_event_is_stored_after_the_call(self, start_room: StartRoom) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        keep(room, status("ringing"))
        write_list(room, PERSON)
        attempts: list[Attempt] = []

        def note() -> None:
            with closing(open_batch(room, "a")) as store:
                attempts.extend(store.open_attempts())

        def press() -> None:
            pressed = {"uuid": attempts[0].uuid, "dtmf": {"digits": "9"}}
            keep(room, pressed, path=f"/webhooks/batch/{attempts[0].token}".encode())

        clock.after(6, note)
        clock.when(lambda: statuses(room) == {"completed"}, lambda: clock.after(4, press))
        run(room, "--talk Hi --opt-out-key 9 --public-url http://127.0.0.1:9")

        assert outcomes(room, "a") == {PERSON: "opted-out"}

    def test_keys_are_read_again_once_the_event_store_can_be_used(self, start_room: StartRoom) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        keep(room, status("ringing"))
        write_list(room, PERSON)
        events, away = state(room) / "events.db", state(room) / "away"
        events.rename(away)
        events.write_text("not a database" * 99)

        def press() -> None:
            away.rename(events)
            with closing(open_batch(room, "a")) as store:
                (attempt,) = store.open_attempts()
            pressed = {"uuid": attempt.uuid, "dtmf": {"digits": "9"}}
            keep(room, pressed, path=f"/webhooks/batch/{attempt.token}".encode())

        clock.after(6, press)
        ran = run(room, "--talk Hi --opt-out-key 9 --public-url http://127.0.0.1:9")

        assert "cannot be followed for now" in ran.stderr
        assert outcomes(room, "a") == {PERSON: "opted-out"}


class TestPauses:
    def test_a_first_call_that_the_api_refuses_pauses_the_batch(self, room: Room) -> None:
        write_list(room, *PEOPLE)
        add_fault(room, "status", code=400)

        ran = run(room)

        assert ran.exit_code == 9
        assert "the first call failed: 400" in ran.stderr
        assert len(room.requests("createCall")) == 1
        assert room("batch status a -o json").json["state"] == "paused"

    def test_five_failures_with_one_cause_pause_it_and_resume_goes_on(self, room: Room) -> None:
        unroutable = [f"44770091{number}203" for number in range(7)]
        write_list(room, PERSON, *(UNROUTABLE, *unroutable))
        add_fault(room, "status", code=422, after=5)

        ran = run(room)

        assert ran.exit_code == 9
        assert "5 calls in a row failed" in ran.stderr
        room.sandbox.faults.clear()  # type: ignore[union-attr]
        resumed = room("batch resume a")
        assert resumed.exit_code == 0, resumed.stderr
        assert room("batch status a -o json").json["waiting"] == 0
        assert max(called(room).values()) == 1

    def test_busy_and_unanswered_calls_never_pause_it(self, room: Room) -> None:
        write_list(room, *(f"4477009{number}0200" for number in range(8)))

        assert run(room).exit_code == 0

    def test_a_429_storm_pauses_it_and_nobody_is_lost(self, room: Room) -> None:
        write_list(room, *PEOPLE[:4])
        add_fault(room, "rate-limit")

        ran = run(room)

        assert ran.exit_code == 9
        assert len(room.requests("createCall")) == 5
        room.sandbox.faults.clear()  # type: ignore[union-attr]
        assert room("batch resume a").exit_code == 0
        assert called(room) == dict.fromkeys(PEOPLE[:4], 1)

    def test_a_refused_key_stops_everything_with_one_message(self, room: Room) -> None:
        write_list(room, *PEOPLE[:4])
        add_fault(room, "key-revoked")

        ran = run(room)

        assert ran.exit_code == 3
        assert len(room.requests("createCall")) == 1
        assert room("batch status a -o json").json["waiting"] == 4

    def test_the_greatest_cost_is_kept_to(self, room: Room) -> None:
        write_list(room, *PEOPLE[:4])

        ran = run(room, "--talk Hello --length-timer 60 --price-per-minute 1 --max-cost 1.005")

        assert ran.exit_code == 9
        assert "--max-cost 1.005" in ran.stderr
        assert 1 <= sum(called(room).values()) < 4


class TestDoubts:
    def test_a_call_whose_reply_was_lost_is_found_and_not_repeated(self, room: Room) -> None:
        write_list(room, *PEOPLE[:4])
        add_fault(room, "lost-reply", times=2)

        ran = run(room)

        assert ran.exit_code == 0, ran.stderr
        assert ran.rows == [["answered", "4"]]
        assert called(room) == dict.fromkeys(PEOPLE[:4], 1)

    def test_a_call_that_is_not_found_stays_in_doubt_and_is_never_repeated(self, room: Room) -> None:
        write_list(room, *PEOPLE[:2])
        add_fault(room, "lost-request", times=1)

        ran = run(room)

        assert ran.exit_code == 10
        assert ran.rows == [["answered", "1"], ["in-doubt", "1"]]
        assert run(room).exit_code == 10
        assert len(room.requests("createCall")) == 2
        assert room("call reconcile").rows[0][2] == PEOPLE[0]

    def test_more_than_one_call_in_twenty_in_doubt_pauses_the_batch(self, room: Room) -> None:
        write_list(room, *(f"4479000000{number}" for number in range(10, 90)))
        add_fault(room, "lost-request", after=5, times=8)

        ran = run(room, "--talk Hello --max 80 --concurrent 4")

        assert ran.exit_code == 9
        assert "calls are in doubt" in ran.stderr
        assert 20 <= len(room.requests("createCall")) < 80

    def test_what_the_user_settles_is_taken_up(self, room: Room) -> None:
        write_list(room, PERSON)
        add_fault(room, "lost-request", times=1)
        run(room)
        reference = room("call reconcile -q").stdout.strip()

        assert room(f"call reconcile {reference} --assume not-created --reason checked").exit_code == 0
        assert room("batch resume a").rows == [["answered", "1"]]
        assert called(room) == {PERSON: 1}


class TestLists:
    def test_a_changed_list_is_refused_with_the_difference(self, room: Room) -> None:
        write_list(room, *PEOPLE[:3])
        run(room)
        write_list(room, *PEOPLE[1:5])

        ran = run(room)

        assert ran.exit_code == 2
        assert "2 added, 1 removed, 0 changed" in ran.stderr
        assert f"added: {PEOPLE[3]}" in ran.stderr
        accepted = run(room, "--talk Hello --accept-new-list")
        assert accepted.exit_code == 0, accepted.stderr
        assert called(room) == dict.fromkeys(PEOPLE[:5], 1)

    def test_a_list_in_another_order_is_the_same_list(self, room: Room) -> None:
        write_list(room, *PEOPLE[:3])
        run(room)
        write_list(room, *reversed(PEOPLE[:3]))

        assert run(room).exit_code == 0
        assert called(room) == dict.fromkeys(PEOPLE[:3], 1)

    def test_other_settings_are_refused_except_for_the_pace(self, room: Room) -> None:
        write_list(room, BUSY)
        run(room)

        ran = run(room, "--talk Goodbye")
        assert ran.exit_code == 2
        assert "other settings: --talk or --ncco." in ran.stderr
        assert run(room, "--talk Hello --rate 2").exit_code == 0


class TestOtherTerminals:
    def test_a_batch_that_another_process_runs_is_refused(self, room: Room) -> None:
        make(room, "a", PERSON)
        with closing(open_batch(room, "a")) as store:
            store.take_lease(this_process(room.clock.time()))

            ran = room("batch resume a")
            assert ran.exit_code == 9
            assert "is being run by process" in ran.stderr
            assert room("batch status a -o json").json["state"] == "running"

        assert called(room) == {}

    def test_a_batch_of_another_host_is_refused(self, room: Room) -> None:
        make(room, "a", PERSON)

        ran = room("batch resume a", env={"VOICECTL_BASE_URL": "http://127.0.0.1:9"})

        assert ran.exit_code == 9
        assert "belongs to application" in ran.stderr

    def test_status_and_list_show_how_far_a_batch_is(self, room: Room) -> None:
        write_list(room, PERSON, BUSY)
        run(room)
        make(room, "b", PERSON)

        assert [row[:8] for row in room("batch list").rows] == [
            ["a", "done", "2", "2", "1", "0", "0", "0"],
            ["b", "interrupted", "1", "0", "0", "0", "1", "0"],
        ]
        assert room("batch status a -o json").json["outcomes"] == {"answered": 1, "busy": 1}
        assert room("batch status nowhere").exit_code == 4

    def test_a_report_names_everybody_and_spreadsheets_run_nothing(self, room: Room) -> None:
        write_list(room, f"=HYPERLINK(1),{PERSON}", f"Bob,{DECLINES}", header="name,to")
        run(room)

        table = room("batch report a -o csv --fields to,outcome,detail,row.name").stdout
        assert f"{PERSON},answered,-,'=HYPERLINK(1)" in table
        found = room("batch report a -o json").json
        assert [(each["to"], each["outcome"], each["reached"]) for each in found] == [
            (PERSON, "answered", True),
            (DECLINES, "rejected", False),
        ]
        assert found[0]["calls"][0]["uuid"] == found[0]["uuid"]

    def test_a_report_lists_the_lines_that_were_left_out(self, room: Room) -> None:
        write_list(room, PERSON, BUSY, f"+{PERSON}", PERSON)
        run(room)

        found = room("batch report a -o json --fields to,duplicates").json
        assert found == [{"to": PERSON, "duplicates": [4, 5]}, {"to": BUSY, "duplicates": []}]

    def test_a_report_can_be_drawn(self, room: Room) -> None:
        write_list(room, PERSON, BUSY)
        run(room)

        assert room(f"batch report a --svg {room.home}/a.svg").exit_code == 0
        drawing = room.home.joinpath("a.svg").read_text()
        assert "answered 1" in drawing
        assert "<script" not in drawing

    def test_every_change_is_a_json_line(self, room: Room) -> None:
        write_list(room, BUSY)

        lines = [json.loads(line) for line in run(room, "--talk Hello -o jsonl").stdout.splitlines()]

        assert [(line["to"], line["state"], line["outcome"]) for line in lines] == [
            (BUSY, "intent", None),
            (BUSY, "live", None),
            (BUSY, "over", "busy"),
        ]

    def test_stop_can_end_the_calls_under_way(self, start_room: StartRoom) -> None:
        clock = EventfulClock()
        room = start_room(clock=clock)
        write_list(room, *PEOPLE[:2])

        def stop() -> None:
            with closing(open_batch(room, "a")) as store:
                store.set_stop(Stop.HANG_UP)

        clock.after(5, stop)
        ran = run(room, f"--talk '{'Hello ' * 200}'")

        assert ran.exit_code == 10
        assert len(room.requests("updateCall")) == 1
        assert called(room) == {PEOPLE[0]: 1}
        assert clock.passed < 30

    def test_stop_ends_the_calls_itself_if_no_process_runs_the_batch(self, room: Room) -> None:
        make(room, "a", PERSON)
        uuid = room.call(PERSON)
        with closing(open_batch(room, "a")) as store:
            store.take_lease(this_process(room.clock.time()))
            (person,) = store.due(room.clock.time(), 1)
            live = Attempt(
                person=person.id,
                number=1,
                reference="vc-1",
                token="t",
                to=PERSON,
                asked_at=room.clock.time(),
                state=AttemptState.LIVE,
                uuid=uuid,
            )
            store.begin(person, live)
            store.release_lease()

        assert room("batch stop a --hang-up").exit_code == 0
        assert room(f"call show {uuid} --fields status").stdout.strip() == "completed"

    def test_a_stopped_batch_calls_nobody_and_can_be_resumed(self, room: Room) -> None:
        make(room, "a", BUSY)

        assert room("batch stop a").exit_code == 0
        assert room("batch status a -o json").json["state"] == "stopped"
        assert room("batch resume a").exit_code == 0
        assert outcomes(room, "a") == {BUSY: "busy"}


def test_every_call_is_in_the_journal_with_the_key_of_its_attempt(room: Room) -> None:
    write_list(room, BUSY)
    run(room, "--talk Hello --attempts 2 --gap 1s")

    with closing(Journal(state(room), room.clock)) as journal:
        keys = [f"batch a person 1 attempt {number}" for number in (1, 2)]
        assert [intent.uuid is not None for key in keys if (intent := journal.by_key(key))] == [True, True]


def test_without_a_journal_nobody_is_called(room: Room) -> None:
    write_list(room, PERSON)
    state(room).mkdir(parents=True)
    state(room).joinpath("journal.db").write_bytes(b"not a database, but long enough to look like one" * 100)

    assert run(room).exit_code == 1
    assert called(room) == {}


def test_the_progress_is_drawn_on_a_terminal(start_room: StartRoom) -> None:
    room = start_room()
    write_list(room, BUSY)

    ran = room(
        f"batch run {room.home}/people.csv --id a --talk Hello",
        terminal=True,
        stdin="y\n",
        env={"TERM": "xterm"},
    )

    assert ran.exit_code == 0
    assert "busy" in ran.stdout
