"""``record``: its sounds, its beginning and end, and its events."""

from tests.sandbox.parts import Line, phone, room, say
from voicectl.sandbox.telephony.actions import Format, Record, Transcription, Webhook
from voicectl.sandbox.telephony.effects import Kind, SaveRecording
from voicectl.sandbox.telephony.recording import Recording
from voicectl.sandbox.telephony.state import Conversation, Leg

VOICEMAIL = Record(format=Format.WAV, end_on_silence=4, end_on_key="#", beep_start=True)


def kept(line: Line) -> list[Recording]:
    return [effect.recording for effect in line.collect() if isinstance(effect, SaveRecording)]


def seconds(recording: Recording) -> float:
    return (recording.ended - recording.started) / 1000


def sounds(recording: Recording) -> list[str]:
    return [next(iter(track.heard.prompt.content.values())) for track in recording.tracks]


def speakers(recording: Recording) -> list[str | None]:
    return [track.speaker for track in recording.tracks]


class TestVoicemail:
    def left(self, line: Line, order: Record = VOICEMAIL) -> Leg:
        leg = line.call(flow=(say("x" * 14), order, say("Thank you", loop=0)))
        line.wait(3.5)
        return leg

    def test_it_ends_after_the_silence_and_the_flow_continues(self, line: Line):
        leg = self.left(line)
        line.wait(1)
        line.exchange.say(leg, "x" * 28)

        line.pass_by(60)

        (recording,) = kept(line)
        assert seconds(recording) == 1 + 2 + 4
        assert sounds(recording) == ["1000 Hz", "x" * 28]
        assert speakers(recording) == [None, leg.uuid]
        assert line.heard(leg)[-1][1] == "Thank you"

    def test_silence_from_the_start_ends_it_too(self, line: Line):
        self.left(line)

        line.wait(60)

        assert seconds(kept(line)[0]) == 4

    def test_its_key_ends_it(self, line: Line):
        leg = self.left(line)
        line.wait(2)

        line.exchange.press(leg, "1#2")

        assert seconds(kept(line)[0]) == 2

    def test_its_time_limit_ends_it(self, line: Line):
        leg = self.left(line, Record(end_on_key="#", time_out=30))

        line.pass_by(100)

        assert seconds(kept(line)[0]) == 30
        assert line.heard(leg)[-1][1] == "Thank you"

    def test_the_end_of_the_call_ends_it(self, line: Line):
        leg = self.left(line)
        line.wait(1)

        line.exchange.party_hangs_up(leg)

        assert seconds(kept(line)[0]) == 1
        assert leg.status == "completed"

    def test_the_file_is_reported_to_the_url_of_the_action(self, line: Line):
        url = Webhook(url="http://127.0.0.1:1/rec", method="POST")
        leg = self.left(line, Record(end_on_silence=3, events=url))
        line.wait(60)
        (recording,) = kept(line)
        assert line.events_about(leg, Kind.RECORD) == []

        line.exchange.media.recorded(recording, url="http://files/1", size=1234)

        (event,) = line.events_about(leg, Kind.RECORD)
        assert (event.webhook, event.may_bring_ncco) == (url, False)
        assert event.fields == {
            "start_time": "1970-01-01T00:00:03.500Z",
            "end_time": "1970-01-01T00:00:06.500Z",
            "recording_url": "http://files/1",
            "recording_uuid": recording.uuid,
            "size": 1234,
            "conversation_uuid": leg.conversation.uuid,
            "timestamp": "1970-01-01T00:01:03.500Z",
        }

    def test_the_flow_continues_once_the_file_is_reported(self, line: Line):
        leg = self.left(line)
        line.wait(60)
        assert line.heard(leg)[-1][1] == "1000 Hz"

        line.exchange.media.recorded(kept(line)[0], url="http://files/1", size=1)

        assert line.heard(leg)[-1][1] == "Thank you"

    def test_a_file_that_cannot_be_created_is_not_reported_and_delays_nothing(self, line: Line):
        leg = self.left(line)
        line.wait(60)

        line.exchange.media.recorded(kept(line)[0], url="http://files/1", size=0)

        assert line.events_about(leg, Kind.RECORD) == []
        assert line.heard(leg)[-1][1] == "Thank you"

    def test_speech_in_progress_is_recorded_to_its_end(self, line: Line):
        leg = line.answered(flow=(say("x" * 14), Record(end_on_silence=3)))
        line.exchange.say(leg, "x" * 140)

        line.wait(60)

        assert seconds(kept(line)[0]) == 9 + 3

    def test_a_file_that_is_ready_after_a_transfer_delays_nothing(self, line: Line):
        leg = self.left(line)
        line.exchange.transfer(leg, (say("elsewhere", loop=0),))

        line.pass_by(10)

        assert len(line.events_about(leg, Kind.RECORD)) == 1
        assert line.heard(leg)[-1][1] == "elsewhere"

    def test_the_transcription_is_reported_to_its_url(self, line: Line):
        url = Webhook(url="http://127.0.0.1:1/tr", method="POST")
        leg = self.left(line, Record(end_on_silence=3, transcription=Transcription(events=url)))
        line.wait(60)
        (recording,) = kept(line)

        line.exchange.media.transcribed(recording, url="http://files/2")

        (event,) = line.events_about(leg, Kind.TRANSCRIBED)
        assert (event.webhook, recording.transcription_id is not None) == (url, True)
        assert event.fields["status"] == "transcribed"
        assert event.fields["transcription_url"] == "http://files/2"

    def test_a_speaker_speaks_after_the_beep(self, line: Line):
        leg = line.call("447700900700", flow=(VOICEMAIL,))

        line.wait(60)

        assert speakers(kept(line)[0]) == [None, leg.uuid]


