"""Operations on a leg in each state; a refused one changes nothing."""

import pytest

from tests.sandbox.parts import APPLICATION, BUSY, BY_HAND, MACHINE, Line, phone, room, say, saying
from tests.sandbox.parts import line as new_line
from voicectl.sandbox.telephony.actions import Order, Webhook
from voicectl.sandbox.telephony.call_control import IllegalMove
from voicectl.sandbox.telephony.effects import Purpose
from voicectl.sandbox.telephony.exchange import Exchange, LegNotAnswered, LegOver
from voicectl.sandbox.telephony.state import Leg
from voicectl.voice.call import FINAL, NEXT, CallStatus

TO_A_LIVE_CALL = {
    "mute": lambda exchange, leg: exchange.mute(leg, on=True),
    "earmuff": lambda exchange, leg: exchange.earmuff(leg, on=True),
    "transfer": lambda exchange, leg: exchange.transfer(leg, (room(),)),
    "transfer by URL": lambda exchange, leg: exchange.transfer(leg, Webhook(url="http://127.0.0.1/")),
    "talk": lambda exchange, leg: exchange.talk(leg, saying()),
    "stop talk": lambda exchange, leg: exchange.talk(leg, None),
    "stream": lambda exchange, leg: exchange.stream(leg, saying()),
    "dtmf": lambda exchange, leg: exchange.dtmf(leg, "12"),
    "listen": lambda exchange, leg: exchange.listen(leg, "http://127.0.0.1/"),
    "press": lambda exchange, leg: exchange.press(leg, "12"),
}


def state(exchange: Exchange, leg: Leg) -> object:
    """Return everything that an operation could change."""
    return (
        leg.status,
        leg.is_muted,
        leg.is_earmuffed,
        leg.conversation.uuid,
        dict(leg.audio.playing),
        leg.audio.dtmf_url,
        leg.flow.awaiting,
        leg.flow.run,
        len(leg.audio.heard),
        len(exchange.conversations),
        exchange.next_due,
        exchange.collect(),
    )


@pytest.mark.parametrize("operation", TO_A_LIVE_CALL.values(), ids=TO_A_LIVE_CALL)
@pytest.mark.parametrize("ringing_for", [0, 1])
def test_an_unanswered_leg_refuses_changes_and_stays_unchanged(line: Line, operation, ringing_for):
    leg = line.call()
    line.wait(ringing_for)
    line.collect()
    before = state(line.exchange, leg)

    with pytest.raises(LegNotAnswered):
        operation(line.exchange, leg)

    assert state(line.exchange, leg) == before


@pytest.mark.parametrize(
    "operation",
    [
        *TO_A_LIVE_CALL.values(),
        lambda exchange, leg: exchange.hangup(leg),
        lambda exchange, leg: exchange.party_hangs_up(leg),
        lambda exchange, leg: exchange.pick_up(leg),
    ],
)
def test_a_leg_that_is_over_refuses_everything(line: Line, operation):
    leg = line.call(BUSY)
    line.wait(5)
    line.collect()
    before = state(line.exchange, leg)

    with pytest.raises(LegOver):
        operation(line.exchange, leg)

    assert state(line.exchange, leg) == before


@pytest.mark.parametrize("operation", TO_A_LIVE_CALL.values(), ids=TO_A_LIVE_CALL)
def test_an_answered_leg_accepts_everything(line: Line, operation):
    operation(line.exchange, line.answered())


@pytest.mark.parametrize(
    ("after", "status"), [(0, "cancelled"), (1, "cancelled"), (3, "completed"), (10, "completed")]
)
def test_hangup_cancels_an_unanswered_leg_and_completes_an_answered_one(line: Line, after, status):
    leg = line.call()
    line.wait(after)

    line.exchange.hangup(leg)

    assert leg.status == status
    assert leg.uuid not in line.exchange.live


def test_nothing_more_happens_to_a_leg_that_is_over(line: Line):
    leg = line.call(flow=(say(), phone()))
    line.exchange.hangup(leg)

    line.wait(10_000)

    assert line.reports(leg) == [(0, "started"), (0, "cancelled")]
    assert line.exchange.next_due is None


class TestTheOutsideParty:
    def test_it_answers_on_request(self, line: Line):
        leg = line.call(BY_HAND)
        line.wait(20)

        line.exchange.pick_up(leg)

        assert leg.status == "answered"

    def test_it_declines_by_hanging_up_before_the_answer(self, line: Line):
        leg = line.call(BY_HAND)
        line.wait(20)

        line.exchange.party_hangs_up(leg)

        assert (leg.status, line.last_report(leg).get("detail"), line.last_report(leg).get("sip_code")) == (
            "rejected",
            "declined",
            603,
        )

    def test_it_cannot_answer_or_decline_before_it_rings(self, line: Line):
        leg = line.call(BY_HAND)

        with pytest.raises(LegNotAnswered):
            line.exchange.pick_up(leg)
        with pytest.raises(LegNotAnswered):
            line.exchange.party_hangs_up(leg)

    def test_it_cannot_answer_twice(self, line: Line):
        leg = line.answered()

        with pytest.raises(LegNotAnswered):
            line.exchange.pick_up(leg)

    def test_it_cannot_answer_its_own_call(self, line: Line):
        leg = ring(line)

        with pytest.raises(LegNotAnswered):
            line.exchange.pick_up(leg)

    def test_it_cancels_its_own_call_before_the_answer(self, line: Line):
        leg = ring(line)

        line.exchange.party_hangs_up(leg)

        assert leg.status == "cancelled"

    def test_it_completes_the_call_by_hanging_up(self, line: Line):
        leg = line.answered()

        line.exchange.party_hangs_up(leg)

        assert (leg.status, line.last_report(leg).get("disconnected_by")) == ("completed", "user")


