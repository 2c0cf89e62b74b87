"""``input``: the end of keys and speech, and the fields of the event."""

import pytest

from tests.sandbox.parts import Line, room, say
from voicectl.sandbox.telephony.actions import DtmfTerms, Input, Notify, SpeechTerms, Wait, Webhook
from voicectl.sandbox.telephony.effects import Event, Kind, SaveRecording
from voicectl.sandbox.telephony.state import Leg

KEYS = Input(dtmf=DtmfTerms())
SPEECH = Input(speech=SpeechTerms())
BOTH = Input(dtmf=DtmfTerms(time_out=3), speech=SpeechTerms(start_timeout=5))
NOTHING_SAID = {"results": []}
OVERRIDDEN = {"error": "Speech overridden by DTMF"}


def listened(line: Line, *flow, number="447700900001") -> Leg:
    """Return a leg whose flow has just started."""
    leg = line.call(number, flow)
    line.wait(2.5)
    return leg


def taken(line: Line, leg: Leg) -> list[Event]:
    return line.events_about(leg, Kind.INPUT)


def result(line: Line, leg: Leg) -> tuple[dict, dict]:
    (event,) = taken(line, leg)
    return event.fields["dtmf"], event.fields["speech"]


def since_answer(leg: Leg, event: Event) -> float:
    return (event.at - leg.answered_at) / 1000


class TestKeys:
    def test_the_keys_are_complete_when_all_are_pressed(self, line: Line):
        leg = listened(line, KEYS)

        line.exchange.press(leg, "12345")

        assert result(line, leg) == ({"digits": "1234", "timed_out": False}, NOTHING_SAID)

    def test_the_time_runs_from_the_start_and_from_each_key(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(time_out=3)))
        line.wait(2)
        line.exchange.press(leg, "1")
        line.wait(2)
        line.exchange.press(leg, "2")
        line.wait(2.9)
        assert taken(line, leg) == []

        line.wait(0.1)

        assert result(line, leg)[0] == {"digits": "12", "timed_out": True}

    def test_an_input_without_keys_is_reported_too(self, line: Line):
        leg = listened(line, KEYS)

        line.wait(3)

        assert result(line, leg) == ({"digits": "", "timed_out": True}, NOTHING_SAID)

    def test_the_hash_ends_the_keys_and_is_not_one_of_them(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(max_digits=20, submit_on_hash=True)))

        line.exchange.press(leg, "42#9")

        assert result(line, leg)[0] == {"digits": "42", "timed_out": False}

    def test_the_hash_is_an_ordinary_key_unless_it_submits(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(max_digits=2)))

        line.exchange.press(leg, "#1")

        assert result(line, leg)[0]["digits"] == "#1"

    def test_the_oldest_form_gets_its_own_result(self, line: Line):
        """Samples of 2016 to 2018 read ``dtmf`` as text."""
        leg = listened(line, Input(dtmf=DtmfTerms(max_digits=1), is_old=True))

        line.exchange.press(leg, "2")

        (event,) = taken(line, leg)
        assert event.fields["dtmf"] == "2"
        assert event.fields["timed_out"] is False
        assert "speech" not in event.fields

    def test_the_oldest_form_is_reported_too_without_keys(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(), is_old=True))

        line.wait(3)

        (event,) = taken(line, leg)
        assert (event.fields["dtmf"], event.fields["timed_out"]) == ("", True)

    def test_keys_before_an_input_are_lost(self, line: Line):
        leg = listened(line, say("x" * 28), KEYS)
        line.exchange.press(leg, "9")
        line.wait(2)

        line.exchange.press(leg, "1234")

        assert result(line, leg)[0]["digits"] == "1234"

    def test_speech_does_not_count_as_keys(self, line: Line):
        leg = listened(line, KEYS)

        line.exchange.say(leg, "Hello")
        line.wait(3)

        assert result(line, leg) == ({"digits": "", "timed_out": True}, NOTHING_SAID)

    def test_the_event_names_the_leg_and_goes_to_the_url_of_the_action(self, line: Line):
        url = Webhook(url="http://127.0.0.1:1/in", method="GET")
        leg = listened(line, Input(dtmf=DtmfTerms(max_digits=1), events=url))
        line.exchange.press(leg, "1")

        (event,) = taken(line, leg)

        assert (event.webhook, event.may_bring_ncco) == (url, True)
        assert event.fields["uuid"] == leg.uuid
        assert event.fields["conversation_uuid"] == leg.conversation.uuid
        assert (event.fields["from"], event.fields["to"]) == ("447700900456", "447700900001")


