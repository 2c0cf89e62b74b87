"""``connect`` beyond the plain call: fallbacks, whispers, app users, WebSockets, and inbound calls."""

import pytest

from tests.sandbox.parts import APPLICATION, BUSY, BY_HAND, Line, line, phone, room, say
from voicectl.sandbox.telephony.actions import DtmfTerms, Input, MoveAll, Notify, Order, Wait, Webhook
from voicectl.sandbox.telephony.effects import Close, Kind, Open, Purpose
from voicectl.sandbox.telephony.state import Leg

WHISPER = Webhook(url="http://127.0.0.1:1/whisper")
SOCKET = {"type": "websocket", "uri": "ws://127.0.0.1:1/bot", "headers": {"caller": "1"}}


def callee_of(line: Line, caller: Leg) -> Leg:
    (callee,) = [leg for leg in line.exchange.legs.values() if leg is not caller]
    return callee


def dialled(line: Line, dial, *after) -> tuple[Leg, Leg]:
    caller = line.answered(flow=(dial, *after))
    line.wait(0)
    return caller, callee_of(line, caller)


class TestSynchronous:
    @pytest.mark.parametrize(
        ("digits", "status"),
        [("200", "busy"), ("201", "rejected"), ("202", "timeout"), ("203", "failed"), ("204", "unanswered")],
    )
    def test_the_reply_to_a_failure_may_bring_another_ncco(self, line: Line, digits, status):
        dial = phone(f"447700900{digits}", is_synchronous=True, timeout=10)
        caller, callee = dialled(line, dial, say("never"))
        line.wait(30)
        event = line.events_about(callee, Kind.STATUS)[-1]
        assert (event.fields["status"], event.may_bring_ncco) == (status, True)
        assert line.heard(caller) == []

        line.exchange.replied(event, (say("instead", loop=0),))

        assert [what for _, what, _ in line.heard(caller)] == ["instead"]

    def test_without_an_ncco_the_next_action_runs(self, line: Line):
        caller, callee = dialled(line, phone(BUSY, is_synchronous=True), say("next", loop=0))
        line.wait(5)

        line.exchange.replied(line.events_about(callee, Kind.STATUS)[-1], None)

        assert [what for _, what, _ in line.heard(caller)] == ["next"]

    def test_joining_and_leaving_events_accept_no_ncco(self, line: Line):
        caller, callee = dialled(line, phone(is_synchronous=True), say("next", loop=0))
        line.wait(5)
        line.exchange.party_hangs_up(callee)
        line.wait(0)

        assert not any(event.may_bring_ncco for event in line.events_about(callee, Kind.STATUS))
        assert [what for _, what, _ in line.heard(caller)] == ["next"]

    def test_events_of_the_callee_go_to_the_url_of_the_action(self, line: Line):
        url = Webhook(url="http://127.0.0.1:1/callee", method="POST")
        _, callee = dialled(line, phone(events=url))

        assert {event.webhook for event in line.events_about(callee, Kind.STATUS)} == {url}


class TestWhisper:
    def test_the_callee_hears_the_whisper_alone_and_is_joined_afterwards(self, line: Line):
        caller, callee = dialled(line, phone(on_answer=WHISPER))
        line.wait(2.5)
        (fetch,) = line.fetches()
        assert (fetch.purpose, fetch.uuid, fetch.webhook) == (Purpose.ON_ANSWER, callee.uuid, WHISPER)
        assert fetch.parameters["uuid"] == callee.uuid

        line.exchange.resume(fetch, (say("x" * 14),))
        line.exchange.say(caller, "Hello?")
        assert [what for _, what, _ in line.heard(callee)] == ["x" * 14]
        line.wait(1)
        line.exchange.say(caller, "Anybody there?")

        assert [what for _, what, _ in line.heard(callee)] == ["x" * 14, "Anybody there?"]
        assert line.heard(caller) == []

    def test_a_whisper_that_cannot_be_fetched_is_skipped(self, line: Line):
        caller, callee = dialled(line, phone(on_answer=WHISPER))
        line.wait(2.5)

        line.exchange.give_up(line.fetches()[0], "no answer")
        line.exchange.say(caller, "Hello?")

        assert [what for _, what, _ in line.heard(callee)] == ["Hello?"]

    def test_a_whisper_that_moves_the_callee_lets_the_caller_continue(self, line: Line):
        caller, callee = dialled(line, phone(on_answer=WHISPER), say("next", loop=0))
        line.wait(2.5)

        line.exchange.resume(line.fetches()[0], (room(),))
        line.wait(0)

        assert callee.conversation.name == "room"
        assert [what for _, what, _ in line.heard(caller)] == ["next"]

    def test_a_callee_who_hangs_up_during_it_lets_the_caller_continue(self, line: Line):
        caller, callee = dialled(line, phone(on_answer=WHISPER), say("next", loop=0))
        line.wait(2.5)
        line.exchange.resume(line.fetches()[0], (say("x" * 140),))

        line.exchange.party_hangs_up(callee)
        line.wait(0)

        assert [what for _, what, _ in line.heard(caller)] == ["next"]


