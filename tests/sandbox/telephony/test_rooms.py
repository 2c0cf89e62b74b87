"""Conversations: their legs, their lifetime, and the effects of ``transfer`` and the Conversation API."""

import pytest

from tests.sandbox.parts import APPLICATION, Line, room, say, saying
from voicectl.sandbox.telephony.actions import MoveAll, Record
from voicectl.sandbox.telephony.effects import Kind, Note
from voicectl.sandbox.telephony.exchange import NoAnsweredLeg
from voicectl.sandbox.telephony.sounds import Sound
from voicectl.sandbox.telephony.state import MAX_LEGS, Leg


def notes(line: Line, leg: Leg | None = None) -> list[str]:
    found = [effect for effect in line.collect() if isinstance(effect, Note)]
    return [note.type for note in found if leg is None or note.uuid == leg.uuid]


class TestIdentity:
    def test_the_same_name_in_another_region_is_another_room(self, line: Line):
        here, there = line.answered(), line.answered(region="eu-west")

        assert here.conversation is not there.conversation
        assert not here.hears(there)

    def test_the_same_name_of_another_application_is_another_room(self, line: Line):
        mine, theirs = line.answered(), line.answered(application_id="another")

        assert mine.conversation is not theirs.conversation

    def test_a_room_has_a_limited_number_of_legs(self, line: Line):
        legs = [line.call() for _ in range(MAX_LEGS)]
        last = line.call(flow=(room(), say("Sorry", loop=0)))

        line.wait(3)

        assert len(legs[0].conversation.legs) == MAX_LEGS
        assert [what for _, what, _ in line.heard(last)] == ["Sorry"]
        (event,) = line.events_about(last, Kind.ERROR)
        assert "200 legs" in event.fields["reason"]


class TestLifetime:
    def test_an_empty_room_is_kept_for_some_hours(self, line: Line):
        leg = line.answered()
        conversation = leg.conversation
        line.exchange.hangup(leg)
        line.wait(48 * 3600 - 10)
        assert conversation.uuid in line.exchange.conversations

        line.wait(10)

        assert conversation.uuid not in line.exchange.conversations
        assert line.answered().conversation is not conversation

    def test_a_room_in_use_lasts_until_the_last_leg_has_left(self, line: Line):
        line.answered()
        line.wait(47 * 3600)
        leg = line.answered()
        line.wait(1.5 * 3600)
        assert leg.is_up

        line.exchange.hangup(leg)

        assert leg.conversation.uuid not in line.exchange.conversations


class TestTransferOfAll:
    def test_all_legs_move_and_stay_while_the_flow_of_the_target_lasts(self, line: Line):
        host = line.answered(flow=(say(loop=0),))
        caller = line.answered(flow=(say("x" * 14), MoveAll(conversation_uuid=host.conversation.uuid)))
        own = caller.conversation
        guest = line.answered(flow=(room("lounge"),))

        assert caller.conversation is host.conversation
        assert line.events_about(caller, Kind.TRANSFER)[0].fields["conversation_uuid_from"] == own.uuid
        assert guest.conversation.name == "lounge"
        line.exchange.hangup(host)
        assert (caller.status, guest.status) == ("completed", "answered")

    def test_legs_moved_into_a_room_stay(self, line: Line):
        host = line.answered()
        caller = line.answered(flow=(MoveAll(conversation_uuid=host.conversation.uuid, mute=True),))
        line.wait(0)
        assert caller.is_muted
        assert host.conversation is caller.conversation

        line.exchange.hangup(host)

        assert caller.is_up

    def test_every_leg_of_the_conversation_is_moved(self, line: Line):
        host = line.answered(flow=(say(loop=0),))
        moderator = line.answered(flow=(room("wing"),))
        attendee = line.answered(flow=(room("wing"),))

        moderator.flow.run.replace((MoveAll(conversation_uuid=host.conversation.uuid),))

        assert attendee.conversation is moderator.conversation is host.conversation
        assert attendee.hears(host)
        assert moderator.hears(attendee)

    @pytest.mark.parametrize("uuid", ["CON-00000000-0000-4000-8000-000000000000", "room"])
    def test_without_such_a_conversation_the_flow_continues(self, line: Line, uuid):
        leg = line.answered(flow=(MoveAll(conversation_uuid=uuid), say("next", loop=0)))
        line.wait(0)

        assert [what for _, what, _ in line.heard(leg)] == ["next"]
        assert uuid in line.events_about(leg, Kind.ERROR)[0].fields["reason"]

    def test_a_conversation_of_another_application_cannot_be_the_target(self, line: Line):
        other = line.answered(application_id="another")
        leg = line.answered(flow=(MoveAll(conversation_uuid=other.conversation.uuid), say("next", loop=0)))
        line.wait(0)

        assert leg.conversation is not other.conversation