class TestTheReply:
    def test_without_an_ncco_the_next_action_runs(self, line: Line):
        leg = listened(line, KEYS, say("Thank you", loop=0))
        line.exchange.press(leg, "1234")
        assert line.heard(leg) == []

        line.exchange.replied(taken(line, leg)[0], None)

        assert [what for _, what, _ in line.heard(leg)] == ["Thank you"]

    def test_an_ncco_replaces_the_rest(self, line: Line):
        leg = listened(line, KEYS, say("never"))
        line.exchange.press(leg, "1234")

        line.exchange.replied(taken(line, leg)[0], (say("instead", loop=0),))

        assert [what for _, what, _ in line.heard(leg)] == ["instead"]

    def test_an_empty_ncco_counts_as_no_reply(self, line: Line):
        leg = listened(line, KEYS, say("Thank you", loop=0))
        line.exchange.press(leg, "1234")

        line.exchange.replied(taken(line, leg)[0], ())

        assert [what for _, what, _ in line.heard(leg)] == ["Thank you"]

    def test_a_reply_after_a_transfer_is_too_late(self, line: Line):
        leg = listened(line, KEYS, say("never"))
        line.exchange.press(leg, "1234")
        line.exchange.transfer(leg, (say("elsewhere", loop=0),))

        line.exchange.replied(taken(line, leg)[0], (say("too late"),))

        assert [what for _, what, _ in line.heard(leg)] == ["elsewhere"]

    def test_a_reply_after_the_end_of_the_leg_is_too_late(self, line: Line):
        leg = listened(line, KEYS)
        line.exchange.press(leg, "1234")
        line.exchange.hangup(leg)

        line.exchange.replied(taken(line, leg)[0], (say("too late"),))

        assert line.heard(leg) == []


