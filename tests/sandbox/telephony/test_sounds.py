"""Audibility between legs, and the sounds that each party heard."""

import pytest

from tests.sandbox.parts import Line, phone, room, say, saying
from voicectl.sandbox.telephony.sounds import Sound, audio


def keys_heard(line: Line, leg) -> str:
    return "".join(what for kind, what, _ in line.heard(leg) if kind == "keys")


@pytest.fixture
def three(line: Line):
    """Three legs in one room."""
    return [line.answered() for _ in range(3)]


class TestAmongLegs:
    def test_all_other_legs_of_the_room_hear_a_party(self, line: Line, three):
        line.exchange.press(three[0], "1#")

        assert [keys_heard(line, leg) for leg in three] == ["", "1#", "1#"]
        assert three[1].audio.heard[0].source == three[0].uuid

    def test_legs_outside_the_room_do_not_hear_it(self, line: Line, three):
        outside = line.answered(flow=(room("other"),))

        line.exchange.press(three[0], "1")
        line.exchange.press(outside, "2")

        assert keys_heard(line, outside) == ""
        assert keys_heard(line, three[1]) == "1"

    @pytest.mark.parametrize("muted", [False, True])
    @pytest.mark.parametrize("earmuffed", [False, True])
    def test_mute_silences_a_leg_and_earmuff_deafens_it(self, line: Line, three, muted, earmuffed):
        line.exchange.mute(three[0], on=muted)
        line.exchange.earmuff(three[1], on=earmuffed)

        line.exchange.press(three[0], "1")
        line.exchange.press(three[1], "2")

        assert keys_heard(line, three[0]) == "2"
        assert keys_heard(line, three[1]) == ("" if muted or earmuffed else "1")
        assert keys_heard(line, three[2]) == ("2" if muted else "12")

    def test_unmute_and_unearmuff_undo_it(self, line: Line, three):
        for on in (True, False):
            line.exchange.mute(three[0], on=on)
            line.exchange.earmuff(three[1], on=on)

        line.exchange.press(three[0], "1")

        assert keys_heard(line, three[1]) == "1"

    def test_mute_and_earmuff_survive_a_transfer(self, line: Line, three):
        line.exchange.mute(three[0], on=True)
        line.exchange.earmuff(three[1], on=True)
        for leg in three:
            line.exchange.transfer(leg, (room("other"),))

        line.exchange.press(three[0], "1")
        line.exchange.press(three[2], "3")

        assert [keys_heard(line, leg) for leg in three] == ["3", "", ""]

    def test_can_speak_lists_the_legs_that_hear_a_leg(self, line: Line, three):
        agent = three[0]
        supervisor = line.answered(flow=(room(can_speak=frozenset({agent.uuid})),))

        line.exchange.press(supervisor, "9")

        assert [keys_heard(line, leg) for leg in three] == ["9", "", ""]

    def test_can_hear_lists_the_legs_that_a_leg_hears(self, line: Line, three):
        listener = line.answered(flow=(room(can_hear=frozenset({three[1].uuid})),))

        for i, leg in enumerate(three):
            line.exchange.press(leg, str(i))

        assert keys_heard(line, listener) == "1"

    def test_an_empty_list_means_no_leg(self, line: Line, three):
        ghost = line.answered(flow=(room(can_hear=frozenset(), can_speak=frozenset()),))

        line.exchange.press(ghost, "1")
        line.exchange.press(three[0], "2")

        assert keys_heard(line, ghost) == ""
        assert keys_heard(line, three[1]) == "2"

    def test_a_leg_that_joins_later_is_not_on_the_list(self, line: Line, three):
        listener = line.answered(flow=(room(can_hear=frozenset({three[1].uuid})),))
        late = line.answered()

        line.exchange.press(late, "1")

        assert keys_heard(line, listener) == ""

    def test_the_lists_end_when_the_leg_leaves(self, line: Line, three):
        ghost = line.answered(flow=(room(can_hear=frozenset(), can_speak=frozenset()),))
        line.exchange.transfer(ghost, (room(),))

        line.exchange.press(ghost, "1")

        assert keys_heard(line, three[0]) == "1"

    def test_connected_parties_hear_each_other(self, line: Line):
        caller = line.answered(flow=(phone(),))
        line.wait(2.5)
        callee = list(line.exchange.legs.values())[-1]

        line.exchange.press(caller, "1")
        line.exchange.press(callee, "2")

        assert (keys_heard(line, caller), keys_heard(line, callee)) == ("2", "1")

    def test_a_ringing_party_hears_nothing(self, line: Line):
        caller = line.answered(flow=(phone(),))
        line.wait(1)

        line.exchange.press(caller, "1")

        assert list(line.exchange.legs.values())[-1].audio.heard == []