class TestWebhooks:
    WEBHOOK = Webhook(url="http://127.0.0.1:9/answer")

    def test_the_answer_url_is_requested_once_the_call_is_answered(self, line: Line):
        leg = line.call(flow=self.WEBHOOK)
        line.wait(2)
        assert line.fetches() == []

        line.wait(1)

        (fetch,) = line.fetches()
        assert (fetch.purpose, fetch.webhook) == (Purpose.ANSWER, self.WEBHOOK)
        assert fetch.parameters == {
            "to": "447700900001",
            "from": "447700900456",
            "uuid": leg.uuid,
            "conversation_uuid": leg.conversation.uuid,
            "endpoint_type": "phone",
        }

    def test_the_returned_ncco_runs(self, line: Line):
        leg = line.answered(flow=self.WEBHOOK)
        own = leg.conversation

        line.exchange.resume(line.fetches()[0], (say("Hi", loop=0),))

        line.wait(1)
        assert line.heard(leg) == [("speech", "Hi", 1)]
        assert leg.conversation is own

    def test_an_empty_ncco_ends_the_call(self, line: Line):
        leg = line.answered(flow=self.WEBHOOK)

        line.exchange.resume(line.fetches()[0], ())

        assert leg.status == "completed"

    def test_a_missing_ncco_ends_the_call(self, line: Line):
        leg = line.answered(flow=self.WEBHOOK)

        line.exchange.give_up(line.fetches()[0], "answered with status 500")

        assert leg.status == "completed"

    def test_a_reply_for_a_call_that_is_over_is_dropped(self, line: Line):
        leg = line.answered(flow=self.WEBHOOK)
        line.exchange.hangup(leg)

        line.exchange.resume(line.fetches()[0], (say(),))
        line.exchange.give_up(line.fetches()[0], "late")

        assert leg.audio.heard == []

    def test_a_transfer_makes_the_reply_obsolete(self, line: Line):
        leg = line.answered(flow=self.WEBHOOK)
        line.exchange.transfer(leg, (room(),))

        line.exchange.resume(line.fetches()[0], (say(),))

        assert leg.conversation.name == "room"
        assert leg.audio.heard == []

    def test_a_transfer_by_url_keeps_the_flow_until_the_new_one_arrives(self, line: Line):
        leg = line.answered(flow=(room("old"),))
        line.exchange.transfer(leg, self.WEBHOOK)
        assert leg.conversation.name == "old"

        line.exchange.resume(line.fetches()[0], (room("new"),))

        assert leg.conversation.name == "new"

    def test_the_last_of_two_transfers_by_url_counts(self, line: Line):
        leg = line.answered(flow=(room("old"),))
        line.exchange.transfer(leg, self.WEBHOOK)
        line.exchange.transfer(leg, self.WEBHOOK)
        first, second = line.fetches()

        line.exchange.resume(first, (room("first"),))
        assert leg.conversation.name == "old"
        line.exchange.resume(second, (room("second"),))
        assert leg.conversation.name == "second"


@pytest.mark.parametrize("status", sorted(FINAL - {CallStatus.COMPLETED}))
def test_no_illegal_status_follows(line: Line, status):
    assert status not in NEXT[CallStatus.ANSWERED]
    leg = line.answered()

    with pytest.raises(IllegalMove):
        line.exchange.calls.end(leg, status)

    assert leg.status == "answered"
    assert leg.uuid in line.exchange.live


def test_the_same_seed_gives_the_same_ids():
    first, second, other = (new_line(seed=seed) for seed in (7, 7, 8))

    ids = [(each.call().uuid, ring(each).uuid, each.call(MACHINE).uuid) for each in (first, second, other)]

    assert ids[0] == ids[1] != ids[2]


def test_each_call_has_its_own_conversation_which_disappears_with_it(line: Line):
    first, second = line.answered(flow=(say(loop=0),)), line.answered(flow=(say(loop=0),))
    assert first.conversation is not second.conversation

    line.exchange.hangup(first)

    assert list(line.exchange.conversations) == [second.conversation.uuid]
    assert first.conversation.uuid.startswith("CON-")


def ring(line: Line) -> Leg:
    return line.exchange.ring(
        Order(
            to={"type": "phone", "number": "442079460000"},
            from_={"type": "phone", "number": "447700900000"},
            flow=(room("lobby"),),
        ),
        application_id=APPLICATION,
    )
