"""Running an NCCO: actions in order, and the final place of each leg."""

import pytest

from tests.sandbox.parts import BUSY, BY_HAND, MACHINE, PERSON, Line, line, phone, room, say
from voicectl.sandbox.telephony.actions import Play
from voicectl.sandbox.telephony.detection import Behavior, Detection, Mode
from voicectl.sandbox.telephony.effects import Kind
from voicectl.sandbox.telephony.sounds import audio

MUSIC = "https://cdn.example.org/hold.mp3"


class TestPrompts:
    def test_the_call_ends_when_the_flow_does(self, line: Line):
        leg = line.call(
            flow=(say("14 letters, ok"), Play(prompt=audio("http://x/a.mp3", options={})), say("x" * 28))
        )

        line.wait(20)

        assert line.heard(leg) == [
            ("speech", "14 letters, ok", 1),
            ("audio", "http://x/a.mp3", 5),
            ("speech", "x" * 28, 2),
        ]
        assert line.reports(leg)[-1] == (2.5 + 8, "completed")
        assert line.last_report(leg).get("disconnected_by") == "platform"

    def test_a_loop_takes_its_multiple(self, line: Line):
        leg = line.call(flow=(say("x" * 14, loop=3),))

        line.wait(20)

        assert line.reports(leg)[-1] == (5.5, "completed")

    def test_loop_0_never_ends_and_is_heard_until_it_is_cut(self, line: Line):
        leg = line.answered(flow=(say("again", loop=0), say("never")))
        line.wait(1000)
        assert leg.is_up

        line.exchange.hangup(leg)
        line.wait(1000)

        assert line.heard(leg) == [("speech", "again", 1000)]

    def test_the_breaks_of_ssml_count(self, line: Line):
        leg = line.call(flow=(say("<speak>" + "x" * 14 + "<break time='2s'/></speak>"),))

        line.wait(20)

        assert line.reports(leg)[-1] == (5.5, "completed")

    def test_speech_longer_than_the_longest_call_is_cut(self, line: Line):
        leg = line.answered(flow=(say(f"<speak>a<break time='{'9' * 400}s'/></speak>", loop=1_000_000),))

        line.exchange.hangup(leg)

        assert leg.status == "completed"


class TestRooms:
    def test_a_leg_stays_in_a_room(self, line: Line):
        leg = line.answered(flow=(room(), say("after")))

        line.wait(7000)

        assert leg.is_up
        assert leg.conversation.name == "room"

    def test_entering_a_room_leaves_the_call_s_own_conversation(self, line: Line):
        leg = line.call()
        own = leg.conversation

        line.wait(3)

        (moved,) = line.events_about(leg, Kind.TRANSFER)
        assert moved.fields["conversation_uuid_from"] == own.uuid
        assert moved.fields["conversation_uuid_to"] == leg.conversation.uuid
        assert own.uuid not in line.exchange.conversations

    def test_the_same_name_is_the_same_room_even_after_all_left(self, line: Line):
        first = line.answered()
        line.exchange.hangup(first)

        second = line.answered()

        assert second.conversation is first.conversation

    def test_the_others_stay_when_one_leaves(self, line: Line):
        first, second = line.answered(), line.answered()

        line.exchange.hangup(first)
        line.wait(100)

        assert second.is_up

    def test_end_on_exit_ends_it_for_all(self, line: Line):
        attendee, moderator = line.answered(), line.answered(flow=(room(ends=True),))

        line.exchange.party_hangs_up(moderator)

        assert attendee.status == "completed"
        assert line.last_report(attendee).get("disconnected_by") == "platform"

    def test_a_leg_with_further_actions_continues_when_the_room_ends(self, line: Line):
        attendee = line.answered(flow=(room(), say("Thank you")))
        moderator = line.answered(flow=(room(ends=True),))

        line.exchange.hangup(moderator)
        assert attendee.conversation.name is None
        line.wait(10)

        assert [what for _, what, _ in line.heard(attendee)] == ["Thank you"]
        assert attendee.status == "completed"

    def test_several_moderators_end_the_room_once(self, line: Line):
        legs = [line.answered(flow=(room(ends=True),)) for _ in range(4)]

        line.exchange.hangup(legs[0])

        assert {leg.status for leg in legs} == {"completed"}

    def test_a_moderator_that_continues_does_not_end_it_again(self, line: Line):
        rest = (say("one"), say("two", loop=0))
        legs = [line.answered(flow=(room(ends=True), *rest)) for _ in range(3)]

        line.exchange.hangup(legs[0])
        line.wait(0)

        assert [[what for _, what, _ in line.heard(leg)] for leg in legs] == [[], ["one"], ["one"]]

    def test_a_room_waits_with_music_for_a_leg_that_may_start_it(self, line: Line):
        waiting = [line.answered(flow=(room(starts=False, music=MUSIC),)) for _ in range(2)]
        line.wait(10)
        line.exchange.press(waiting[0], "1")
        assert line.heard(waiting[1]) == [("music", MUSIC, 10)]

        line.answered(flow=(room(starts=True),))
        line.wait(10)
        line.exchange.press(waiting[0], "2")

        assert line.heard(waiting[1]) == [("music", MUSIC, 12.5), ("keys", "2", 0)]

    def test_a_room_waits_again_once_all_legs_have_left(self, line: Line):
        line.exchange.hangup(line.answered())

        late = line.answered(flow=(room(starts=False, music=MUSIC),))
        line.wait(5)

        assert line.heard(late) == [("music", MUSIC, 5)]

    def test_the_music_stops_for_a_leg_transferred_from_a_waiting_room(self, line: Line):
        leg = line.answered(flow=(room(starts=False, music=MUSIC),))
        line.wait(5)

        line.exchange.transfer(leg, (room("other"),))
        line.wait(5)

        assert line.heard(leg) == [("music", MUSIC, 5)]

    def test_the_option_mute_mutes_on_entry_and_without_it_nothing_changes(self, line: Line):
        leg = line.answered(flow=(room(mute=True),))
        assert leg.is_muted

        line.exchange.transfer(leg, (room("other"),))

        assert leg.is_muted