class TestPrompts:
    def test_prompts_by_rest_are_heard_by_the_addressed_leg_alone(self, line: Line, three):
        line.exchange.talk(three[0], saying("Hello"))
        line.exchange.stream(three[0], audio("http://x/a.mp3", options={}))
        line.exchange.dtmf(three[0], "1p2")
        line.wait(10)

        assert line.heard(three[0]) == [
            ("speech", "Hello", 0.357),
            ("audio", "http://x/a.mp3", 5),
            ("keys", "1p2", 1.02),
        ]
        assert line.heard(three[1]) == line.heard(three[2]) == []

    def test_earmuffs_do_not_block_prompts(self, line: Line, three):
        line.exchange.earmuff(three[0], on=True)

        line.exchange.talk(three[0], saying("Hello"))

        assert [what for _, what, _ in line.heard(three[0])] == ["Hello"]

    def test_a_new_talk_replaces_a_playing_one(self, line: Line, three):
        line.exchange.talk(three[0], saying("first", loop=0))
        line.wait(4)

        line.exchange.talk(three[0], saying("second", loop=0))
        line.wait(2)

        assert line.heard(three[0]) == [("speech", "first", 4), ("speech", "second", 2)]

    def test_a_stream_does_not_replace_a_talk(self, line: Line, three):
        line.exchange.talk(three[0], saying("talk", loop=0))
        line.exchange.stream(three[0], audio("http://x/a.mp3", loop=0, options={}))
        line.wait(3)

        assert [seconds for _, _, seconds in line.heard(three[0])] == [3, 3]

    def test_stop_cuts_the_sound(self, line: Line, three):
        line.exchange.talk(three[0], saying("talk", loop=0))
        line.wait(3)

        line.exchange.talk(three[0], None)
        line.wait(3)

        assert line.heard(three[0]) == [("speech", "talk", 3)]

    def test_stopping_a_finished_sound_changes_nothing(self, line: Line, three):
        line.exchange.talk(three[0], saying("x" * 14))
        line.wait(3)

        line.exchange.talk(three[0], None)
        line.exchange.talk(three[0], None)

        assert line.heard(three[0]) == [("speech", "x" * 14, 1)]

    def test_rest_does_not_stop_prompts_of_the_flow(self, line: Line):
        leg = line.answered(flow=(say("flow", loop=0),))

        line.exchange.talk(leg, saying("rest", loop=0))
        line.wait(2)
        line.exchange.talk(leg, None)
        line.wait(2)

        assert line.heard(leg) == [("speech", "flow", 4), ("speech", "rest", 2)]

    def test_hanging_up_cuts_the_sound(self, line: Line, three):
        line.exchange.talk(three[0], saying("x" * 140))
        line.wait(3)

        line.exchange.party_hangs_up(three[0])
        line.wait(100)

        assert line.heard(three[0]) == [("speech", "x" * 42, 3)]

    def test_a_cut_sound_is_marked_and_has_only_the_spoken_part(self, line: Line, three):
        line.exchange.talk(three[0], saying("Welcome to Acme. For sales, press one."))
        line.wait(1.1)
        line.exchange.talk(three[0], None)
        line.exchange.talk(three[0], saying("Goodbye"))
        line.wait(2)

        cut, whole = (heard.to_json(line.exchange.now) for heard in three[0].audio.heard[-2:])
        assert (cut["text"], cut["cut"], cut["seconds"]) == ("Welcome to Acme", True, 1.1)
        assert whole["text"] == "Goodbye"
        assert "cut" not in whole

    def test_a_sound_cut_during_a_repeat_has_its_whole_text(self, line: Line, three):
        line.exchange.talk(three[0], saying("Hello", loop=0))
        line.exchange.talk(three[0], saying("Once more, hello", loop=3))
        line.wait(2)
        line.exchange.talk(three[0], None)

        heard = three[0].audio.heard[-1].to_json(line.exchange.now)
        assert (heard["text"], heard["cut"]) == ("Once more, hello", True)

    def test_a_playing_sound_shows_the_seconds_so_far(self, line: Line, three):
        line.exchange.talk(three[0], saying("x" * 140))
        line.wait(4)

        assert line.heard(three[0]) == [("speech", "x" * 140, 4)]

    def test_an_entry_has_time_text_and_kind(self, line: Line, three):
        line.exchange.talk(three[0], saying("Hi", level="-0.5", language="en-GB"))

        assert three[0].audio.heard[-1].to_json(line.exchange.now) == {
            "at": "1970-01-01T00:00:07.500Z",
            "kind": "speech",
            "from": "platform",
            "text": "Hi",
            "seconds": 0,
            "level": "-0.5",
            "language": "en-GB",
        }


