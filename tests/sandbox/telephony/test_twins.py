"""Calls to the account's own numbers: an outbound leg and its inbound twin, which are each other's outside party."""

from __future__ import annotations

import pytest

from tests.sandbox.parts import APPLICATION, BUSY, BY_HAND, PERSON, Line, line, phone, room, say, saying
from voicectl.sandbox.telephony.actions import Actions, DtmfTerms, Input, Order, Record, SpeechTerms, Webhook
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.exchange import LegNotAnswered
from voicectl.sandbox.telephony.state import Direction, Leg
from voicectl.sandbox.telephony.twins import LOBBY, MAX_HOPS, Route

NUMBER = "442079460000"
OTHER = "5a4db0c5-0000-4000-8000-000000000001"
STAY: Actions = (say("Hold", loop=0),)


def account(flow: Actions | None = LOBBY, application_id: str = OTHER, region: str = "eu-west") -> Line:
    """An exchange in which NUMBER leads to an application with the flow *flow*; None asks its answer_url."""
    route = Route(application_id=application_id, region=region, flow=flow)
    return line(find_route={NUMBER: route}.get)


def rung(line: Line, flow=STAY, **options) -> tuple[Leg, Leg]:
    """Call the number, let it ring, and return the outbound leg and its twin."""
    leg = line.call(NUMBER, flow, **options)
    line.pass_by(0.5)
    return leg, twin_of(line, leg)


def connected(line: Line, flow=STAY) -> tuple[Leg, Leg]:
    leg, twin = rung(line, flow)
    line.pass_by(1)
    assert leg.is_up
    assert twin.is_up
    return leg, twin


def twin_of(line: Line, leg: Leg) -> Leg:
    assert leg.twin is not None
    assert leg.twin.twin is leg
    return leg.twin


def spoken(line: Line, leg: Leg) -> list[str]:
    return [what for _, what, _ in line.heard(leg)]


def inputs(line: Line, leg: Leg) -> list[tuple]:
    return [
        (event.fields["dtmf"]["digits"], [each["text"] for each in event.fields["speech"].get("results", [])])
        for event in line.events_about(leg, Kind.INPUT)
    ]


class TestStatuses:
    def test_the_twin_arrives_when_the_call_rings(self):
        line = account()
        leg, twin = rung(line)

        assert (leg.direction, leg.application_id) == (Direction.OUTBOUND, APPLICATION)
        assert (twin.direction, twin.application_id, twin.region) == (Direction.INBOUND, OTHER, "eu-west")
        assert twin.to == {"type": "phone", "number": NUMBER}
        assert twin.from_ == leg.from_
        assert twin.conversation is not leg.conversation
        assert (leg.status, twin.status) == ("ringing", "ringing")

    def test_both_are_answered_when_the_flow_of_the_twin_answers(self):
        line = account((say(loop=0),))
        leg, twin = rung(line)
        line.pass_by(10)

        assert line.reports(leg) == [(0, "started"), (0.5, "ringing"), (1.5, "answered")]
        assert line.reports(twin) == [(0, "started"), (0, "ringing"), (1, "answered")]

    def test_a_connect_answers_when_its_callee_does(self):
        line = account((phone(),))
        leg, twin = rung(line)
        line.pass_by(3)
        assert (leg.status, twin.status) == ("ringing", "ringing")

        line.pass_by(0.5)

        assert (leg.status, twin.status) == ("answered", "answered")

    def test_the_answer_url_of_the_application_is_asked(self):
        line = account(None)
        leg, twin = rung(line)
        (fetch,) = line.fetches()
        assert (fetch.uuid, fetch.application_id, fetch.webhook) == (twin.uuid, OTHER, None)
        assert fetch.parameters["to"] == NUMBER

        line.exchange.give_up(fetch, "it is down")
        line.pass_by(0)

        assert (leg.status, twin.status) == ("rejected", "cancelled")
        assert line.last_report(leg)["detail"] == "declined"

    def test_a_flow_that_never_answers_declines(self):
        line = account((phone(BUSY),))
        leg, twin = rung(line)
        line.pass_by(5)

        assert (leg.status, twin.status) == ("rejected", "cancelled")

    @pytest.mark.parametrize("seconds", [0, 0.2, 0.9])
    def test_a_caller_that_gives_up_cancels_the_twin(self, seconds):
        line = account()
        leg, twin = rung(line)
        line.pass_by(seconds)

        line.exchange.hangup(leg)
        line.pass_by(0)

        assert (leg.status, twin.status) == ("cancelled", "cancelled")

    def test_the_ringing_timer_ends_both(self):
        line = account((phone(BY_HAND),))
        leg, twin = rung(line, ringing_timer=10)
        line.pass_by(10)

        assert (leg.status, twin.status) == ("timeout", "cancelled")
        assert line.exchange.live == {}

    def test_before_it_rings_there_is_no_twin_to_end(self):
        line = account()
        leg = line.call(NUMBER)
        line.exchange.hangup(leg)
        line.pass_by(10)

        assert list(line.exchange.legs.values()) == [leg]

    @pytest.mark.parametrize("is_twin", [False, True])
    @pytest.mark.parametrize("who", ["our side", "the party"])
    def test_the_end_of_one_is_the_end_of_the_other_whose_party_hung_up(self, is_twin, who):
        line = account()
        leg, twin = connected(line)
        first, second = (twin, leg) if is_twin else (leg, twin)

        end = line.exchange.hangup if who == "our side" else line.exchange.party_hangs_up
        end(first)
        line.pass_by(0)

        assert (first.status, second.status) == ("completed", "completed")
        assert line.last_report(second)["disconnected_by"] == "user"

    def test_nobody_else_answers_for_the_application(self):
        line = account()
        leg, twin = rung(line)

        with pytest.raises(LegNotAnswered, match="application"):
            line.exchange.pick_up(leg)
        assert (leg.status, twin.status) == ("ringing", "ringing")

    def test_a_number_of_nobody_is_a_person(self):
        line = account()
        leg = line.answered(PERSON)

        assert leg.twin is None
        assert len(line.exchange.legs) == 1