class TestTransfer:
    def test_a_transfer_into_a_room_moves_this_leg_only(self, line: Line):
        first, second = line.answered(), line.answered()

        line.exchange.transfer(first, (room("other"),))

        assert (first.conversation.name, second.conversation.name) == ("other", "room")

    def test_a_transfer_to_other_actions_creates_a_new_conversation(self, line: Line):
        leg = line.answered()
        left = leg.conversation

        line.exchange.transfer(leg, (say("One moment"), room("other")))

        assert leg.conversation.name is None
        assert leg.conversation is not left
        line.wait(5)
        assert leg.conversation.name == "other"

    def test_a_transfer_stops_the_sound_of_the_old_flow(self, line: Line):
        leg = line.answered(flow=(say("old", loop=0),))
        line.wait(3)

        line.exchange.transfer(leg, (say("new", loop=0),))
        line.wait(3)

        assert line.heard(leg) == [("speech", "old", 3), ("speech", "new", 3)]

    def test_a_transfer_drops_the_rest_of_the_old_flow(self, line: Line):
        leg = line.answered(flow=(say("of old"), say("never")))
        line.wait(2 / 14)

        line.exchange.transfer(leg, (room(),))
        line.wait(60)

        assert [what for _, what, _ in line.heard(leg)] == ["of"]
        assert leg.is_up

    def test_a_transfer_into_the_same_room_applies_the_new_terms(self, line: Line):
        moderator, other = line.answered(flow=(room(ends=True),)), line.answered()

        line.exchange.transfer(moderator, (room(),))
        assert other.is_up
        line.exchange.hangup(moderator)

        assert other.is_up

    def test_a_transfer_of_a_moderator_ends_the_room(self, line: Line):
        moderator, other = line.answered(flow=(room(ends=True),)), line.answered()

        line.exchange.transfer(moderator, (room("other"),))

        assert other.status == "completed"


