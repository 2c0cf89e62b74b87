"""The sounds of a call as samples on the call clock."""

import json
import math
import shutil
import sys
from array import array
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.waiting import PATIENCE_SECONDS
from voicectl.sandbox.recordings.audio import mix
from voicectl.sandbox.recordings.espeak import PROGRAM, Espeak
from voicectl.sandbox.telephony.sounds import Heard, Prompt, Sound, audio, keys, music, speech

from .sounds import KEYS, MUTE, RATES, heard, key_in, keys_in, pcm, render, speaker_hertz, strength

LEG, OTHER = "0f7cf5a0-1f4e-4f2b-9d1c-3a5b6c7d8e9f", "1a7cf5a0-1f4e-4f2b-9d1c-3a5b6c7d8e9f"


def say(text: str, **options) -> Prompt:
    return speech(text, loop=options.pop("loop", 1), options=options)


def beep(seconds: float = 0.5) -> Prompt:
    return Prompt(sound=Sound.BEEP, content={}, once=seconds)


def loudest(samples: list[int]) -> int:
    return max(map(abs, samples))


class TestKeys:
    @pytest.mark.parametrize("rate", RATES)
    @pytest.mark.parametrize("key", KEYS.values())
    def test_a_key_is_its_two_tones(self, key, rate):
        assert key_in(render(heard(keys(key)), to=200, rate=rate), rate) == key

    @pytest.mark.parametrize("rate", RATES)
    def test_a_receiver_recognizes_a_number_by_them(self, rate):
        number = "447700900123#*0011"

        assert keys_in(render(heard(keys(number)), to=5000, rate=rate), rate) == number

    def test_two_keys_are_half_a_second_of_silence_apart(self):
        samples = render(heard(keys("1p2")), to=1020)

        assert key_in(samples[: 200 * 16]) == "1"
        assert set(samples[260 * 16 : 760 * 16]) == {0}
        assert key_in(samples[760 * 16 : 960 * 16]) == "2"


class TestSpeechWithoutASynthesiser:
    def test_the_same_text_sounds_the_same_and_another_one_does_not(self):
        said = [render(heard(say(text)), to=1500) for text in ("Press one", "Press one", "Press two")]

        assert said[0] == said[1] != said[2]

    def test_texts_that_differ_in_one_letter_or_digit_sound_different(self):
        signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

        assert len({tuple(render(heard(say(sign)), to=71)) for sign in signs}) == len(signs)

    def test_each_speaker_has_a_tone_of_its_own(self):
        for source, others in (
            (LEG, ("platform", OTHER)),
            (OTHER, ("platform", LEG)),
            ("platform", (LEG, OTHER)),
        ):
            samples = render(heard(say("a"), source=source), to=71)
            own = strength(samples, speaker_hertz(source))

            assert own > 2000
            assert all(strength(samples, speaker_hertz(other)) < own / 2 for other in others)

    def test_speech_never_sounds_like_a_key(self):
        samples = render(heard(say("Sphinx of black quartz, judge my vow: 1234567890")), to=4000)

        assert keys_in(samples) == ""

    def test_a_break_of_ssml_is_silent_for_its_length(self):
        samples = render(heard(say("<speak>aaaaaaa<break time='1s'/>bbbbbbb</speak>")), to=2000)

        assert loudest(samples[:8000]) > 1000
        assert set(samples[8000:24_000]) == {0}
        assert loudest(samples[24_000:]) > 1000

    def test_the_space_between_words_is_silent(self):
        samples = render(heard(say("aaaaaaa       bbbbbbb")), to=1500)

        assert set(samples[8010:15_990]) == {0}

    @pytest.mark.parametrize(
        "text", ["", "<speak></speak>", "...", "   ", "日本語", "\ud800", "<speak>&lt;b&gt;"]
    )
    def test_any_text_can_be_spoken(self, text):
        assert len(render(heard(say(text, loop=0), until=3000), to=3000)) == 48_000


