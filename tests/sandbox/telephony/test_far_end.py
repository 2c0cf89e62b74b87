"""The behaviour of each far end, as statuses at seconds after ``started``."""

import re

import pytest

from tests.sandbox.parts import APPLICATION, Line, phone, say
from voicectl.cli.tree import GROUP_HELP
from voicectl.sandbox.telephony.actions import Order, Webhook
from voicectl.sandbox.telephony.detection import Behavior, Detection, Mode
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.far_end import PHRASES, FarEnd, called, calling

PERSON_LIKE = FarEnd(answers_after=2)
REFUSALS = {"200", "201", "203", "204", "205"}
ANSWERED_AND_STAYS = [(0, "started"), (0.5, "ringing"), (2.5, "answered")]


@pytest.mark.parametrize(
    ("digits", "statuses", "detail", "sip_code"),
    [
        ("000", ANSWERED_AND_STAYS, None, None),
        ("099", ANSWERED_AND_STAYS, None, None),
        ("100", ANSWERED_AND_STAYS, None, None),
        ("199", ANSWERED_AND_STAYS, None, None),
        ("200", [(0, "started"), (1, "busy")], None, 486),
        ("201", [(0, "started"), (0.5, "ringing"), (2.5, "rejected")], "declined", 603),
        ("202", [(0, "started"), (0.5, "ringing"), (60.5, "timeout")], None, None),
        ("203", [(0, "started"), (1, "failed")], "cannot_route", 404),
        ("204", [(0, "started"), (5, "unanswered")], "unavailable", 480),
        ("205", [(0, "started"), (0, "rejected")], "invalid_number", None),
        ("206", ANSWERED_AND_STAYS, None, None),
        ("300", [(0, "started"), (0.5, "ringing"), (3.5, "answered"), (69.5, "completed")], None, 200),
        ("301", [(0, "started"), (0.5, "ringing"), (3.5, "answered"), (153.5, "completed")], None, 200),
        ("302", ANSWERED_AND_STAYS, None, None),
        ("400", [(0, "started"), (0.5, "ringing"), (0.5, "answered")], None, None),
        ("459", [(0, "started"), (0.5, "ringing"), (59.5, "answered")], None, None),
        ("500", [*ANSWERED_AND_STAYS, (2.5, "completed")], None, 200),
        ("507", [*ANSWERED_AND_STAYS, (9.5, "completed")], None, 200),
        ("600", [(0, "started"), (0.5, "ringing"), (60.5, "timeout")], None, None),
        ("601", ANSWERED_AND_STAYS, None, None),
        ("700", ANSWERED_AND_STAYS, None, None),
        ("999", ANSWERED_AND_STAYS, None, None),
    ],
)
def test_the_last_three_digits_decide_the_behaviour_of_a_callee(
    line: Line, digits, statuses, detail, sip_code
):
    leg = line.call(f"447700900{digits}")

    line.wait(200)

    assert line.reports(leg) == statuses
    assert (line.last_report(leg).get("detail"), line.last_report(leg).get("sip_code")) == (detail, sip_code)


@pytest.mark.parametrize(
    "number", ["447700901200", "447700800200", "14155550200", "4477009002000", "44770090020"]
)
def test_numbers_outside_the_fictional_range_are_persons(line: Line, number):
    leg = line.call(number)

    line.wait(10)

    assert line.reports(leg) == ANSWERED_AND_STAYS


DOCUMENTED = {*REFUSALS, "202", "300", "301", "600"}