class TestSounds:
    def test_the_party_on_one_leg_says_what_the_party_on_the_other_hears(self):
        line = account((say("Welcome"), *STAY))
        leg, twin = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        line.exchange.talk(twin, saying("Good morning"))
        line.pass_by(1)

        (heard,) = agent.audio.heard
        assert (heard.source, heard.prompt.content) == (leg.uuid, {"text": "Good morning"})
        assert spoken(line, twin) == ["Welcome", "Hold", "Good morning"]
        assert spoken(line, leg) == []

    def test_keys_of_a_request_reach_the_input_of_the_other(self):
        line = account((Input(dtmf=DtmfTerms(max_digits=2)), *STAY))
        leg, twin = connected(line)

        line.exchange.dtmf(leg, "17")
        line.pass_by(1)

        assert inputs(line, twin) == [("17", [])]

    def test_speech_from_the_first_moment_reaches_the_input_of_the_other(self):
        line = account((Input(speech=SpeechTerms()), *STAY))
        _, twin = connected(line, (say("One ticket"), *STAY))
        line.pass_by(5)

        assert inputs(line, twin) == [(None, ["One ticket"])]

    def test_all_legs_of_the_conversation_take_part(self):
        line = account()
        leg, _ = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        guest = line.call("447700900002", (room("lobby"),), application_id=OTHER, region="eu-west")
        line.pass_by(3)

        line.exchange.say(agent, "Good morning")
        line.exchange.press(guest, "5")
        line.pass_by(1)

        assert spoken(line, guest) == ["Good morning"]
        assert spoken(line, agent) == ["5"]
        assert leg.is_up

    def test_a_muted_leg_passes_nothing_on(self):
        line = account()
        leg, _ = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        line.exchange.mute(leg, on=True)

        line.exchange.talk(twin_of(line, leg), saying("Anybody?"))
        line.pass_by(1)

        assert spoken(line, agent) == []

    def test_a_prompt_that_is_stopped_stops_on_the_other_side(self):
        line = account()
        _, twin = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        line.exchange.talk(twin, saying("For ever", loop=0))
        line.pass_by(3)

        line.exchange.talk(twin, None)
        line.pass_by(3)

        (heard,) = agent.audio.heard
        assert not heard.is_on(line.exchange.now)
        assert round(heard.to_json(line.exchange.now)["seconds"], 3) == 2.9

    def test_a_sound_that_is_stopped_at_once_is_not_passed_on(self):
        line = account()
        _, twin = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        line.exchange.talk(twin, saying("Oh", loop=0))
        line.exchange.talk(twin, None)
        line.pass_by(3)

        assert spoken(line, agent) == []

    def test_a_sound_ends_with_the_call(self):
        line = account()
        leg, twin = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        line.exchange.talk(twin, saying("For ever", loop=0))
        line.pass_by(3)

        line.exchange.hangup(twin)
        line.pass_by(3)

        assert leg.is_over
        assert not agent.audio.heard[0].is_on(line.exchange.now)

    def test_a_leg_that_leaves_its_conversation_passes_on_no_more_of_what_it_heard_there(self):
        line = account((room("desk"),))
        leg, _ = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        guest = line.answered("447700900002", (room("desk"),), application_id=OTHER, region="eu-west")
        line.exchange.say(agent, "x" * 140)
        line.pass_by(3)

        line.exchange.transfer(leg, (room("elsewhere"),))
        line.pass_by(30)

        assert [seconds for *_, seconds in line.heard(guest)] == [2.9]

    def test_a_sound_that_its_party_ends_ends_on_the_other_side(self):
        line = account((room("desk"),))
        connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))
        guest = line.answered("447700900002", (room("desk"),), application_id=OTHER, region="eu-west")
        heard = line.exchange.media.make_sound(agent, saying("A bot", loop=0))
        line.pass_by(3)

        line.exchange.media.end_sound(heard)
        line.pass_by(30)

        assert [seconds for *_, seconds in line.heard(guest)] == [2.9]

    def test_before_the_answer_nothing_is_passed_on(self):
        line = account((phone(BY_HAND, ringback="https://x.org/ring.mp3"),))
        leg, twin = rung(line)
        line.pass_by(5)

        assert [kind for kind, *_ in line.heard(twin)] == ["music"]
        assert leg.audio.said == []

    def test_the_number_of_the_caller_does_not_make_the_application_press_keys(self):
        line = account((Input(dtmf=DtmfTerms()), *STAY))
        caller = {"type": "phone", "number": "447700900117"}
        order = Order(to={"type": "phone", "number": NUMBER}, from_=caller, flow=STAY)
        leg = line.exchange.create(order, application_id=APPLICATION)
        line.pass_by(0.5)
        twin = twin_of(line, leg)
        line.pass_by(10)

        assert inputs(line, twin) == [("", [])]

    def test_both_in_one_room_make_no_echo(self):
        line = account((room("desk"),), APPLICATION, "na-east")
        leg, twin = connected(line, (room("desk"),))
        agent = line.answered(PERSON, (room("desk"),))

        line.exchange.say(agent, "Hello")
        line.pass_by(10)

        assert leg.conversation is twin.conversation
        assert spoken(line, leg) == ["Hello", "Hello"]
        assert spoken(line, twin) == ["Hello", "Hello"]

    def test_a_recording_of_one_has_the_other(self):
        line = account((Record(), say("Welcome"), *STAY))
        _, twin = connected(line, (say("Hello"), *STAY))
        (recording,) = twin.audio.recordings
        line.pass_by(3)

        said = {
            track.heard.prompt.content["text"] for track in recording.tracks if track.speaker == twin.uuid
        }
        assert "Hello" in said


class TestAnApplicationThatCallsItself:
    def test_a_chain_ends_at_the_limit(self):
        line = account((say("Again"), phone(NUMBER)), APPLICATION)
        line.call(NUMBER, (room(),))
        line.pass_by(3600)

        outbound = [leg for leg in line.exchange.legs.values() if leg.direction is Direction.OUTBOUND]
        assert len(outbound) == MAX_HOPS + 1
        assert (outbound[-1].status, line.last_report(outbound[-1])["sip_code"]) == ("failed", 482)
        assert f"more than {MAX_HOPS} calls" in str(outbound[-1].remark)
        assert line.exchange.live == {}

    def test_a_flow_by_url_begins_at_the_answer(self):
        line = account((say("Hold", loop=0),))
        leg, _ = rung(line, Webhook(url="http://127.0.0.1:1/ours"))
        line.pass_by(1)

        (fetch,) = line.fetches()
        assert (fetch.uuid, leg.status) == (leg.uuid, "answered")