ALICE = {"type": "app", "user": "alice"}


class TestAppUsers:
    def test_a_known_user_answers(self, line: Line):
        leg = line.call(to=ALICE)

        line.wait(2)

        assert leg.status == "answered"

    def test_an_unknown_user_is_unanswered_without_ringing(self):
        lonely = line(knows_user=lambda *_: False)
        leg = lonely.call(to=ALICE)

        lonely.wait(2)

        assert lonely.reports(leg) == [(0, "started"), (1, "unanswered")]


class TestWebSocket:
    def connected(self, line: Line, *after) -> tuple[Leg, Leg]:
        caller, socket = dialled(line, phone(endpoint=SOCKET), *after)
        line.exchange.socket_opened(socket)
        return caller, socket

    def test_it_is_connected_and_answered_without_ringing(self, line: Line):
        caller, socket = self.connected(line)

        assert [effect.uuid for effect in line.collect() if isinstance(effect, Open)] == [socket.uuid]
        assert [status for _, status in line.reports(socket)] == ["started", "answered"]
        assert socket.hears(caller)

    def test_a_refused_connection_is_a_failure(self, line: Line):
        caller, socket = dialled(line, phone(endpoint=SOCKET), say("next", loop=0))

        line.exchange.socket_refused(socket, "connection refused")
        line.wait(0)

        assert socket.status == "failed"
        assert [what for _, what, _ in line.heard(caller)] == ["next"]

    def test_its_application_closes_the_connection(self, line: Line):
        caller, socket = self.connected(line, say("next", loop=0))

        line.exchange.socket_closed(socket)

        *_, disconnected, completed = line.events_about(socket, Kind.STATUS)
        assert (
            disconnected.fields["status"],
            disconnected.fields["headers"],
            disconnected.may_bring_ncco,
        ) == (
            "disconnected",
            {"caller": "1"},
            True,
        )
        assert "direction" not in disconnected.fields
        assert completed.fields["status"] == "completed"
        assert line.heard(caller) == []
        line.exchange.replied(disconnected, (say("instead", loop=0),))
        assert [what for _, what, _ in line.heard(caller)] == ["instead"]

    def test_a_hangup_from_our_side_is_not_a_disconnection(self, line: Line):
        _, socket = self.connected(line)

        line.exchange.hangup(socket)

        assert [status for _, status in line.reports(socket)] == ["started", "answered", "completed"]
        assert [effect.uuid for effect in line.collect() if isinstance(effect, Close)] == [socket.uuid]

    def test_its_headers_are_in_its_events(self, line: Line):
        _, socket = self.connected(line)

        assert {str(event.fields["headers"]) for event in line.events_about(socket, Kind.STATUS)} == {
            "{'caller': '1'}"
        }


class TestRingingIn:
    def ring(self, line: Line, *flow, **options) -> Leg:
        return line.exchange.ring(
            Order(
                to={"type": "phone", "number": "442079460000"},
                from_=options.pop("from_", {"type": "phone", "number": "447700900000"}),
                flow=flow or None,
                **options,
            ),
            application_id=APPLICATION,
        )

    def test_the_application_is_requested_at_once(self, line: Line):
        leg = self.ring(line, sip_headers={"SipHeader_X-Queue": "gold"})

        (fetch,) = line.fetches()
        assert (fetch.webhook, fetch.purpose) == (None, Purpose.ANSWER)
        assert fetch.parameters == {
            "to": "442079460000",
            "from": "447700900000",
            "uuid": leg.uuid,
            "conversation_uuid": leg.conversation.uuid,
            "endpoint_type": "phone",
            "SipHeader_X-Queue": "gold",
        }
        assert line.reports(leg) == [(0, "started"), (0, "ringing")]

    def test_an_app_user_has_no_number(self, line: Line):
        self.ring(line, from_={"type": "app", "user": "alice"})

        (fetch,) = line.fetches()
        assert fetch.parameters["from_user"] == "alice"
        assert "from" not in fetch.parameters
        assert fetch.parameters["endpoint_type"] == "app"

    def test_it_is_answered_when_there_is_something_to_hear(self, line: Line):
        leg = self.ring(line)
        line.wait(3)

        line.exchange.resume(line.fetches()[0], (Wait(seconds=2), say("Hello", loop=0)))
        line.wait(3)

        assert line.reports(leg) == [(0, "started"), (0, "ringing"), (5, "answered")]

    def test_it_rings_for_at_least_a_second(self, line: Line):
        leg = self.ring(line)

        line.exchange.resume(line.fetches()[0], (say("Hello", loop=0),))
        line.wait(3)

        assert line.reports(leg) == [(0, "started"), (0, "ringing"), (1, "answered")]

    def test_it_is_answered_when_the_callee_of_connect_is(self, line: Line):
        leg = self.ring(line, phone(BY_HAND))
        line.wait(2)
        assert leg.status == "ringing"

        line.exchange.pick_up(callee_of(line, leg))

        assert leg.status == "answered"

    def test_a_caller_who_hangs_up_ends_the_call_of_the_callee(self, line: Line):
        leg = self.ring(line, phone(BY_HAND))
        line.wait(2)

        line.exchange.party_hangs_up(leg)

        assert (leg.status, callee_of(line, leg).status) == ("cancelled", "cancelled")

    def test_without_an_ncco_the_call_ends(self, line: Line):
        leg = self.ring(line)

        line.exchange.give_up(line.fetches()[0], "status 500")

        assert leg.status == "cancelled"

    def test_the_caller_acts_once_answered(self, line: Line):
        leg = self.ring(
            line, Input(dtmf=DtmfTerms(max_digits=1)), from_={"type": "phone", "number": "447700900142"}
        )

        line.wait(2)

        (event,) = line.events_about(leg, Kind.INPUT)
        assert event.fields["dtmf"]["digits"] == "4"