class TestSpeech:
    def test_speech_is_complete_after_a_silence(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(end_on_silence=1.5)))
        line.wait(1)
        line.exchange.say(leg, "x" * 14)

        line.wait(10)

        assert result(line, leg) == (
            {"digits": None, "timed_out": False},
            {
                "timeout_reason": "end_on_silence_timeout",
                "results": [{"text": "x" * 14, "confidence": "0.92"}],
            },
        )
        assert since_answer(leg, taken(line, leg)[0]) == 3.5

    def test_speech_soon_afterwards_belongs_to_it(self, line: Line):
        leg = listened(line, SPEECH)
        line.exchange.say(leg, "sales")
        line.wait(1.5)
        line.exchange.say(leg, "please")

        line.wait(10)

        assert result(line, leg)[1]["results"][0]["text"] == "sales please"

    def test_silence_is_reported(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(start_timeout=4)))

        line.wait(4)

        assert result(line, leg) == (
            {"digits": None, "timed_out": False},
            {"timeout_reason": "start_timeout", "results": []},
        )

    def test_speech_is_cut_at_the_longest_duration(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(max_duration=2)))
        line.exchange.say(leg, "one two three four five six seven eight nine ten")

        line.wait(10)

        speech = result(line, leg)[1]
        assert speech["timeout_reason"] == "max_duration"
        assert speech["results"][0]["text"] == "one two three four five six"
        assert since_answer(leg, taken(line, leg)[0]) == 2

    def test_another_leg_of_the_conversation_may_be_listened_to(self, line: Line):
        other = line.answered()
        terms = Input(dtmf=DtmfTerms(), speech=SpeechTerms(uuid=other.uuid))
        leg = line.answered(flow=(Input(dtmf=DtmfTerms(), is_asynchronous=True), room()))
        line.exchange.press(leg, "1")
        line.exchange.replied(taken(line, leg)[0], (terms,))

        line.exchange.say(leg, "not me")
        line.exchange.press(other, "9999")
        line.exchange.say(other, "but me")
        line.wait(10)

        assert taken(line, leg)[-1].fields["speech"]["results"][0]["text"] == "but me"

    def test_the_audio_is_kept_and_its_url_is_in_the_event(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(save_audio=True)))
        line.exchange.say(leg, "Hello")
        line.wait(10)
        (kept,) = [effect for effect in line.collect() if isinstance(effect, SaveRecording)]
        assert taken(line, leg) == []

        line.exchange.media.recorded(kept.recording, url="http://files/1", size=1)

        assert result(line, leg)[1]["recording_url"] == "http://files/1"
        assert kept.recording.only == leg.uuid
        assert [track.heard.prompt.content for track in kept.recording.tracks] == [{"text": "Hello"}]
        assert line.events_about(leg, Kind.RECORD) == []

    def test_audio_that_could_not_be_kept_delays_nothing(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(save_audio=True)))
        line.wait(20)
        (kept,) = [effect for effect in line.collect() if isinstance(effect, SaveRecording)]

        line.exchange.media.recorded(kept.recording, url="http://files/1", size=0)

        assert "recording_url" not in result(line, leg)[1]

    def test_audio_of_a_caller_who_hung_up_is_not_a_separate_recording(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(save_audio=True)))
        line.exchange.party_hangs_up(leg)

        line.pass_by(1)

        assert line.events_about(leg, Kind.RECORD) == []

    def test_audio_after_a_transfer_is_not_reported(self, line: Line):
        leg = listened(line, Input(speech=SpeechTerms(save_audio=True, start_timeout=2)))
        line.wait(2)

        line.exchange.transfer(leg, (say("elsewhere", loop=0),))
        line.pass_by(5)

        assert taken(line, leg) == []
        assert [what for _, what, _ in line.heard(leg)] == ["elsewhere"]

    def test_audio_from_before_the_input_is_reported_with_it(self, line: Line):
        terms = Input(dtmf=DtmfTerms(max_digits=1), speech=SpeechTerms(save_audio=True))
        leg = listened(line, say("x" * 14, barge=True), Wait(seconds=5), terms)
        line.wait(2)
        line.exchange.press(leg, "1")

        line.pass_by(10)

        assert result(line, leg)[0]["digits"] == "1"


class TestKeysOrSpeech:
    def test_the_first_result_ends_the_input(self, line: Line):
        leg = listened(line, BOTH)

        line.exchange.press(leg, "1234")

        assert result(line, leg) == ({"digits": "1234", "timed_out": False}, OVERRIDDEN)

    def test_keys_that_end_by_a_timeout_override_speech_too(self, line: Line):
        leg = listened(line, BOTH)
        line.exchange.press(leg, "1")

        line.wait(3)

        assert result(line, leg) == ({"digits": "1", "timed_out": True}, OVERRIDDEN)

    def test_silence_is_reported_when_both_timers_have_expired(self, line: Line):
        leg = listened(line, BOTH)
        line.wait(4.9)
        assert taken(line, leg) == []

        line.wait(0.1)

        assert result(line, leg) == (
            {"digits": "", "timed_out": True},
            {"timeout_reason": "start_timeout", "results": []},
        )

    def test_speech_in_progress_suspends_the_timer_for_keys(self, line: Line):
        leg = listened(line, BOTH)
        line.wait(2.5)
        line.exchange.say(leg, "x" * 70)

        line.wait(20)

        assert result(line, leg)[1]["timeout_reason"] == "end_on_silence_timeout"
        assert since_answer(leg, taken(line, leg)[0]) == 2.5 + 5 + 2

    def test_speech_after_a_key_suspends_it_too(self, line: Line):
        leg = listened(line, BOTH)
        line.exchange.press(leg, "1")
        line.exchange.say(leg, "x" * 70)

        line.wait(20)

        dtmf, speech = result(line, leg)
        assert dtmf == {"digits": "1", "timed_out": False}
        assert speech["results"][0]["text"] == "x" * 70