class TestWholeConversation:
    def test_all_legs_hear_speech_for_all(self, line: Line):
        legs = [line.answered() for _ in range(3)]
        outside = line.answered(flow=(room("other"),))

        line.exchange.media.play_to_all(legs[0].conversation, Sound.SPEECH, saying("x" * 28))
        line.wait(1)
        line.exchange.media.play_to_all(legs[0].conversation, Sound.SPEECH, saying("y" * 14))
        line.wait(5)

        for leg in legs:
            assert line.heard(leg) == [("speech", "x" * 14, 1.0), ("speech", "y" * 14, 1.0)]
        assert line.heard(outside) == []

    def test_a_stream_has_its_own_stop(self, line: Line):
        leg = line.answered()
        line.exchange.media.play_to_all(leg.conversation, Sound.AUDIO, saying("http://a", loop=0))
        line.exchange.media.play_to_all(leg.conversation, Sound.SPEECH, saying("z" * 14))
        line.wait(2)

        line.exchange.media.play_to_all(leg.conversation, Sound.AUDIO, None)

        assert [seconds for _, _, seconds in line.heard(leg)] == [2.0, 1.0]

    def test_an_empty_conversation_cannot_be_recorded(self, line: Line):
        conversation = line.exchange.rooms.create("hall", application_id=APPLICATION, region="na-east")

        with pytest.raises(NoAnsweredLeg):
            line.exchange.record_all(conversation, Record())

    def test_a_created_conversation_is_the_room_of_that_name(self, line: Line):
        conversation = line.exchange.rooms.create("room", application_id=APPLICATION, region="na-east")

        assert line.answered().conversation is conversation

    def test_deleting_a_conversation_ends_its_legs(self, line: Line):
        leg = line.answered()
        conversation = leg.conversation

        line.exchange.rooms.delete(conversation)

        assert leg.status == "completed"
        assert conversation.uuid not in line.exchange.conversations
        assert line.answered().conversation is not conversation


class TestNotes:
    def test_a_call_leaves_notes_of_all_its_events(self, line: Line):
        leg = line.answered(flow=(say("x" * 14),))
        line.wait(5)

        assert notes(line, leg) == [
            "member:invited",
            "leg:status:update",
            "leg:status:update",
            "sip:ringing",
            "leg:status:update",
            "sip:answered",
            "member:joined",
            "audio:say",
            "audio:say:done",
            "leg:status:update",
            "sip:hangup",
            "sip:status",
            "member:left",
        ]

    def test_a_sound_that_is_cut_is_noted_as_stopped(self, line: Line):
        leg = line.answered()
        line.exchange.talk(leg, saying("x" * 140))
        line.wait(1)
        line.exchange.talk(leg, None)
        line.wait(20)

        assert [note for note in notes(line, leg) if note.startswith("audio")] == [
            "audio:say",
            "audio:say:stop",
        ]

    def test_muting_twice_is_noted_once(self, line: Line):
        leg = line.answered()
        for on in (True, True, False):
            line.exchange.mute(leg, on=on)

        assert [note for note in notes(line, leg) if note.startswith("audio")] == [
            "audio:mute:on",
            "audio:mute:off",
        ]

    def test_a_room_is_noted_once(self, line: Line):
        line.answered()
        line.answered()

        # two calls' own and the room; the calls' own are gone
        assert notes(line).count("conversation:created") == 3
        assert notes(line).count("conversation:deleted") == 2