class TestOtherSounds:
    @pytest.mark.parametrize("make", [lambda url: audio(url, options={}), music])
    def test_each_url_has_a_pattern_of_its_own(self, make):
        played = [
            render(heard(make(url), until=5000), to=5000)
            for url in ("http://x/1", "http://x/1", "http://x/2")
        ]

        assert played[0] == played[1] != played[2]
        assert loudest(played[0]) > 1000

    def test_music_and_a_file_of_the_same_url_differ(self):
        assert render(heard(music("u"), until=500), to=500) != render(heard(audio("u", options={})), to=500)

    @pytest.mark.parametrize("rate", RATES)
    def test_a_beep_is_a_tone_of_one_kilohertz(self, rate):
        samples = render(heard(beep()), to=500, rate=rate)

        assert strength(samples, 1000, rate) > 5000
        assert strength(samples, 1200, rate) < 100

    def test_a_level_changes_the_loudness(self):
        soft, usual, loud = (loudest(render(heard(say("a", level=level)), to=71)) for level in ("-1", 0, 1))

        assert soft == pytest.approx(usual / 4, rel=0.01)
        assert loud == pytest.approx(usual * 4, rel=0.01)

    @pytest.mark.parametrize("level", ["loud", None, "nan", "", [1], 7])
    def test_an_invalid_level_is_harmless(self, level):
        assert loudest(render(heard(say("a", level=level)), to=71)) > 1000