class TestBargeIn:
    def test_a_key_cuts_the_prompts_and_counts(self, line: Line):
        menu = (say("x" * 140, barge=True), say("y" * 140), Input(dtmf=DtmfTerms(max_digits=2)))
        leg = listened(line, *menu)
        line.wait(1)

        line.exchange.press(leg, "4")
        line.wait(1)
        line.exchange.press(leg, "2")

        assert line.heard(leg) == [("speech", "x" * 14, 1.0)]
        assert result(line, leg)[0] == {"digits": "42", "timed_out": False}

    def test_speech_cuts_the_prompts_too(self, line: Line):
        leg = listened(line, say("x" * 140, barge=True), SPEECH)
        line.wait(1)

        line.exchange.say(leg, "agent")
        line.wait(10)

        assert line.heard(leg) == [("speech", "x" * 14, 1.0)]
        assert result(line, leg)[1]["results"][0]["text"] == "agent"

    def test_without_a_key_the_prompts_finish_before_the_timer_starts(self, line: Line):
        leg = listened(line, say("x" * 140, barge=True), KEYS)

        line.wait(60)

        assert line.heard(leg) == [("speech", "x" * 140, 10.0)]
        assert since_answer(leg, taken(line, leg)[0]) == 13

    def test_barge_in_ends_with_an_input(self, line: Line):
        leg = listened(line, say("x" * 14, barge=True), KEYS, say("z" * 140), KEYS)
        line.exchange.press(leg, "1234")
        line.wait(0)
        line.exchange.replied(taken(line, leg)[0], None)
        line.wait(1)

        line.exchange.press(leg, "5")
        line.wait(8)

        assert line.heard(leg)[-1] == ("speech", "z" * 140, 9.0)

    def test_keys_that_are_all_pressed_early_wait_for_the_input(self, line: Line):
        leg = listened(line, say("x" * 140, barge=True), KEYS)

        line.exchange.press(leg, "1234")
        assert taken(line, leg) == []
        line.wait(0)

        assert result(line, leg)[0]["digits"] == "1234"


class TestAsynchronous:
    def test_each_key_is_reported_at_once_while_the_flow_continues(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(), is_asynchronous=True), room())

        line.exchange.press(leg, "12")
        line.wait(5)
        line.exchange.press(leg, "#")

        assert [event.fields["dtmf"]["digits"] for event in taken(line, leg)] == ["1", "2", "#"]
        assert leg.conversation.name == "room"

    def test_a_reply_replaces_the_running_flow(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(), is_asynchronous=True), say("x" * 140))
        line.wait(1)
        line.exchange.press(leg, "1")

        line.exchange.replied(taken(line, leg)[0], (say("instead", loop=0),))

        assert [(what, seconds) for _, what, seconds in line.heard(leg)] == [
            ("x" * 14, 1.0),
            ("instead", 0.0),
        ]

    def test_a_prompt_before_it_may_be_cut(self, line: Line):
        leg = listened(
            line, say("x" * 140, barge=True), Input(dtmf=DtmfTerms(), is_asynchronous=True), room()
        )
        line.wait(1)

        line.exchange.press(leg, "1")
        line.wait(0)

        assert line.heard(leg) == [("speech", "x" * 14, 1.0)]
        assert taken(line, leg)[0].fields["dtmf"]["digits"] == "1"
        assert leg.conversation.name == "room"

    def test_a_synchronous_input_replaces_it(self, line: Line):
        leg = listened(
            line, Input(dtmf=DtmfTerms(), is_asynchronous=True), Input(dtmf=DtmfTerms(max_digits=1))
        )

        line.exchange.press(leg, "1")

        assert len(taken(line, leg)) == 1

    def test_the_reply_to_an_earlier_key_is_too_late(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(), is_asynchronous=True), room())
        line.exchange.press(leg, "12")
        first, second = taken(line, leg)
        line.exchange.replied(second, (say("second", loop=0),))

        line.exchange.replied(first, (say("first", loop=0),))

        assert [what for _, what, _ in line.heard(leg)] == ["second"]

    def test_an_overtaken_reply_is_too_late(self, line: Line):
        url = Webhook(url="http://127.0.0.1:1/n", method="POST")
        leg = listened(
            line, Input(dtmf=DtmfTerms(), is_asynchronous=True), Notify(payload={}, events=url), say("never")
        )
        line.exchange.press(leg, "5")
        (notified,) = line.events_about(leg, Kind.NOTIFY)
        line.exchange.replied(taken(line, leg)[0], (say("x" * 140), say("second")))

        line.exchange.replied(notified, None)
        line.wait(1)

        assert line.heard(leg) == [("speech", "x" * 140, 1.0)]

    def test_a_transfer_ends_it(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(), is_asynchronous=True), room())
        line.exchange.transfer(leg, (room("other"),))

        line.exchange.press(leg, "1")

        assert taken(line, leg) == []