@pytest.mark.parametrize(
    ("numbers", "meant"),
    [
        (range(100), lambda _: PERSON_LIKE),
        (range(100, 200), lambda digits: FarEnd(keys=digits[1:])),
        (range(200, 400), lambda _: PERSON_LIKE),
        (range(400, 500), lambda digits: FarEnd(answers_after=int(digits[1:]))),
        (range(500, 600), lambda digits: FarEnd(hangs_up_after=int(digits[1:]))),
        (range(600, 700), lambda _: PERSON_LIKE),
        (range(700, 800), lambda digits: FarEnd(phrase=PHRASES[int(digits[2])])),
        (range(800, 1000), lambda _: PERSON_LIKE),
    ],
)
def test_numbers_without_an_entry_behave_like_their_hundred(numbers, meant):
    for digits in (f"{number:03}" for number in numbers):
        number = f"447700900{digits}"
        called_there = called({"type": "phone", "number": number})

        assert digits in DOCUMENTED or called_there == meant(digits)
        assert calling(number) == (called_there if digits[0] in "157" else PERSON_LIKE)


@pytest.mark.parametrize("number", ["447700901112", "14155550700", "alice", "", "112"])
def test_a_caller_outside_the_fictional_range_is_a_person(number):
    assert calling(number) == PERSON_LIKE


@pytest.mark.parametrize(
    ("endpoint", "meant"),
    [
        ({"type": "sip", "uri": "sip:112@example.org"}, FarEnd(keys="12")),
        ({"type": "sip", "user": "desk705", "domain": "trunk"}, FarEnd(phrase="sales")),
        ({"type": "vbc", "extension": "701"}, FarEnd(phrase="no")),
        ({"type": "app", "user": "user112"}, FarEnd(answers_after=1)),
        ({"type": "websocket", "uri": "ws://127.0.0.1/112"}, FarEnd(answers_after=None)),
    ],
)
def test_other_endpoints_press_and_say_what_their_name_means(endpoint, meant):
    assert called(endpoint) == meant


def test_the_help_describes_each_phrase():
    text = GROUP_HELP["sandbox"]

    assert len(PHRASES) == 10
    for i, phrase in enumerate(PHRASES):
        assert re.search(rf"\b{i:02}  {phrase}( {{2,}}|$)", text, re.MULTILINE), phrase
    assert "'voicectl help sandbox-choices'" in text


@pytest.mark.parametrize(
    ("to", "last"),
    [
        ({"type": "sip", "uri": "sip:alice@example.org:5060"}, (2.5, "answered")),
        ({"type": "sip", "uri": "sip:200@example.org"}, (1, "busy")),
        ({"type": "sip", "uri": "sips:desk-2-0-0@example.org"}, (1, "busy")),
        ({"type": "sip", "user": "447700900203", "domain": "trunk"}, (1, "failed")),
        ({"type": "vbc", "extension": "204"}, (5, "unanswered")),
        ({"type": "vbc", "extension": "12"}, (2.5, "answered")),
        ({"type": "app", "user": "alice"}, (1.5, "answered")),
        ({"type": "app", "user": "user200"}, (1.5, "answered")),
    ],
)
def test_the_digits_of_the_user_part_decide_for_other_endpoints(line: Line, to, last):
    leg = line.call(to=to)

    line.wait(10)

    assert line.reports(leg)[-1] == last


def test_a_ringing_timer_due_with_the_answer_wins(line: Line):
    late, just_in_time = (
        line.call("447700900445", ringing_timer=45),
        line.call("447700900444", ringing_timer=45),
    )

    line.wait(60)

    assert line.reports(late)[-1] == (45.5, "timeout")
    assert line.reports(just_in_time)[-1] == (44.5, "answered")


def test_460_and_up_need_a_longer_timer(line: Line):
    usual, longer = line.call("447700900460"), line.call("447700900460", ringing_timer=61)

    line.wait(61)

    assert line.reports(usual)[-1] == (60.5, "timeout")
    assert line.reports(longer)[-1] == (60.5, "answered")


def test_the_length_timer_counts_from_the_answer(line: Line):
    leg = line.call(length_timer=30)

    line.wait(100)

    assert line.reports(leg)[-1] == (32.5, "completed")
    assert line.last_report(leg).get("disconnected_by") == "platform"


