"""Conversation logs: events are numbered, members follow their legs, and RTC webhooks are sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.sandbox.parts import APPLICATION, BUSY, MACHINE, PERSON, room, say, saying
from voicectl.sandbox.conversations import conversation_log as pages
from voicectl.sandbox.conversations.conversation_log import IllegalState, Member, MemberState
from voicectl.sandbox.telephony.actions import Join, Order, Record
from voicectl.sandbox.telephony.detection import Behavior, Detection
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.exchange import ExchangeError
from voicectl.sandbox.telephony.sounds import Sound, audio

from .parts import Desk, desk, note


@pytest.fixture(name="desk")
def a_desk() -> Desk:
    return desk()


def types(desk: Desk, page: pages.ConversationLog) -> list[str]:
    return [event["type"] for event in desk.events(page)]


class TestNumbers:
    def test_begin_at_1_with_each_conversation(self, desk: Desk):
        first, second = desk.line.call(), desk.line.call()
        desk.wait(1)

        for leg in (first, second):
            events = desk.events(desk.page(leg))
            assert [event["id"] for event in events] == list(range(1, len(events) + 1))
            assert events[0]["type"] == "conversation:created"

    def test_go_on_when_old_events_are_dropped(self, desk: Desk, monkeypatch):
        monkeypatch.setattr(pages, "KEPT", 10)
        page = desk.page(desk.line.call())
        for n in range(100):
            desk.add(note(page, "custom:n", n=n))

        kept = list(page.events())
        assert 10 <= len(kept) <= 20
        assert [number for number, _ in kept] == list(range(kept[0][0], page.last_id + 1))
        assert page.event(1) is None
        assert page.event(page.last_id).body == {"n": 99}
        assert [number for number, _ in page.events(page.last_id - 1, page.last_id)] == [
            page.last_id - 1,
            page.last_id,
        ]

    def test_ephemeral_events_have_none(self, desk: Desk):
        page = desk.page(desk.line.call())
        before = page.last_id

        desk.add(note(page, "ephemeral", typing=True))

        assert page.last_id == before
        assert desk.rtc_events[-1]["type"] == "ephemeral"
        assert "id" not in desk.rtc_events[-1]

    def test_they_stay_the_same_after_a_deletion(self, desk: Desk):
        page = desk.page(desk.line.call())
        desk.add(note(page, "message", text="Hello"))
        number = page.last_id

        page.erase(number)

        shown = desk.logs.event(page, number, page.event(number), "")
        assert (shown["id"], shown["type"], shown["body"]) == (number, "message", {})


class TestMembers:
    def test_a_leg_is_a_member_with_a_generated_user(self, desk: Desk):
        leg = desk.line.answered(PERSON, (room(),))
        member = desk.member(leg)

        joined = desk.event(desk.page(leg), "member:joined")
        assert member.state is MemberState.JOINED
        assert member.id.startswith("MEM-")
        assert joined["from"] == joined["body"]["member_id"] == member.id
        assert joined["body"]["user"]["name"] == f"vapi-user-{leg.uuid.replace('-', '')}"
        assert joined["body"]["user"]["id"].startswith("USR-")
        assert joined["body"]["channel"]["id"] == leg.uuid
        assert joined["body"]["channel"]["leg_ids"] == [leg.uuid]

    def test_the_member_of_an_app_leg_is_the_named_user(self, desk: Desk):
        place = {"application_id": APPLICATION, "region": "na-east"}
        alice = desk.users.add("alice", {"display_name": "Alice"}, **place)
        leg = desk.line.answered(to={"type": "app", "user": "alice"}, flow=(room(),))

        joined = desk.event(desk.page(leg), "member:joined")["body"]

        assert desk.member(leg).user is alice
        assert joined["user"]["id"] == alice.id
        assert joined["user"]["display_name"] == "Alice"
        assert joined["channel"]["type"] == "app"

    def test_the_caller_is_the_party_of_an_inbound_leg(self, desk: Desk):
        leg = desk.line.exchange.ring(
            Order(
                to={"type": "phone", "number": "442079460000"},
                from_={"type": "phone", "number": PERSON},
                flow=(room(),),
            ),
            application_id=APPLICATION,
        )
        desk.wait(2)

        channel = desk.event(desk.page(leg), "member:joined")["body"]["channel"]

        assert channel["from"] == {"type": "phone", "number": PERSON}
        assert "ring_timeout" not in channel

    def test_a_member_who_leaves_stays_in_the_list(self, desk: Desk):
        leg, other = desk.line.answered(), desk.line.answered()
        member = desk.member(leg)

        desk.line.exchange.hangup(leg)

        page = desk.page(other)
        assert page.members[member.id].state is MemberState.LEFT
        left = desk.event(page, "member:left")["body"]
        assert left["reason"] == {"code": "ok", "text": "completed"}
        assert set(left["timestamp"]) >= {"joined", "left"}

    def test_a_leg_that_returns_is_another_member(self, desk: Desk):
        leg, other = desk.line.answered(PERSON, (room(),)), desk.line.answered(PERSON, (room(),))
        first = desk.member(leg)
        desk.line.exchange.transfer(leg, (room("elsewhere"),))
        desk.write()
        desk.line.exchange.transfer(leg, (room(),))

        page = desk.page(other)
        again = desk.member(leg)
        assert again is not first
        assert again.id != first.id
        assert again.previous is first
        joins = [e for e in desk.events(page) if e["type"] == "member:joined" and e["from"] == again.id]
        assert [e["from"] for e in desk.events(page) if e["type"] == "member:joined"].count(first.id) == 1
        assert len(joins) == 1

    def test_a_transfer_names_the_old_conversation_and_the_old_member(self, desk: Desk):
        leg = desk.line.answered(PERSON, (room(),))
        was, came_from = desk.member(leg), leg.conversation.uuid

        desk.line.exchange.transfer(leg, (room("elsewhere"),))

        body = desk.event(desk.page(leg), "rtc:transfer")["body"]
        assert body["transferred_from"] == came_from
        assert body["was_member"] == was.id

    def test_states_change_in_one_direction_only(self):
        member = Member(id="MEM-1")
        member.become(MemberState.INVITED, 1)
        member.become(MemberState.JOINED, 2)
        with pytest.raises(IllegalState):
            member.become(MemberState.INVITED, 3)
        with pytest.raises(IllegalState):
            member.become(MemberState.JOINED, 3)
        member.become(MemberState.LEFT, 4)
        for state in MemberState:
            with pytest.raises(IllegalState):
                member.become(state, 5)
        assert member.times == {"invited": 1, "joined": 2, "left": 4}

    def test_an_invited_member_may_leave(self):
        member = Member(id="MEM-1")
        member.become(MemberState.INVITED, 1)
        member.become(MemberState.LEFT, 2)
        assert member.state is MemberState.LEFT

    def test_ids_follow_from_the_seed(self):
        ids = []
        for _ in range(2):
            its = desk(seed=7)
            leg = its.line.answered()
            ids.append((its.member(leg).id, its.logs.new_member_id(), its.events(its.page(leg))))
        assert ids[0] == ids[1]


class TestRtcWebhooks:
    def test_every_event_is_sent_with_its_number(self, desk: Desk):
        leg = desk.line.answered(PERSON, (say("Hello"),))
        desk.wait(60)

        mine = [each for each in desk.rtc_events if each["conversation_id"] == leg.conversation.uuid]
        assert [each["id"] for each in mine] == list(range(1, len(mine) + 1))
        assert mine[0]["type"] == "conversation:created"
        assert mine[-1]["type"] == "conversation:deleted"
        assert mine[-1]["body"]["state"] == "DELETED"
        for each in mine:
            assert each["application_id"] == APPLICATION
            assert each["timestamp"].endswith("Z")
            json.dumps(each)

    def test_events_of_a_call_that_already_ended_are_sent(self, desk: Desk):
        desk.line.call(BUSY)
        desk.line.wait(60)
        desk.write()

        assert desk.rtc_events[0]["type"] == "conversation:created"
        assert desk.rtc_events[-1]["type"] == "conversation:deleted"

    def test_without_an_rtc_webhook_no_event_is_created(self):
        its = desk(has_rtc_webhook=False)
        leg = its.line.call()
        its.wait(1)

        assert its.rtc_events == []
        assert its.page(leg).last_id > 2

    def test_the_log_of_a_conversation_is_deleted_with_it(self, desk: Desk):
        desk.line.call(BUSY)
        desk.wait(60)

        assert list(desk.logs) == []

    def test_notes_of_a_deleted_conversation_are_dropped(self, desk: Desk):
        page = desk.page(desk.line.call(BUSY))
        desk.wait(60)

        assert desk.logs.write(note(page, "audio:record:done")) is None

    def test_events_have_the_documented_fields(self, desk: Desk):
        """One conversation in which everything happens; each body has the fields that the reference lists."""
        exchange = desk.line.exchange
        leg = desk.line.call(MACHINE, (room(),), detection=Detection(behavior=Behavior.CONTINUE))
        other = desk.line.answered(PERSON, (room(),))
        desk.wait(10)
        exchange.talk(other, saying("Hello"))
        exchange.media.play_to_all(other.conversation, Sound.SPEECH, saying("All"))
        exchange.talk(other, None)
        exchange.stream(other, audio("http://host/a.mp3", options={"loop": 1}))
        exchange.mute(other, on=True)
        exchange.earmuff(other, on=True)
        exchange.press(other, "12")
        recording = exchange.record_all(other.conversation, Record(is_split=True, channels=2))
        exchange.media.stop_recording(recording)
        exchange.media.recorded(recording, url="http://host/v1/files/1", size=44)
        page = desk.page(other)
        desk.add(note(page, "member:media", other.uuid))
        desk.add(note(page, "audio:asr:done", other.uuid, asr={"results": []}))
        desk.add(note(page, "conversation:updated"))
        exchange.hangup(leg)
        desk.write()

        documented = {
            "conversation:created": {"id", "name", "state", "timestamp"},
            "conversation:updated": {"id", "name", "state", "timestamp"},
            "member:joined": {"member_id", "user", "channel", "initiator", "timestamp"},
            "member:left": {"member_id", "user", "channel", "initiator", "timestamp", "reason"},
            "member:media": {"audio", "media", "channel"},
            "leg:status:update": {"leg_id", "direction", "type", "status", "state", "statusHistory"},
            "rtc:transfer": {"was_member", "user_id", "transferred_from", "channel"},
            "sip:hangup": {"direction", "channel", "quality", "bandwidth", "reason"},
            "sip:status": {
                *("price", "rate", "duration", "to", "from", "network_code", "request_time", "start_time"),
                *("end_time", "status", "direction", "state", "channel"),
            },
            "audio:say": {
                *("say_id", "text", "language", "style", "premium", "level", "loop", "queue", "ssml"),
            },
            "audio:say:stop": {"say_id"},
            "audio:play": {"play_id", "stream_url", "level", "loop", "queue"},
            "audio:mute:on": {"rtc_id"},
            "audio:earmuff:on": {"rtc_id"},
            "audio:dtmf": {"digit", "dtmf_seq", "channel"},
            "audio:record": {
                *("recording_id", "format", "streamed", "beep_start", "beep_stop", "detect_speech", "split"),
                "channels",
            },
            "audio:record:done": {
                *("recording_id", "destination_url", "format", "start_time", "end_time", "size"),
            },
            "audio:asr:done": {"asr", "channel"},
        }
        for type_, fields in documented.items():
            assert set(desk.event(page, type_)["body"]) >= fields, type_
        machine = next(each for each in desk.rtc_events if each["type"] == "sip:machine")
        assert set(machine["body"]) == {"type", "confidence", "channel"}
        for type_ in ("sip:ringing", "sip:answered"):
            ringing = next(each for each in desk.rtc_events if each["type"] == type_)
            assert set(ringing["body"]) == {"direction", "channel"}
        assert desk.event(page, "audio:record")["body"]["split"] == "conversation"
        assert desk.event(page, "member:media")["body"]["media"]["audio_settings"]["muted"] is True
        assert [e["body"]["dtmf_seq"] for e in desk.events(page) if e["type"] == "audio:dtmf"] == [1, 2]

    def test_an_event_keeps_the_values_of_its_time(self, desk: Desk):
        leg = desk.line.answered(PERSON, (room(),))
        page = desk.page(leg)
        desk.line.exchange.mute(leg, on=True)
        desk.add(note(page, "member:media", leg.uuid))
        desk.line.exchange.mute(leg, on=False)
        page.settings["display_name"] = "One"
        desk.add(note(page, "conversation:updated"))
        page.settings["display_name"] = "Two"

        assert desk.event(page, "member:media")["body"]["media"]["audio_settings"]["muted"] is True
        assert desk.event(page, "conversation:updated")["body"]["display_name"] == "One"

    def test_the_history_of_a_leg_has_its_earlier_states(self, desk: Desk):
        leg = desk.line.call(PERSON, (say("Hello", loop=0),))
        desk.wait(3)

        update = desk.event(desk.page(leg), "leg:status:update")["body"]

        assert [each["status"] for each in update["statusHistory"]] == ["started", "ringing", "answered"]
        assert {each["member_id"] for each in update["statusHistory"]} == {desk.member(leg).id}
        assert (update["status"], update["state"]) == ("answered", "active")

    def test_sip_headers_of_a_websocket_are_sent_but_not_its_credentials(self, desk: Desk):
        to = {
            "type": "websocket",
            "uri": "ws://127.0.0.1:9/",
            "content-type": "audio/l16;rate=8000",
            "headers": {"caller": "1"},
            "authorization": {"type": "custom", "value": "secret"},
        }
        leg = desk.line.call(to=to, flow=(room(),))
        desk.line.exchange.socket_opened(leg)

        channel = desk.event(desk.page(leg), "member:joined")["body"]["channel"]

        assert channel["headers"] == {"caller": "1"}
        assert "secret" not in json.dumps(channel)


class Conversations(RuleBasedStateMachine):
    """Random operations: numbers have no gaps, states of members never go back, and members follow their legs."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = desk()
        self.exchange = self.desk.line.exchange
        self.seen: dict[str, list[MemberState]] = {}
        self.guests = 0

    @rule(
        number=st.sampled_from([PERSON, BUSY, MACHINE, "447700900203", "447700900502"]),
        name=st.sampled_from("ab"),
    )
    def call(self, number: str, name: str) -> None:
        self.desk.line.call(number, (say("Hi"), Join(name=name)))

    @rule(seconds=st.floats(0.1, 8))
    def time_passes(self, seconds: float) -> None:
        self.desk.wait(seconds)

    @rule(data=st.data(), act=st.sampled_from(["hangup", "mute", "move", "talk", "press", "leave"]))
    def something_is_asked(self, data: st.DataObject, act: str) -> None:
        legs = list(self.exchange.legs.values())
        if not legs:
            return
        leg = data.draw(st.sampled_from(legs))
        try:
            match act:
                case "hangup":
                    self.exchange.hangup(leg)
                case "mute":
                    self.exchange.mute(leg, on=not leg.is_muted)
                case "move":
                    self.exchange.transfer(leg, (Join(name=data.draw(st.sampled_from("ab"))),))
                case "talk":
                    self.exchange.talk(leg, saying("Hello"))
                case "press":
                    self.exchange.press(leg, "1")
                case "leave":
                    self.exchange.transfer(leg, (say("Alone"),))
        except ExchangeError:
            pass
        self.desk.write()

    @rule(
        data=st.data(), type_=st.sampled_from(["member:invited", "member:joined", "member:left", "custom:x"])
    )
    def a_guest_without_a_leg(self, data: st.DataObject, type_: str) -> None:
        found = list(self.desk.logs)
        if not found:
            return
        page = data.draw(st.sampled_from(found))
        guests = [each for each in page.members.values() if each.leg_uuid is None]
        if type_ == "member:invited" or not guests:
            guests = [page.add(Member(id=self.desk.logs.new_member_id()))]
        self.desk.add(note(page, type_, guests[-1].id, at=self.exchange.now))

    @rule(name=st.sampled_from("ab"))
    def a_room_is_dissolved(self, name: str) -> None:
        conversation = self.exchange.rooms.find(name, APPLICATION, "na-east")
        if conversation is not None:
            self.exchange.rooms.delete(conversation)
            self.desk.write()

    @invariant()
    def every_conversation_has_a_page(self) -> None:
        self.desk.write()
        assert {log.conversation.uuid for log in self.desk.logs} == set(self.exchange.conversations)

    @invariant()
    def numbers_have_no_gaps(self) -> None:
        received: dict[str, list[int]] = {}
        for each in self.desk.rtc_events:
            received.setdefault(each["conversation_id"], []).append(each["id"])
        for page in self.desk.logs:
            numbers = [number for number, _ in page.events()]
            assert numbers == list(range(1, page.last_id + 1)) == received[page.conversation.uuid]
        for numbers in received.values():
            assert numbers == list(range(1, len(numbers) + 1))

    @invariant()
    def states_go_one_way(self) -> None:
        order = list(MemberState)
        for page in self.desk.logs:
            for member in page.members.values():
                states = self.seen.setdefault(member.id, [])
                if not states or states[-1] is not member.state:
                    states.append(member.state)
                assert [order.index(each) for each in states] == sorted(
                    {order.index(each) for each in states}
                )
                assert list(member.times.values()) == sorted(member.times.values())

    @invariant()
    def legs_and_members_agree(self) -> None:
        for page in self.desk.logs:
            present = {each.leg_uuid for each in page.present() if each.leg_uuid is not None}
            assert present == set(page.conversation.legs)

    @invariant()
    def every_event_can_be_shown(self) -> None:
        for page in self.desk.logs:
            assert len(self.desk.events(page)) == page.last_id


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_note_of_a_stranger_has_no_member(desk: Desk):
    page = desk.page(desk.line.call())

    desk.add(
        Note(
            at=0,
            application_id=APPLICATION,
            conversation_uuid=page.conversation.uuid,
            type="custom:x",
            uuid="MEM-nobody",
            body={},
        )
    )

    assert "from" not in desk.events(page)[-1]