class TestLeavingMidSentence:
    def test_the_others_hear_the_rest(self, line: Line):
        speaker, leaver, stayer = (line.answered() for _ in range(3))
        line.exchange.say(speaker, "x" * 140)
        line.wait(1)

        line.exchange.hangup(leaver)
        line.wait(20)

        assert line.heard(leaver) == [("speech", "x" * 14, 1.0)]
        assert line.heard(stayer) == [("speech", "x" * 140, 10.0)]

    def test_a_leg_that_is_moved_hears_no_more_of_it(self, line: Line):
        speaker, moved = line.answered(), line.answered()
        line.exchange.say(speaker, "x" * 140)
        line.wait(1)

        line.exchange.transfer(moved, (room("other"),))
        line.wait(20)

        assert line.heard(moved) == [("speech", "x" * 14, 1.0)]

    def test_the_speech_of_a_speaker_moves_with_it(self, line: Line):
        speaker, listener = line.answered(), line.answered()
        line.exchange.say(speaker, "x" * 140)
        line.wait(1)

        line.exchange.transfer(speaker, (room("other"),))
        line.wait(20)

        assert line.heard(listener) == [("speech", "x" * 14, 1.0)]

    def test_a_sound_for_all_continues_for_those_who_stay(self, line: Line):
        leaver, stayer = line.answered(), line.answered()
        line.exchange.media.play_to_all(stayer.conversation, Sound.SPEECH, saying("x" * 140))
        line.wait(1)

        line.exchange.hangup(leaver)
        line.wait(20)

        assert [heard[2] for leg in (leaver, stayer) for heard in line.heard(leg)] == [1.0, 10.0]

    def test_a_leg_removed_from_a_room_hears_no_more_of_it(self, line: Line):
        speaker = line.answered(flow=(room(), say("alone", loop=0)))
        attendee = line.answered(flow=(room(), say("alone", loop=0)))
        moderator = line.answered(flow=(room(ends=True),))
        line.exchange.say(speaker, "x" * 140)
        line.wait(1)

        line.exchange.hangup(moderator)
        line.wait(20)

        assert line.heard(attendee)[0] == ("speech", "x" * 14, 1.0)