class TestInTheBackground:
    def test_it_lasts_until_the_call_ends(self, line: Line):
        leg = line.answered(flow=(Record(), say("x" * 14), phone()))
        line.wait(10)
        (callee,) = [each for each in line.exchange.legs.values() if each is not leg]
        line.exchange.say(callee, "Hello")
        line.exchange.say(leg, "Hi")
        line.wait(5)

        line.exchange.hangup(leg)

        (recording,) = kept(line)
        assert seconds(recording) == 15
        assert list(zip(sounds(recording), speakers(recording), strict=True)) == [
            ("x" * 14, None),
            ("Hello", callee.uuid),
            ("Hi", leg.uuid),
        ]

    def test_only_a_timeout_ends_it_while_the_flow_continues(self, line: Line):
        leg = line.answered(flow=(Record(time_out=5), say("x" * 140)))

        line.wait(60)

        assert seconds(kept(line)[0]) == 5
        assert leg.status == "completed"

    def test_it_follows_its_leg_into_a_room(self, line: Line):
        other = line.answered()
        leg = line.answered(flow=(Record(), room()))
        line.exchange.say(other, "Hello")

        line.exchange.hangup(leg)

        assert speakers(kept(line)[0]) == [other.uuid]

    def test_a_muted_leg_is_not_recorded(self, line: Line):
        leg = line.answered(flow=(Record(), room()))
        line.exchange.mute(leg, on=True)
        line.exchange.say(leg, "secret")

        line.exchange.hangup(leg)

        assert sounds(kept(line)[0]) == []

    def test_speech_in_progress_is_recorded(self, line: Line):
        leg = line.answered()
        line.exchange.say(leg, "x" * 140)
        line.wait(1)

        line.exchange.record_all(leg.conversation, Record())
        line.wait(1)
        line.exchange.hangup(leg)

        assert speakers(kept(line)[0]) == [leg.uuid]

    def test_a_sound_in_progress_is_recorded(self, line: Line):
        leg = line.answered(flow=(room("quiet", starts=False, music="http://m/1"),))

        line.exchange.record_all(leg.conversation, Record())
        line.exchange.hangup(leg)

        assert sounds(kept(line)[0]) == ["http://m/1"]


class TestRecordingARoom:
    def conversation(self, line: Line) -> Conversation:
        return next(each for each in line.exchange.conversations.values() if each.name == "room")

    def test_it_is_recorded_from_its_start_until_it_is_empty(self, line: Line):
        attendee = line.answered(flow=(room(starts=False),))
        moderator = line.answered(flow=(room(record=Record()),))
        line.exchange.say(attendee, "Hello")
        line.wait(10)
        line.exchange.hangup(moderator)
        line.wait(5)
        assert kept(line) == []

        line.exchange.hangup(attendee)

        (recording,) = kept(line)
        assert seconds(recording) == 15
        assert recording.conversation_uuid == self.conversation(line).uuid

    def test_two_requests_make_one_recording(self, line: Line):
        legs = [line.answered(flow=(room(record=Record()),)) for _ in range(2)]

        for leg in legs:
            line.exchange.hangup(leg)

        assert len(kept(line)) == 1

    def test_a_conversation_can_be_recorded_as_a_whole(self, line: Line):
        leg = line.answered()
        line.exchange.record_all(leg.conversation, Record(), retention_days=7)
        line.wait(3)

        line.exchange.media.stop_recordings(leg.conversation.recordings)

        (recording,) = kept(line)
        assert (seconds(recording), recording.retention_days) == (3, 7)
        assert leg.is_up