class TestCalleesThatPressKeys:
    @pytest.mark.parametrize(("number", "first", "second"), [("142", "4", "2"), ("107", "0", "7")])
    def test_it_presses_one_of_its_two_digits_at_each_input(self, line: Line, number, first, second):
        one = Input(dtmf=DtmfTerms(max_digits=1))
        leg = listened(line, one, one, one, number=f"447700900{number}")
        pressed = []
        for _ in range(3):
            line.wait(1)
            event = taken(line, leg)[-1]
            pressed.append(event.fields["dtmf"]["digits"])
            line.exchange.replied(event, None)

        assert pressed == [first, second, first]

    def test_a_hash_that_comes_too_late_is_not_pressed(self, line: Line):
        one = Input(dtmf=DtmfTerms(max_digits=1, submit_on_hash=True))
        leg = listened(line, one, one, number="447700900112")

        line.pass_by(10)

        assert [event.fields["dtmf"]["digits"] for event in taken(line, leg)] == ["1", "2"]

    def test_it_waits_half_the_time_if_there_is_little(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(max_digits=1, time_out=1)), number="447700900142")

        line.wait(0.5)

        assert result(line, leg)[0]["digits"] == "4"

    def test_it_presses_the_hash_where_that_submits(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(submit_on_hash=True)), number="447700900142")

        line.wait(1.5)

        assert result(line, leg)[0] == {"digits": "4", "timed_out": False}

    def test_it_presses_both_a_second_apart_where_each_key_is_reported(self, line: Line):
        leg = listened(line, Input(dtmf=DtmfTerms(), is_asynchronous=True), room(), number="447700900142")

        line.wait(30)

        received = [(since_answer(leg, event), event.fields["dtmf"]["digits"]) for event in taken(line, leg)]
        assert received == [(1, "4"), (2, "2")]

    def test_it_presses_both_once_in_a_call(self, line: Line):
        each_key = Input(dtmf=DtmfTerms(), is_asynchronous=True)
        leg = listened(line, each_key, Wait(seconds=10), each_key, room(), number="447700900142")

        line.pass_by(60)

        assert [event.fields["dtmf"]["digits"] for event in taken(line, leg)] == ["4", "2"]

    def test_it_presses_during_the_first_prompt_that_may_be_cut(self, line: Line):
        leg = listened(line, say("x" * 140, barge=True), KEYS, number="447700900142")

        line.wait(5)

        assert line.heard(leg) == [("speech", "x" * 14, 1.0)]

    def test_a_speaker_says_its_phrase(self, line: Line):
        leg = listened(line, SPEECH, number="447700900700")

        line.wait(20)

        assert result(line, leg)[1]["results"][0]["text"] == leg.far_end.phrase