def test_the_party_that_hangs_up_is_named(line: Line):
    leg = line.call("447700900503")

    line.wait(10)

    assert line.last_report(leg).get("disconnected_by") == "user"


@pytest.mark.parametrize(
    ("caller", "statuses"),
    [
        ("447700900000", [(0, "started"), (0, "ringing"), (1, "answered")]),
        ("447700900200", [(0, "started"), (0, "ringing"), (1, "answered")]),
        ("447700900300", [(0, "started"), (0, "ringing"), (1, "answered")]),
        ("447700900404", [(0, "started"), (0, "ringing"), (1, "answered")]),
        ("447700900504", [(0, "started"), (0, "ringing"), (1, "answered"), (5, "completed")]),
        ("447700900600", [(0, "started"), (0, "ringing"), (1, "answered")]),
    ],
)
def test_a_caller_acts_once_answered(line: Line, caller, statuses):
    to, from_ = {"type": "phone", "number": "442079460000"}, {"type": "phone", "number": caller}
    leg = line.exchange.ring(Order(to=to, from_=from_, flow=(say(loop=0),)), application_id=APPLICATION)

    line.wait(200)

    assert line.reports(leg) == statuses
    assert len(leg.uuid) == 32


def test_dtmf_answer_is_heard_by_the_answering_party(line: Line):
    leg = line.answered(dtmf_answer="p1#")

    assert line.heard(leg) == [("keys", "p1#", 0.0)]
    line.wait(5)
    assert line.heard(leg) == [("keys", "p1#", 1.02)]