class TestWhileItRings:
    def test_a_caller_not_yet_answered_hears_the_ringback_tone(self, line: Line):
        leg = line.exchange.ring(
            Order(
                to={"type": "phone", "number": "442079460000"},
                from_={"type": "phone", "number": "447700900000"},
                flow=(phone(BY_HAND, ringback="http://tone"),),
            ),
            application_id=APPLICATION,
        )
        line.wait(3)

        assert line.heard(leg) == [("music", "http://tone", 2.0)]

    def test_a_key_does_not_cut_the_ringback_tone(self, line: Line):
        menu = (say("x" * 14, barge=True), phone(BY_HAND, ringback="http://tone"), Input(dtmf=DtmfTerms()))
        caller = line.answered(flow=menu)
        line.wait(2)

        line.exchange.press(caller, "1")
        line.wait(1)

        assert line.heard(caller)[-1] == ("music", "http://tone", 2.0)
        assert callee_of(line, caller).status == "ringing"

    def test_a_reply_that_moves_all_legs_moves_the_callee_too(self, line: Line):
        host = line.answered()
        caller = line.answered(flow=(Input(dtmf=DtmfTerms(), is_asynchronous=True), phone()))
        line.wait(3)
        (callee,) = [leg for leg in caller.conversation.legs.values() if leg is not caller]
        line.exchange.press(caller, "1")

        moved = MoveAll(conversation_uuid=host.conversation.uuid)
        line.exchange.replied(line.events_about(caller, Kind.INPUT)[0], (moved,))

        assert {caller, callee, host} == set(host.conversation.legs.values())


class TestNotify:
    URL = Webhook(url="http://127.0.0.1:1/n", method="POST")

    def test_the_payload_is_wrapped_and_the_flow_waits_for_the_reply(self, line: Line):
        leg = line.answered(flow=(Notify(payload={"step": 1}, events=self.URL), say("next", loop=0)))

        (event,) = line.events_about(leg, Kind.NOTIFY)
        assert event.fields == {
            "payload": {"step": 1},
            "conversation_uuid": leg.conversation.uuid,
            "timestamp": "1970-01-01T00:00:02.500Z",
        }
        assert (event.webhook, line.heard(leg)) == (self.URL, [])
        line.exchange.replied(event, None)
        assert [what for _, what, _ in line.heard(leg)] == ["next"]

    def test_the_reply_may_bring_another_ncco(self, line: Line):
        leg = line.answered(flow=(Notify(payload={}, events=self.URL), say("never")))

        line.exchange.replied(line.events_about(leg, Kind.NOTIFY)[0], (room(),))

        assert leg.conversation.name == "room"


def test_a_reply_that_returns_the_same_ncco_for_ever_ends_the_call(line: Line):
    again = Notify(payload={}, events=TestNotify.URL)
    leg = line.answered(flow=(again,))
    for _ in range(101):
        line.exchange.replied(line.events_about(leg, Kind.NOTIFY)[-1], (again,))

    assert leg.status == "completed"
    assert "100 NCCOs" in line.events_about(leg, Kind.ERROR)[0].fields["reason"]


def test_wait_delays_the_next_action(line: Line):
    leg = line.answered(flow=(Wait(seconds=0.5), say("next", loop=0)))
    line.wait(0.4)
    assert line.heard(leg) == []

    line.wait(0.1)

    assert [what for _, what, _ in line.heard(leg)] == ["next"]