class TestConnect:
    def callee(self, line: Line):
        return list(line.exchange.legs.values())[-1]

    def connected(self, line: Line, *rest, **options):
        caller = line.answered(flow=(phone(**options), *rest))
        line.wait(2.5)
        return caller, self.callee(line)

    def test_a_transfer_brings_a_second_leg_into_the_same_conversation(self, line: Line):
        caller, callee = self.connected(line, caller="447700900456")

        assert callee is not caller
        assert (callee.status, callee.direction) == ("answered", "outbound")
        assert callee.from_ == {"type": "phone", "number": "447700900456"}
        assert callee.conversation is caller.conversation

    def test_without_from_the_caller_is_the_account_s_number(self, line: Line):
        _, callee = self.connected(line)

        assert callee.from_["number"] == "442079460000"

    @pytest.mark.parametrize("leaver", [0, 1])
    def test_the_call_ends_for_both_when_one_hangs_up(self, line: Line, leaver):
        pair = self.connected(line)

        line.exchange.party_hangs_up(pair[leaver])
        line.wait(0)

        assert [leg.status for leg in pair] == ["completed", "completed"]

    def test_the_next_action_runs_when_the_callee_leaves(self, line: Line):
        caller, callee = self.connected(line, say("Goodbye", loop=0))

        line.exchange.party_hangs_up(callee)
        line.wait(3)

        assert line.heard(caller) == [("speech", "Goodbye", 3)]

    @pytest.mark.parametrize(
        ("number", "status"),
        [
            (BUSY, "busy"),
            ("447700900201", "rejected"),
            ("447700900203", "failed"),
            ("447700900202", "timeout"),
        ],
    )
    def test_the_next_action_runs_when_the_call_is_not_answered(self, line: Line, number, status):
        caller = line.answered(flow=(phone(number, timeout=10), say("Nobody", loop=0)))

        line.wait(11)

        assert self.callee(line).status == status
        assert [what for _, what, _ in line.heard(caller)] == ["Nobody"]

    def test_endpoints_are_tried_in_turn_until_one_answers(self, line: Line):
        caller = line.answered(flow=(phone(BUSY), phone("447700900201"), phone(PERSON)))

        line.wait(10)

        legs = list(line.exchange.legs.values())
        assert [leg.status for leg in legs] == ["answered", "busy", "rejected", "answered"]
        assert legs[-1].conversation is caller.conversation

    def test_the_limit_counts_from_the_callee_s_answer(self, line: Line):
        caller, callee = self.connected(line, limit=60)

        line.wait(60)

        assert line.reports(callee)[-1] == (62.5, "completed")
        assert caller.status == "completed"

    def test_a_caller_that_leaves_cancels_the_ringing_leg(self, line: Line):
        caller = line.answered(flow=(phone(BY_HAND),))
        line.wait(5)

        line.exchange.hangup(caller)

        assert self.callee(line).status == "cancelled"

    def test_transferring_the_caller_leaves_the_callee_without_a_call(self, line: Line):
        caller, callee = self.connected(line)

        line.exchange.transfer(caller, (room(),))

        assert caller.is_up
        assert callee.status == "completed"

    def test_transferring_the_callee_lets_the_caller_continue(self, line: Line):
        caller, callee = self.connected(line, say("Gone", loop=0))

        line.exchange.transfer(callee, (room(),))
        line.wait(2)

        assert callee.conversation.name == "room"
        assert line.heard(caller) == [("speech", "Gone", 2)]
        line.exchange.hangup(caller)
        assert callee.is_up

    def test_the_ringback_tone_is_heard_until_the_callee_joins(self, line: Line):
        caller, _ = self.connected(line, ringback="http://x/tone.mp3")
        line.wait(100)

        assert line.heard(caller) == [("music", "http://x/tone.mp3", 2.5)]

    def test_a_callee_under_synchronous_detection_does_not_join_before_the_verdict(self, line: Line):
        detect = Detection(behavior=Behavior.CONTINUE, mode=Mode.DETECT)
        caller, callee = self.connected(line, detection=detect)

        for digit in "12":
            line.exchange.press(caller, digit)
            line.exchange.press(callee, digit)
            line.pass_by(2)

        assert [what for _, what, _ in line.heard(caller)] == ["2"]
        assert [what for _, what, _ in line.heard(callee)] == ["2"]

    def test_a_machine_that_is_hung_up_on_counts_as_gone(self, line: Line):
        detect = Detection(behavior=Behavior.HANGUP)
        caller = line.answered(flow=(phone(MACHINE, detection=detect), say("Machine", loop=0)))

        line.wait(10)

        assert self.callee(line).status == "completed"
        assert [what for _, what, _ in line.heard(caller)] == ["Machine"]

    def test_over_the_rate_limit_the_next_action_runs(self):
        busy = line(may_dial=lambda: False)
        caller = busy.answered(flow=(*[phone()] * 2000, say("Sorry", loop=0)))

        busy.wait(0)

        assert list(busy.exchange.legs.values()) == [caller]
        assert [what for _, what, _ in busy.heard(caller)] == ["Sorry"]
        assert len(busy.events_about(caller, Kind.ERROR)) == 2000