class TestFromASocket:
    def test_samples_of_the_same_rate_are_unchanged(self):
        samples = render(heard(pcm([1, -2, 30_000, -30_000]), at=10), to=12)

        assert samples[160:164] == [1, -2, 30_000, -30_000]
        assert set(samples[:160] + samples[164:]) == {0}

    @pytest.mark.parametrize("rate", RATES)
    @pytest.mark.parametrize("given", RATES)
    def test_resampling_keeps_pitch_loudness_and_length(self, given, rate):
        tone = [round(10_000 * math.sin(2 * math.pi * 440 * i / given)) for i in range(given // 2)]

        samples = render(heard(pcm(tone, given)), to=1000, rate=rate)

        assert strength(samples[: rate // 2], 440, rate) == pytest.approx(10_000, rel=0.02)
        assert set(samples[rate // 2 + 1 :]) == {0}

    def test_it_may_grow_during_playback(self):
        sound = pcm([5] * 160)
        assert render(heard(sound), to=20) == [5] * 160 + [0] * 160

        sound.pcm.samples += array("h", [7] * 160).tobytes()

        assert render(heard(sound), to=20) == [5] * 160 + [7] * 160

    def test_half_a_sample_is_dropped(self):
        sound = pcm([5, 5])
        sound.pcm.samples += b"\x01"

        assert render(heard(sound), to=1)[:4] == [5, 5, 0, 0]


class TestTime:
    @pytest.mark.parametrize("rate", RATES)
    def test_silence_is_zeros_of_the_right_length(self, rate):
        assert mix([], 1000, 8200, rate) == bytes(2 * 7200 * rate // 1000)

    def test_a_sound_starts_at_its_time_on_the_call_clock(self):
        samples = render(heard(keys("5"), at=700), start=500, to=1200)

        assert set(samples[: 200 * 16]) == {0}
        assert key_in(samples[200 * 16 : 400 * 16]) == "5"
        assert set(samples[460 * 16 :]) == {0}

    def test_a_sound_that_started_earlier_continues(self):
        whole = render(heard(say("Hello there")), to=800)

        assert render(heard(say("Hello there")), start=300, to=800) == whole[300 * 16 :]

    def test_a_cut_sound_ends_at_the_cut(self):
        whole = render(heard(say("Hello there")), to=800)

        assert render(heard(say("Hello there"), until=301), to=800) == whole[: 301 * 16] + [0] * (499 * 16)

    def test_a_loop_repeats_as_often_as_given(self):
        once = render(heard(keys("12")), to=520)

        assert render(
            heard(Prompt(sound=Sound.KEYS, content={"digits": "12"}, once=0.52, loop=3)), to=2000
        ) == (once * 3 + [0] * (440 * 16))

    def test_an_endless_loop_continues_until_it_is_cut(self):
        once = render(heard(audio("u", options={})), to=5000)

        assert render(heard(music("u")), start=3_600_000, to=3_605_000) == render(heard(music("u")), to=5000)
        assert render(heard(audio("u", loop=0, options={}), until=7000), start=5000, to=8000) == (
            once[:32_000] + [0] * 16_000
        )

    def test_a_day_of_speech_costs_no_more_than_the_requested_part(self):
        text = "<speak>" + "<break time='3600s'/>a" * 30 + "</speak>"

        samples = render(heard(say(text)), start=7_200_000, to=7_200_200)

        assert loudest(samples) > 1000


class TestMixing:
    def test_sounds_are_added(self):
        one, other = heard(say("Hello")), heard(keys("1"), at=100)

        together = render(one, other, to=400)

        assert together == [a + b for a, b in zip(render(one, to=400), render(other, to=400), strict=True)]

    def test_a_sum_that_is_too_loud_is_clipped_and_does_not_wrap(self):
        loud = [30_000, -30_000, 100]

        assert render(heard(pcm(loud)), heard(pcm(loud)), to=1)[:3] == [32_767, -32_768, 200]

    def test_only_the_sum_is_clipped(self):
        heards = [heard(pcm([sample])) for sample in (30_000, 30_000, -30_000)]

        assert render(*heards, to=1)[0] == 30_000

    def test_the_order_of_sounds_does_not_matter(self):
        heards = [heard(say("Hello"), at=at) for at in (0, 50, 100)]

        assert render(*heards, to=500) == render(*reversed(heards), to=500)


prompts = st.one_of(
    st.text("ab 1.&<", max_size=12).map(lambda text: say(text, loop=1)),
    st.text("ab <", max_size=4).map(lambda text: say(text, loop=0)),
    st.just(say("<speak>Hi<break time='77ms'/>there &amp; then.</speak>", loop=2)),
    st.text("12#p", max_size=4).map(keys),
    st.sampled_from([audio("u", options={}), music("u"), beep(0.1), beep(0.0001)]),
    st.tuples(st.lists(st.integers(-32_768, 32_767), max_size=900), st.sampled_from(RATES)).map(
        lambda given: pcm(*given)
    ),
)
cuts = st.one_of(st.none(), st.integers(0, 1500))
heards = st.builds(
    lambda prompt, at, cut, source: heard(prompt, at, until=None if cut is None else at + cut, source=source),
    prompts,
    st.integers(0, 1000),
    cuts,
    st.sampled_from(["platform", LEG]),
)


@given(
    st.lists(heards, max_size=4),
    st.lists(st.integers(0, 1500), min_size=2, max_size=5),
    st.sampled_from(RATES),
)
@settings(max_examples=150, deadline=None)
def test_adjacent_windows_make_the_whole(sounds: list[Heard], moments: list[int], rate: int):
    moments.sort()

    parts = [mix(sounds, start, end, rate, espeak=MUTE) for start, end in pairwise(moments)]

    assert b"".join(parts) == mix(sounds, moments[0], moments[-1], rate, espeak=MUTE)


STAND_IN = """#!{python}
import json, sys, wave
asked = sys.stdin.buffer.read().decode()
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], asked]) + "\\n")
pace = int(sys.argv[sys.argv.index("-s") + 1])
{extra}
samples = len(asked) * 22050 * 12 // pace
with wave.open(sys.stdout.buffer, "wb") as out:
    out.setparams((1, 2, 22050, 0, "NONE", ""))
    out.setnframes(0x3FFFFFFF)
    out._ensure_header_written(0)
    sys.stdout.buffer.write(b"\\x10\\x27" * samples + bytes(2000))
    sys.stdout.flush()
    import os; os._exit(0)
"""


class Speaker:
    """A program with the interface of espeak-ng that says every letter for 12 / pace seconds at 10,000."""

    def __init__(self, folder: Path, extra: str = "", **options) -> None:
        self.log = folder / "asked"
        program = folder / PROGRAM
        program.write_text(STAND_IN.format(python=sys.executable, log=str(self.log), extra=extra))
        program.chmod(0o700)
        self.espeak = Espeak(str(program), **{"limit": PATIENCE_SECONDS} | options)

    def asked(self) -> list[tuple[list[str], str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def render(self, *heards: Heard, to: int) -> list[int]:
        return array("h", mix(heards, 0, to, 16_000, espeak=self.espeak)).tolist()


class TestSpeechWithASynthesiser:
    def test_text_is_passed_by_standard_input_and_without_a_shell(self, tmp_path):
        speaker = Speaker(tmp_path)

        speaker.render(heard(say("$(id) `id`; -v x --stdout", language="de-DE")), to=100)

        command, text = speaker.asked()[0]
        assert text == "$(id) `id`; -v x --stdout"
        assert command[:2] == ["-v", "de-de"]
        assert text not in command

    def test_ssml_is_never_passed_on(self, tmp_path):
        speaker = Speaker(tmp_path)

        speaker.render(heard(say("<speak>a <audio src='/etc/x.wav'/>&lt;b&gt;\x01 c</speak>")), to=100)

        assert speaker.asked()[0] == [speaker.asked()[0][0], "a <b>  c"]
        assert "-m" not in speaker.asked()[0][0]

    @pytest.mark.parametrize("language", ["../../x", "-w/tmp/x", "en us", 7, ""])
    def test_an_invalid_language_is_not_passed_on(self, tmp_path, language):
        speaker = Speaker(tmp_path)

        speaker.render(heard(say("a", language=language)), to=10)

        assert speaker.asked()[0][0][:2] == ["-v", "en-us"]

    def test_speech_lasts_as_long_as_the_sandbox_says(self, tmp_path):
        speaker = Speaker(tmp_path)

        samples = speaker.render(heard(say("x" * 28)), to=2500)

        assert len(speaker.asked()) == 2  # it would have taken 2.1 seconds
        assert samples[:31_000].count(0) == 0
        assert set(samples[32_000:]) == {0}

    def test_silence_fills_the_rest_of_shorter_speech(self, tmp_path):
        speaker = Speaker(tmp_path, extra="asked = asked[:14]")

        samples = speaker.render(heard(say("x" * 28)), to=2000)

        assert 0 not in samples[:16_800]
        assert set(samples[16_900:]) == {0}

    def test_a_sentence_is_synthesized_once_and_cached(self, tmp_path):
        speaker = Speaker(tmp_path)
        sound = heard(say("Hello. Again.", loop=0), until=10_000)

        first, again = speaker.render(sound, to=10_000), speaker.render(sound, to=10_000)

        assert first == again
        assert {text for _, text in speaker.asked()} == {"Hello. ", "Again."}
        assert len(speaker.asked()) <= 4

    def test_each_speaker_has_a_pitch_of_its_own(self, tmp_path):
        speaker = Speaker(tmp_path)

        for source in (LEG, OTHER, "platform"):
            speaker.render(heard(say("a", language="en-GB"), source=source), to=10)

        assert len({tuple(command[command.index("-p") :][:2]) for command, _ in speaker.asked()}) == 3

    def test_an_unsupported_language_is_spoken_as_english(self, tmp_path):
        speaker = Speaker(tmp_path, extra="sys.exit('no such voice') if 'xx-yy' in sys.argv else None")

        assert loudest(speaker.render(heard(say("Hello", language="xx-YY")), to=300)) > 1000
        assert [command[1] for command, _ in speaker.asked()][:2] == ["xx-yy", "en-us"]

    @pytest.mark.parametrize("extra", ["sys.exit(1)", "print('no WAV'); sys.exit()", "sys.exit()"])
    def test_tones_are_used_if_the_synthesizer_fails(self, tmp_path, extra):
        speaker = Speaker(tmp_path, extra=extra)

        assert speaker.render(heard(say("Hello")), to=400) == render(heard(say("Hello")), to=400)

    def test_a_synthesizer_that_hangs_is_not_used_again(self, tmp_path):
        speaker = Speaker(tmp_path, extra="import time; time.sleep(600)", limit=0.5)

        for text in ("Hello", "Another"):
            assert speaker.render(heard(say(text)), to=400) == render(heard(say(text)), to=400)
        assert len(speaker.asked()) <= 1

    def test_a_synthesizer_that_cannot_be_run_is_not_used(self):
        speaker = Espeak("/nonexistent/espeak-ng")

        assert mix([heard(say("Hello"))], 0, 400, 16_000, espeak=speaker) == mix(
            [heard(say("Hello"))], 0, 400, 16_000, espeak=MUTE
        )

    @pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="espeak-ng is not installed")
    def test_the_real_synthesizer_speaks(self):
        sound = [heard(say("Please leave a message after the tone.", language="en-GB"))]

        spoken = mix(sound, 0, 3000, 16_000)

        assert spoken != mix(sound, 0, 3000, 16_000, espeak=MUTE)
        assert loudest(array("h", spoken).tolist()) > 3000
        assert spoken == mix(sound, 0, 3000, 16_000)
