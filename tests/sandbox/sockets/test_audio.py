"""The audio of a WebSocket in both directions, on the call clock, without a connection."""

import json
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.parts import Line, line, saying
from voicectl.sandbox.recordings.audio import mix
from voicectl.sandbox.sockets.audio import (
    BUFFERED_MESSAGES,
    MAX_BEHIND_MS,
    Feed,
    Playout,
    SoundCache,
    frame_bytes,
)
from voicectl.sandbox.telephony.sounds import Pcm, Sound, keys
from voicectl.sandbox.telephony.state import Leg

RATE = 8000
FRAME = frame_bytes(RATE)
SOCKET = {
    "type": "websocket",
    "uri": "ws://127.0.0.1/bot",
    "content-type": "audio/l16;rate=8000",
    "headers": {},
}
SILENCE = bytes(FRAME)
SOUND = b"\x10\x20" * (FRAME // 2)


def meeting(line: Line) -> tuple[Leg, Leg]:
    """A bot and a person in one room."""
    person = line.answered()
    bot = line.call(to=SOCKET)
    line.exchange.socket_opened(bot)
    return bot, person


def drain(feed: Feed, now: int) -> list[bytes | str]:
    messages = []
    while taken := feed.take(now):
        messages += taken
    return messages


def heard(line: Line, leg: Leg) -> list[tuple[float, float]]:
    """Return the beginning and the length of each sound that *leg* heard from the bot."""
    return [
        (each.at / 1000, ((each.until or line.exchange.now) - each.at) / 1000)
        for each in leg.audio.heard
        if each.prompt.pcm is not None
    ]


class TestFeed:
    def test_sounds_arrive_in_frames_however_the_clock_moves(self):
        @given(st.lists(st.integers(1, 700), min_size=1, max_size=12))
        def check(steps):
            on = line()
            bot, person = meeting(on)
            feed = Feed(bot, RATE, start := on.exchange.now)
            on.exchange.talk(bot, saying("One two three"))
            on.exchange.media.speak(person, saying("Four"))

            frames = []
            for moment in accumulate(steps, initial=start):
                on.exchange.run(moment)
                frames += drain(feed, moment)

            assert {len(frame) for frame in frames} <= {FRAME}
            end = start + 20 * (sum(steps) // 20)
            assert b"".join(frames) == mix(bot.audio.heard, start, end, RATE)

        check()

    def test_silence_is_sent_while_there_is_no_sound(self, line: Line):
        bot, _ = meeting(line)
        feed = Feed(bot, RATE, line.exchange.now)
        line.wait(0.1)

        assert drain(feed, line.exchange.now) == [SILENCE] * 5
        assert not feed.has_sound

    def test_a_part_of_a_frame_waits_for_the_rest(self, line: Line):
        bot, _ = meeting(line)
        feed = Feed(bot, RATE, line.exchange.now)
        line.wait(0.019)
        assert not feed.is_due(line.exchange.now)

        line.wait(0.001)

        assert feed.is_due(line.exchange.now)

    def test_a_server_that_reads_slowly_loses_the_oldest_frames(self, line: Line):
        bot, _ = meeting(line)
        feed = Feed(bot, RATE, line.exchange.now)
        line.wait(60)

        assert len(drain(feed, line.exchange.now)) == MAX_BEHIND_MS // 20
        assert feed.lost_ms == 60_000 - MAX_BEHIND_MS

    def test_each_key_is_reported_when_its_tone_begins(self, line: Line):
        bot, person = meeting(line)
        feed = Feed(bot, RATE, line.exchange.now)
        line.exchange.press(person, "1p#")
        feed.press(bot.audio.heard[-1])

        messages, moments = [], []
        for _ in range(50):
            messages += [message for message in drain(feed, line.exchange.now) if isinstance(message, str)]
            moments.append((line.exchange.now, len(messages)))
            line.wait(0.02)

        assert [count for at, count in moments if at - bot.audio.heard[-1].at in (0, 740, 760)] == [1, 1, 2]
        assert [json.loads(message) for message in messages] == [
            {"event": "websocket:dtmf", "digit": "1", "duration": 260},
            {"event": "websocket:dtmf", "digit": "#", "duration": 260},
        ]

    def test_a_key_cut_before_its_tone_is_not_reported(self, line: Line):
        bot, _ = meeting(line)
        feed = Feed(bot, RATE, line.exchange.now)
        prompt = line.exchange.media.play(bot, keys("123"))
        feed.press(prompt)
        line.wait(0.3)
        line.exchange.media.cut(prompt)
        line.wait(1)

        messages = [message for message in drain(feed, line.exchange.now) if isinstance(message, str)]

        assert [json.loads(message)["digit"] for message in messages] == ["1", "2"]


class Speaker:
    """A bot that says the given samples, heard by a person."""

    def __init__(self) -> None:
        self.line = line()
        self.bot, self.person = meeting(self.line)
        self.notices: list[tuple[float, str]] = []
        self.playout = Playout(self.line.exchange, self.bot, RATE, SoundCache(), self._note)
        self.start = self.line.exchange.now

    def _note(self, notice: str) -> None:
        self.notices.append(((self.line.exchange.now - self.start) / 1000, notice))

    def wait(self, seconds: float) -> None:
        """Advance the clock by one frame at a time."""
        for _ in range(round(seconds * 50)):
            self.line.wait(0.02)
            self.playout.play()

    def heard(self) -> list[tuple[float, float]]:
        return [(at - self.start / 1000, seconds) for at, seconds in heard(self.line, self.person)]

    def sound(self, seconds: float) -> bytes:
        """Return all that the person has heard since the start."""
        return mix(self.person.audio.heard, self.start, self.start + round(seconds * 1000), RATE)


@pytest.fixture
def speaker() -> Speaker:
    return Speaker()


class TestPlayout:
    def test_audio_sent_ahead_is_played_in_real_time(self, speaker: Speaker):
        speaker.playout.receive(SOUND * 100)
        speaker.playout.play()
        speaker.wait(1)
        assert speaker.heard() == [(0, 1)]

        speaker.wait(5)

        assert speaker.heard() == [(0, 2)]
        assert speaker.sound(3) == SOUND * 100 + SILENCE * 50

    def test_the_sizes_of_messages_do_not_matter(self):
        @given(st.lists(st.integers(1, 1000), min_size=1, max_size=10))
        def check(sizes):
            whole = bytes(range(1, 251)) * 24
            speaker, rest = Speaker(), whole
            for size in sizes:
                speaker.playout.receive(rest[: 2 * size])
                rest = rest[2 * size :]
            speaker.playout.receive(rest)
            speaker.playout.play()
            speaker.wait(3)

            assert speaker.sound(3).rstrip(b"\0") == whole

        check()

    def test_half_a_sample_at_the_end_of_a_message_is_dropped(self, speaker: Speaker):
        speaker.playout.receive(SOUND + b"\x01")
        speaker.playout.receive(SOUND)
        speaker.playout.play()
        speaker.wait(1)

        assert speaker.sound(0.1) == SOUND * 2 + SILENCE * 3

    def test_silence_is_inaudible_but_takes_its_time(self, speaker: Speaker):
        speaker.playout.receive(SILENCE * 50 + SOUND * 50 + SILENCE * 100 + SOUND * 50)
        speaker.playout.play()
        speaker.wait(10)

        assert speaker.heard() == [(1, 1), (4, 1)]

    def test_a_short_pause_does_not_end_an_utterance(self, speaker: Speaker):
        speaker.playout.receive(SOUND * 10 + SILENCE * 20 + SOUND * 10)
        speaker.playout.play()
        speaker.wait(3)

        assert speaker.heard() == [(0, pytest.approx(0.8))]

    def test_late_audio_is_played_late(self, speaker: Speaker):
        speaker.playout.receive(SOUND * 5)
        speaker.playout.play()
        speaker.wait(0.3)
        speaker.playout.receive(SOUND * 5)
        speaker.wait(2)

        assert speaker.heard() == [(0, pytest.approx(0.4))]
        assert speaker.sound(0.5) == SOUND * 5 + SILENCE * 10 + SOUND * 5 + SILENCE * 5

    def test_no_more_audio_than_fits_into_the_buffer_waits(self, speaker: Speaker):
        assert speaker.playout.receive(SOUND * (BUFFERED_MESSAGES - 1)) == 0
        assert speaker.playout.receive(SOUND * 3) == 2 * FRAME
        speaker.playout.play()
        speaker.wait(70)

        assert sum(seconds for _, seconds in speaker.heard()) == pytest.approx(BUFFERED_MESSAGES * 0.02)

    def test_no_more_messages_than_fit_into_the_buffer_wait_however_short_they_are(self, speaker: Speaker):
        for _ in range(BUFFERED_MESSAGES):
            assert speaker.playout.receive(SOUND[:20]) == 0
            assert speaker.playout.receive(b"\x01") == 0  # half a sample, which does not count
        assert speaker.playout.receive(SOUND[:20]) == 20
        speaker.playout.play()
        speaker.wait(1)
        assert speaker.playout.receive(SOUND[:20]) == 0

    def test_each_notice_comes_when_the_audio_before_it_has_been_played(self):
        @given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
        def check(frames: list[int]):
            speaker, expected, sent = Speaker(), [], 0
            for number, count in enumerate(frames):
                speaker.playout.receive(SOUND * count)
                assert speaker.playout.notify(str(number))
                sent += count
                expected.append((pytest.approx(sent * 0.02), str(number)))
            speaker.playout.play()
            speaker.wait(sent * 0.02 + 0.1)

            assert speaker.notices == expected

        check()

    def test_clear_leaves_nothing_to_play_or_report(self, speaker: Speaker):
        speaker.playout.receive(SOUND * 100)
        speaker.playout.notify("never")
        speaker.playout.play()
        speaker.wait(1)
        speaker.playout.clear()
        speaker.playout.notify("now")
        speaker.wait(3)

        assert speaker.heard() == [(0, pytest.approx(1, abs=0.02))]
        assert speaker.notices == [(pytest.approx(1), "now")]

    def test_a_leg_that_joins_later_hears_the_rest(self, speaker: Speaker):
        speaker.playout.receive(SOUND * 300)
        later = speaker.line.call()
        speaker.wait(8)

        assert later.answered_at == speaker.start + 2500
        assert [seconds for _, seconds in heard(speaker.line, later)] == [pytest.approx(3.5, abs=0.03)]

    def test_a_muted_bot_is_inaudible_from_that_moment_on(self, speaker: Speaker):
        speaker.playout.receive(SOUND * 200)
        speaker.playout.play()
        speaker.wait(1)

        speaker.line.exchange.mute(speaker.bot, on=True)
        speaker.wait(1)
        speaker.line.exchange.mute(speaker.bot, on=False)
        speaker.wait(5)

        assert speaker.heard() == [
            (0, pytest.approx(1, abs=0.03)),
            (pytest.approx(2, abs=0.03), pytest.approx(2, abs=0.03)),
        ]

    def test_a_sound_continues_for_the_others_when_one_listener_leaves(self, speaker: Speaker):
        other = speaker.line.answered()
        speaker.playout.receive(SOUND * 200)
        speaker.playout.play()
        speaker.wait(1)

        speaker.line.exchange.party_hangs_up(other)
        speaker.wait(5)

        assert sum(seconds for _, seconds in speaker.heard()) == pytest.approx(4, abs=0.03)

    def test_no_sound_grows_without_limit(self, speaker: Speaker):
        for _ in range(130):
            speaker.playout.receive(SOUND * 50)
            speaker.playout.play()
            speaker.wait(1)

        assert [seconds for _, seconds in speaker.heard()] == [60, 60, 10]
        longest = max(len(each.prompt.pcm.samples) for each in speaker.person.audio.heard if each.prompt.pcm)
        assert longest <= 60 * RATE * 2 + FRAME

    def test_finished_sounds_are_kept_up_to_a_limit(self):
        kept, sounds = SoundCache(limit=100), [Pcm(RATE, bytearray(40)) for _ in range(4)]
        for sound in sounds:
            kept.add(sound)

        assert [len(sound.samples) for sound in sounds] == [0, 0, 40, 40]

    def test_a_sound_is_audio_from_the_bot(self, speaker: Speaker):
        speaker.playout.receive(SOUND)
        speaker.playout.play()

        entry = speaker.person.audio.heard[-1].to_json(speaker.line.exchange.now)

        assert entry["kind"] == Sound.AUDIO
        assert entry["from"] == speaker.bot.uuid
        assert entry["url"] == SOCKET["uri"]