class TestMachineDetection:
    """Events at their seconds from the answer, and when the flow starts."""

    CONTINUE, HANGUP = Behavior.CONTINUE, Behavior.HANGUP

    @pytest.mark.parametrize(
        ("digits", "detection", "events", "flow_starts"),
        [
            ("001", Detection(behavior=CONTINUE), [(2, "human", None)], 0),
            ("300", Detection(behavior=CONTINUE), [(3, "machine", None)], 0),
            ("300", Detection(behavior=HANGUP), [(3, "machine", None), (3, "completed", None)], 0),
            ("001", Detection(behavior=HANGUP), [(2, "human", None)], 0),
            ("001", Detection(behavior=CONTINUE, mode=Mode.DETECT), [(2, "human", None)], 2),
            ("300", Detection(behavior=CONTINUE, mode=Mode.DETECT), [(3, "machine", None)], 3),
            ("301", Detection(behavior=CONTINUE, mode=Mode.DETECT), [(3, "machine", None)], 3),
            ("001", Detection(behavior=CONTINUE, mode=Mode.DETECT_BEEP), [(2, "human", None)], 2),
            ("300", Detection(behavior=CONTINUE, mode=Mode.DETECT_BEEP), [(6, "machine", "beep_start")], 6),
            (
                "301",
                Detection(behavior=CONTINUE, mode=Mode.DETECT_BEEP),
                [(48, "machine", "beep_timeout")],
                48,
            ),
            (
                "301",
                Detection(behavior=CONTINUE, mode=Mode.DETECT_BEEP, beep_timeout=30),
                [(33, "machine", "beep_timeout")],
                33,
            ),
            (
                "300",
                Detection(behavior=CONTINUE, mode=Mode.DEFAULT),
                [(3, "machine", None), (6, "machine", "beep_start")],
                0,
            ),
            (
                "301",
                Detection(behavior=CONTINUE, mode=Mode.DEFAULT),
                [(3, "machine", None), (48, "machine", "beep_timeout")],
                0,
            ),
            (
                "300",
                Detection(behavior=HANGUP, mode=Mode.DETECT_BEEP),
                [(6, "machine", "beep_start"), (6, "completed", None)],
                None,
            ),
            (
                "300",
                Detection(behavior=HANGUP, mode=Mode.DEFAULT),
                [(3, "machine", None), (3, "completed", None)],
                0,
            ),
        ],
    )
    def test_events_depend_on_the_mode(self, line: Line, digits, detection, events, flow_starts):
        leg = line.call(f"447700900{digits}", (say(loop=0),), detection=detection)
        line.pass_by(60)

        answered = leg.answered_at
        reported = [event for event in line.events_about(leg, Kind.STATUS) if event.at > answered]
        assert [
            ((event.at - answered) / 1000, event.fields["status"], event.fields.get("sub_state"))
            for event in reported
        ] == events
        started = [(heard.at - answered) / 1000 for heard in leg.audio.heard]
        assert started == ([] if flow_starts is None else [flow_starts])

    def test_the_record_shows_machine_or_answered(self, line: Line):
        human = line.call("447700900001", detection=Detection(behavior=Behavior.CONTINUE))
        machine = line.call("447700900300", detection=Detection(behavior=Behavior.CONTINUE))

        line.wait(10)

        assert (human.status, machine.status) == ("answered", "machine")

    def test_a_reply_to_the_verdict_replaces_the_running_flow(self, line: Line):
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DEFAULT)
        leg = line.answered(flow=(say("x" * 140), say("never")), detection=detect)
        line.wait(2)
        verdict = line.events_about(leg, Kind.STATUS)[-1]
        assert (verdict.fields["status"], verdict.may_bring_ncco) == ("human", True)

        line.exchange.replied(verdict, (say("instead", loop=0),))
        line.wait(20)

        assert [(what, seconds) for _, what, seconds in line.heard(leg)] == [
            ("x" * 28, 2.0),
            ("instead", 20.0),
        ]

    def test_an_ncco_requested_before_the_verdict_is_too_late_after_it(self, line: Line):
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DEFAULT)
        leg = line.answered(flow=Webhook(url="http://127.0.0.1:1/"), detection=detect)
        line.wait(2)
        (fetch,) = line.fetches()
        line.exchange.replied(line.events_about(leg, Kind.STATUS)[-1], (say("instead", loop=0),))

        line.exchange.resume(fetch, (say("too late"),))

        assert [what for _, what, _ in line.heard(leg)] == ["instead"]

    def test_a_prompt_for_the_callee_is_reported_once(self, line: Line):
        whisper = Webhook(url="http://127.0.0.1:1/whisper")
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DEFAULT)
        line.answered(flow=(phone(detection=detect, on_answer=whisper),))
        line.pass_by(3)
        line.exchange.resume(line.fetches()[0], ())

        line.pass_by(10)

        assert len(line.fetches()) == 1

    def test_only_phones_are_checked(self, line: Line):
        leg = line.call(to={"type": "vbc", "extension": "300"}, detection=Detection(behavior=Behavior.HANGUP))

        line.wait(20)

        assert leg.status == "answered"

    def test_a_call_that_ends_earlier_gets_no_verdict_and_no_flow(self, line: Line):
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DETECT)
        leg = line.call("447700900501", (say(),), detection=detect)

        line.wait(20)

        assert [status for _, status in line.reports(leg)] == ["started", "ringing", "answered", "completed"]
        assert leg.audio.heard == []

    def test_a_transfer_during_detection_runs_instead_of_the_flow(self, line: Line):
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DETECT)
        leg = line.answered(flow=(say("old"),), detection=detect)

        line.exchange.transfer(leg, (say("new", loop=0),))
        line.wait(10)

        assert [what for _, what, _ in line.heard(leg)] == ["new"]

    def test_a_transfer_by_url_during_detection_runs_instead_of_the_flow(self, line: Line):
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DETECT)
        leg = line.answered(flow=(say("old"),), detection=detect)

        line.exchange.transfer(leg, Webhook(url="http://127.0.0.1/"))
        line.wait(10)
        assert leg.audio.heard == []
        line.exchange.resume(line.fetches()[0], (say("new"),))

        assert [what for _, what, _ in line.heard(leg)] == ["new"]
