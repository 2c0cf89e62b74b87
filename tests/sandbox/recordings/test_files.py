"""Recordings as files: their sound, channels and formats, their retention, and access to them."""

import asyncio
import itertools
import json
import os
import shutil
import stat
import subprocess
import tempfile
import tracemalloc
import wave
from array import array
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import soundfile

from tests.sandbox.conftest import Start
from tests.sandbox.parts import PERSON, Client
from tests.sandbox.webhooks.receiver import Receiver
from tests.support.waiting import eventually
from voicectl import tokens
from voicectl.core.identity import keys as key_files
from voicectl.sandbox.recordings.files import File, Files, RecordingResult
from voicectl.sandbox.telephony.actions import Format, Record
from voicectl.sandbox.telephony.recording import Recording, Track
from voicectl.sandbox.telephony.sounds import BEEP, PLATFORM, audio, keys, music, speech

from .sounds import MUTE, heard, keys_in, pcm, render, speaker_hertz, strength

ANNA, BEN, CHRIS, DORA = (f"{i}a7cf5a0-1f4e-4f2b-9d1c-3a5b6c7d8e9f" for i in range(4))
DAY = 86_400_000
ids = itertools.count()


def track(prompt, at: int, speaker: str | None = None, *, listener: str | None = None, until=None) -> Track:
    sound = heard(prompt, at, until=until, source=speaker or PLATFORM)
    return Track(heard=sound, speaker=speaker, listener=listener)


def say(text: str, **options):
    return speech(text, loop=options.pop("loop", 1), options=options)


def recording(*tracks: Track, start: int = 0, end: int, form: Format = Format.WAV, **more) -> Recording:
    order = {name: more.pop(name) for name in ("is_split", "channels") if name in more}
    known = {"application_id": "app", "region": "eu-west", "leg_uuid": ANNA, "events": None}
    return Recording(
        **{"uuid": f"recording-{next(ids)}", "file_id": f"file-{next(ids)}", "conversation_uuid": "CON-1"}
        | known
        | {"order": Record(format=form, **order), "started": start, "ended": end, "tracks": list(tracks)}
        | more
    )


class Desk:
    """Files on a call clock that the test moves."""

    def __init__(self, **options) -> None:
        self.now = 0
        self.files = Files(lambda: self.now, **{"espeak": MUTE} | options)

    def make(self, recording: Recording) -> RecordingResult | None:
        return asyncio.run(self.files.make(recording))

    def file(self, recording: Recording) -> File:
        made = self.make(recording)
        file = self.files.get(recording.file_id)
        assert made is not None
        assert file is not None
        assert made.remark is None
        assert made.size == file.path.stat().st_size
        return file

    def wav(self, recording: Recording) -> list[list[int]]:
        """The samples of each channel."""
        return wav(self.file(recording).path)

    def transcript(self, *tracks: Track, **more) -> list[dict]:
        """Return the transcription of each channel."""
        made = recording(*tracks, transcription_id=f"text-{next(ids)}", **more)
        self.make(made)
        return json.loads(self.files.get(made.transcription_id).path.read_text())["channels"]


def wav(path: Path) -> list[list[int]]:
    with wave.open(str(path)) as reader:
        assert (reader.getframerate(), reader.getsampwidth()) == (16_000, 2)
        samples = array("h", reader.readframes(reader.getnframes())).tolist()
        return [samples[channel :: reader.getnchannels()] for channel in range(reader.getnchannels())]


def decoded(path: Path) -> list[list[int]]:
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == 16_000
    return samples.T.tolist()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.files.close()


CALL = (
    track(say("Please leave a message."), 500),
    track(BEEP, 2500),
    track(keys("1p2"), 3000, ANNA),
    track(say("It is me."), 5000, BEN),
    track(music("http://x/m.mp3"), 6000, until=9000),
)


class TestSound:
    @pytest.mark.parametrize("milliseconds", [0, 1, 999, 2000, 12_345])
    def test_a_file_has_the_length_of_the_recording_to_the_sample(self, desk, milliseconds):
        for tracks in ((), CALL):
            (samples,) = desk.wav(recording(*tracks, start=700, end=700 + milliseconds))

            assert len(samples) == milliseconds * 16

    def test_a_file_contains_the_sounds_of_the_call(self, desk):
        (samples,) = desk.wav(recording(*CALL, start=400, end=10_400))

        assert samples == render(*(each.heard for each in CALL), start=400, to=10_400)
        assert keys_in(samples) == "12"

    def test_silence_is_recorded_as_silence(self, desk):
        (samples,) = desk.wav(recording(track(keys("1"), 1000, ANNA), end=60_000))

        assert set(samples[:16_000] + samples[16_000 + 260 * 16 :]) == {0}

    def test_it_contains_the_audio_of_a_websocket(self, desk):
        (samples,) = desk.wav(recording(track(pcm([1, 2, -3], 16_000), 10, ANNA, until=1000), end=2000))

        assert samples[160:164] == [1, 2, -3, 0]

    def test_the_same_recording_gives_the_same_file(self, desk):
        for form in Format:
            for split in ({}, {"is_split": True, "channels": 2}):
                files = [desk.file(recording(*CALL, end=12_345, form=form, **split)) for _ in range(2)]

                assert files[0].path.read_bytes() == files[1].path.read_bytes(), form


class TestChannels:
    def test_all_parties_are_in_one_channel_unless_it_is_split(self, desk):
        tracks = [
            track(keys(key), at, who) for key, at, who in (("1", 0, ANNA), ("2", 500, BEN), ("3", 1000, None))
        ]

        (samples,) = desk.wav(recording(*tracks, end=2000))

        assert keys_in(samples) == "123"

    def test_of_two_channels_the_left_is_the_caller_and_the_right_the_sound_for_the_caller(self, desk):
        left, right = desk.wav(
            recording(
                track(keys("1"), 0, BEN),
                track(keys("2"), 500, ANNA),
                track(keys("3"), 1000, CHRIS),
                track(keys("4"), 1500, listener=ANNA),
                track(keys("5"), 2000),
                track(keys("6"), 2500, listener=BEN),
                end=3000,
                is_split=True,
                channels=2,
            )
        )

        assert keys_in(left) == "2"
        assert keys_in(right) == "1345"

    def test_of_more_channels_each_party_has_one_and_the_last_has_everything_else(self, desk):
        tracks = [
            track(keys(key), i * 300, who)
            for i, (key, who) in enumerate(zip("12345", (BEN, CHRIS, ANNA, DORA, None), strict=True))
        ]
        tracks.append(track(keys("6"), 1800, listener=BEN))

        made = desk.wav(recording(*tracks, end=2500, is_split=True, channels=4))
        fewer = desk.wav(recording(*tracks, end=2500, is_split=True, channels=3))

        assert [keys_in(samples) for samples in made] == ["3", "1", "2", "456"]
        assert [keys_in(samples) for samples in fewer] == ["3", "1", "2456"]

    def test_there_are_as_many_channels_as_requested(self, desk):
        made = desk.wav(recording(track(keys("1"), 0, ANNA), end=500, is_split=True, channels=32))

        assert len(made) == 32
        assert keys_in(made[0]) == "1"
        assert all(set(samples) == {0} for samples in made[1:])

    def test_a_prompt_that_several_legs_hear_is_recorded_once(self, desk):
        prompt = track(keys("1"), 0, listener=ANNA)
        same = Track(heard=prompt.heard, speaker=None, listener=BEN)

        assert desk.wav(recording(prompt, same, end=300)) == desk.wav(recording(prompt, end=300))

    def test_a_single_party_has_one_channel(self, desk):
        (samples,) = desk.wav(recording(track(say("Sales"), 100, BEN), end=1000, only=BEN, leg_uuid=BEN))

        assert strength(samples[1600:2700], speaker_hertz(BEN)) > 1000


class TestCompressed:
    @pytest.mark.parametrize("form", [Format.MP3, Format.OGG])
    @pytest.mark.parametrize("split", [{}, {"is_split": True, "channels": 2}])
    def test_a_compressed_file_decodes_to_the_sounds_of_the_call(self, desk, form, split):
        file = desk.file(recording(*CALL, end=10_000, form=form, **split))

        channels = decoded(file.path)
        assert len(channels) == (2 if split else 1)
        assert 0 <= len(channels[0]) - 160_000 < 3 * 576  # MP3 has whole frames, and its encoder adds a delay
        assert keys_in(channels[0]) == "12"
        assert strength(channels[-1][40_000 + 1200 : 48_000], 1000) > 4000
        if split:
            assert keys_in(channels[1]) == ""
            assert max(map(abs, channels[0][:45_000])) < 600

    def test_silence_decodes_to_silence(self, desk):
        for form in (Format.MP3, Format.OGG):
            (samples,) = decoded(desk.file(recording(end=30_000, form=form)).path)

            assert max(map(abs, samples)) <= 2

    def test_mp3_has_32_kilobits_a_second(self, desk):
        for split in ({}, {"is_split": True, "channels": 2}):
            file = desk.file(recording(*CALL, end=36_000, form=Format.MP3, **split))

            assert file.media_type == "audio/mpeg"
            assert file.path.stat().st_size == pytest.approx(36 * 4000, abs=300)

    @pytest.mark.parametrize("form", [Format.MP3, Format.OGG])
    def test_an_empty_recording_can_be_read(self, desk, form):
        (samples,) = decoded(desk.file(recording(start=5, end=5, form=form)).path)

        assert len(samples) < 4 * 576
        assert set(samples) <= {0}

    @pytest.mark.parametrize("channels", [1, 2])
    def test_mp3_with_long_silences_equals_the_output_of_its_encoder(self, desk, tmp_path, channels):
        tracks = (
            track(say("Hello?"), 5000, BEN),
            track(audio("u", options={}), 40_123, ANNA),
            track(keys("1"), 99_000),
        )
        split = {"is_split": channels == 2, "channels": channels}

        short = desk.file(recording(*tracks, end=150_000, form=Format.MP3, **split))

        plain = desk.file(recording(*tracks, end=150_000, form=Format.WAV, **split))
        samples, _ = soundfile.read(plain.path, dtype="int32")
        with soundfile.SoundFile(
            tmp_path / "plain.mp3",
            "w",
            16_000,
            channels,
            compression_level=1 - 24 / 152,
            bitrate_mode="CONSTANT",
        ) as coder:
            coder.write(samples)
        assert short.path.read_bytes() == (tmp_path / "plain.mp3").read_bytes()

    @pytest.mark.parametrize("form", Format)
    def test_more_than_two_channels_are_wav(self, desk, form):
        file = desk.file(recording(*CALL, end=1000, form=form, is_split=True, channels=3))

        assert file.media_type == "audio/wav"
        assert len(wav(file.path)) == 3

    @pytest.mark.parametrize("form", [Format.MP3, Format.OGG])
    def test_without_the_extra_it_is_wav_with_a_remark(self, form):
        desk = Desk(find_library=lambda: None)
        asked = recording(*CALL, end=1000, form=form)

        made = desk.make(asked)

        assert desk.files.get(asked.file_id).media_type == "audio/wav"
        assert len(wav(desk.files.get(asked.file_id).path)[0]) == 16_000
        assert "voicectl[audio]" in made.remark
        assert form.upper() in made.remark
        desk.files.close()


class TestSize:
    @pytest.mark.parametrize("form", [Format.WAV, Format.MP3])
    def test_two_hours_with_few_sounds_need_little_space(self, desk, form):
        tracemalloc.start()
        file = desk.file(recording(*CALL, track(keys("9"), 7_100_000, BEN), end=7_200_000, form=form))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert file.path.stat().st_size == pytest.approx(
            7200 * (32_000 if form is Format.WAV else 4000), abs=300
        )
        assert peak < 20_000_000
        if form is Format.WAV:
            assert file.path.stat().st_blocks * 512 < 2_000_000

    def test_two_hours_of_sound_do_not_fill_the_memory(self, desk):
        sound = [track(music(f"http://x/{i}"), i, until=7_200_000) for i in range(2)]
        tracemalloc.start()
        desk.file(recording(*sound, end=10_000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 20_000_000

    def test_a_recording_too_large_for_wav_is_left_out_with_a_remark(self, desk):
        asked = recording(track(keys("1"), 0, ANNA), end=7_200_000, is_split=True, channels=32)

        made = desk.make(asked)

        assert 2**32 - 70_000 < made.size < 2**32
        assert "4 GiB" in made.remark

    def test_the_event_loop_is_not_blocked(self, desk):
        async def main() -> int:
            sound = [track(music(f"http://x/{i}"), i, until=30_000) for i in range(2)]
            making = asyncio.create_task(desk.files.make(recording(*sound, end=30_000)))
            turns = 0
            while not making.done():
                await asyncio.sleep(0)
                turns += 1
            assert await making is not None
            return turns

        assert asyncio.run(main()) > 10


class TestTranscription:
    def test_a_transcription_has_each_word_with_its_times(self, desk):
        (channel,) = desk.transcript(track(say("Hi, Ben. OK?"), 1500, ANNA), start=1000, end=5000)

        second = 1000 / 14
        assert channel["duration"] == 4000
        assert channel["transcript"] == [
            {
                "sentence": "Hi, Ben.",
                "raw_sentence": "hi ben",
                "duration": round(8 * second),
                "timestamp": 500,
                "words": [
                    {"word": "hi", "start_time": 500, "end_time": 500 + round(3 * second), "confidence": 1.0},
                    {
                        "word": "ben",
                        "start_time": 500 + round(4 * second),
                        "end_time": 500 + round(8 * second),
                        "confidence": 1.0,
                    },
                ],
            },
            {
                "sentence": "OK?",
                "raw_sentence": "ok",
                "duration": round(12 * second) - round(9 * second),
                "timestamp": 500 + round(9 * second),
                "words": [
                    {
                        "word": "ok",
                        "start_time": 500 + round(9 * second),
                        "end_time": 500 + round(12 * second),
                        "confidence": 1.0,
                    }
                ],
            },
        ]

    def test_it_contains_its_version_and_request(self, desk):
        made = recording(transcription_id="77aa", end=1000)
        desk.make(made)

        file = desk.files.get("77aa")
        text = json.loads(file.path.read_text())
        assert (set(text), text["request_id"]) == ({"ver", "request_id", "channels"}, "77aa")
        assert file.media_type == "application/json"

    def test_its_channels_are_those_of_the_audio(self, desk):
        tracks = (track(say("Hello"), 0, ANNA), track(say("Who is it?"), 1000, BEN), track(say("Menu"), 2000))

        left, right = desk.transcript(*tracks, end=3000, is_split=True, channels=2)
        (both,) = desk.transcript(*tracks, end=3000)

        assert [[each["sentence"] for each in channel["transcript"]] for channel in (left, right, both)] == [
            ["Hello"],
            ["Who is it?", "Menu"],
            ["Hello", "Who is it?", "Menu"],
        ]

    def sentences(self, desk, *tracks, **more) -> list[str]:
        (channel,) = desk.transcript(*tracks, **more)
        return [each["sentence"] for each in channel["transcript"]]

    def test_it_contains_only_speech(self, desk):
        assert (
            self.sentences(desk, track(keys("1"), 0, ANNA), track(music("u"), 0), track(BEEP, 9), end=3000)
            == []
        )

    def test_an_incomplete_word_is_left_out(self, desk):
        text = say("aaaa bbbb cccc dddd")  # a word each 357 ms, 286 ms long

        assert self.sentences(desk, track(text, 0, ANNA, until=999), end=5000) == ["aaaa bbbb"]
        assert self.sentences(desk, track(text, 0, ANNA), end=1000) == ["aaaa bbbb cccc"]
        assert self.sentences(desk, track(text, 0, ANNA), start=100, end=5000) == ["bbbb cccc dddd"]

    def test_repeated_speech_is_repeated(self, desk):
        (channel,) = desk.transcript(track(say("aaaaaa.", loop=0), 0, until=1250), end=1500)

        assert [each["timestamp"] for each in channel["transcript"]] == [0, 500]

    def test_tags_are_not_transcribed_and_breaks_take_their_time(self, desk):
        text = "<speak><p>Tom &amp; <em>Jer</em>ry</p><break time='500ms'/>Bye</speak>"

        (channel,) = desk.transcript(track(say(text), 0), end=5000)

        assert [each["sentence"] for each in channel["transcript"]] == ["Tom Jerry", "Bye"]
        assert channel["transcript"][1]["timestamp"] == round(15 / 14 * 1000) + 500

    @pytest.mark.parametrize("text", ["", "<speak/>", "... !", "\ud800", "a" * 5000])
    def test_any_text_has_a_transcription(self, desk, text):
        desk.transcript(track(say(text, loop=0), 0, until=2000), end=2000)


class TestKeeping:
    def test_files_are_in_a_directory_that_only_the_user_can_read(self, desk):
        file = desk.file(recording(end=10))

        assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700

    def test_files_are_available_until_their_days_are_over(self, desk):
        made = recording(start=1000, end=5000, retention_days=3, transcription_id="words")
        file = desk.file(made)

        desk.now = 5000 + 3 * DAY - 1
        assert desk.files.get(made.file_id) == file
        assert desk.files.get("words") is not None

        desk.now += 1
        assert desk.files.get(made.file_id) is desk.files.get("words") is None
        assert list(file.path.parent.iterdir()) == []

    def test_an_unknown_file_is_not_found(self, desk):
        assert desk.files.get("../../etc/passwd") is None

    def test_clearing_deletes_files_and_new_ones_can_be_created(self, desk):
        made = recording(end=10)
        file = desk.file(made)

        desk.files.clear()

        assert desk.files.get(made.file_id) is None
        assert not file.path.exists()
        desk.file(recording(end=10))

    def test_closing_deletes_the_directory(self, desk):
        file = desk.file(recording(end=10))

        desk.files.close()

        assert not file.path.parent.exists()
        assert desk.make(recording(end=10)) is None

    def test_clearing_cancels_a_file_that_is_being_written(self, desk):
        folder = desk.file(recording(end=10)).path.parent

        async def main() -> None:
            sound = [track(music(f"http://x/{i}"), i, until=7_200_000) for i in range(2)]
            making = asyncio.create_task(desk.files.make(recording(*sound, end=7_200_000)))
            while len(list(folder.iterdir())) < 2:
                await asyncio.sleep(0.001)
            desk.files.clear()
            assert await making is None

        asyncio.run(main())
        assert list(folder.iterdir()) == []

    def test_a_file_that_cannot_be_written_is_reported_and_not_found(self, desk):
        folder = desk.file(recording(end=10)).path.parent

        for form in Format:
            asked = recording(end=10, form=form, transcription_id="words")
            (folder / asked.file_id).symlink_to("nothing/file")
            made = desk.make(asked)

            assert made.size == 0
            assert "could not be written" in made.remark
            assert desk.files.get(asked.file_id) is desk.files.get("words") is None

    def test_files_of_a_removed_directory_are_not_found_and_new_ones_can_be_created(self, desk):
        made = recording(end=10)
        shutil.rmtree(desk.file(made).path.parent)

        assert desk.files.get(made.file_id) is None
        assert stat.S_IMODE(desk.file(recording(end=10)).path.parent.stat().st_mode) == 0o700

    def test_a_missing_directory_is_reported(self, desk, monkeypatch, tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))

        assert "could not be written" in desk.make(recording(end=10)).remark

    @pytest.mark.parametrize("form", Format)
    def test_all_files_together_stay_within_their_budget(self, form):
        desk = Desk(most_bytes=60_000 if form is Format.WAV else 6000)
        sound = track(music("http://x/m.mp3"), 0, until=2000)
        fits, is_too_much, fits_later = (recording(sound, end=1000, form=form) for _ in range(3))
        desk.file(fits)

        refused = desk.make(is_too_much)

        assert refused.size == 0
        assert "may take" in refused.remark
        assert desk.files.get(is_too_much.file_id) is None
        assert len(list(desk.files.get(fits.file_id).path.parent.iterdir())) == 1
        desk.files.clear()
        desk.file(fits_later)
        desk.files.close()

    def test_silence_uses_none_of_the_budget(self):
        desk = Desk(most_bytes=100)

        desk.file(recording(end=60_000))

        desk.files.close()

    def test_files_of_killed_sandboxes_are_deleted(self, desk, monkeypatch, tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with subprocess.Popen(["true"]) as ended:
            pass
        left, own, other = (
            tmp_path / f"voicectl-recordings-{name}-x" for name in (ended.pid, os.getpid(), "some")
        )
        for folder in (left, own, other):
            folder.mkdir()
            (folder / "file").touch()

        desk.file(recording(end=10))
        desk.files.close()  # which waits for it

        assert set(tmp_path.iterdir()) == {own, other}

    def test_a_recording_in_progress_has_no_file(self, desk):
        with pytest.raises(ValueError, match="has not ended"):
            desk.make(recording(end=None))


@pytest.fixture
def kept(client: Client) -> str:
    """The id of a recording of the sandbox's application."""
    return keep(client)


def keep(client: Client, *, form: Format = Format.WAV, **more) -> str:
    now = client.sandbox.exchange.now
    known = {
        "application_id": client.identity.application_id,
        "file_id": f"0f7cf5a0-{next(ids):04}-4000-8000-0",
    }
    made = recording(track(keys("12"), now), start=now, end=now + 1000, form=form, **known | more)
    asyncio.run(client.sandbox.files.make(made))
    return made.file_id


class TestRoutes:
    @pytest.mark.parametrize("version", ["v1", "v3"])
    @pytest.mark.parametrize(
        ("form", "media_type"), [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("ogg", "audio/ogg")]
    )
    def test_a_file_is_sent_whole_with_its_type_and_length(self, client: Client, version, form, media_type):
        file_id = keep(client, form=Format(form))

        got = client.get(f"/{version}/files/{file_id}")

        assert got.status_code == 200
        assert got.headers["content-type"] == media_type
        assert (
            int(got.headers["content-length"])
            == len(got.content)
            == client.sandbox.files.get(file_id).path.stat().st_size
        )
        assert got.content == client.sandbox.files.get(file_id).path.read_bytes()

    def test_a_transcription_is_json(self, client: Client):
        keep(client, transcription_id="0f7cf5a0-words")

        got = client.get("/v1/files/0f7cf5a0-words")

        assert got.headers["content-type"] == "application/json"
        assert len(got.json()["channels"]) == 1

    def test_a_file_requires_a_token(self, client: Client, kept):
        assert client.http.get(f"/v1/files/{kept}").status_code == 401

    def test_the_token_of_another_application_finds_nothing(self, client: Client, kept):
        identity = client.identity
        made = client.http.post(
            "/v2/applications", json={"name": "other"}, auth=(identity.api_key, identity.api_secret)
        ).json()
        claims = tokens.application_claims(made["id"], now=client.clock.time())
        token = tokens.mint(claims, key_files.parse(made["keys"]["private_key"], where="the test"))

        got = client.http.get(f"/v1/files/{kept}", headers={"Authorization": f"Bearer {token}"})

        assert got.status_code == 404
        assert got.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        "file_id", ["0f7cf5a0-1f4e-4f2b-9d1c-3a5b6c7d8e9f", "..%2F..%2Fetc%2Fpasswd", "%00"]
    )
    def test_an_unknown_file_gets_404(self, client: Client, kept, file_id):
        assert client.get(f"/v1/files/{file_id}").status_code == 404

    def test_a_file_is_deleted_after_its_days(self, client: Client):
        file_id = keep(client, retention_days=2)
        client.advance(2 * 86_400 - 1)
        assert client.get(f"/v1/files/{file_id}").status_code == 200

        client.advance(2)

        assert client.get(f"/v1/files/{file_id}").status_code == 404

    def test_a_file_is_deleted_by_a_reset(self, client: Client, kept):
        client.control("reset")

        assert client.get(f"/v1/files/{kept}").status_code == 404

    def test_the_host_of_another_region_does_not_have_the_file(self, client: Client):
        file_id = keep(client, region="eu-west")
        path, headers = f"/v1/files/{file_id}", {"Authorization": f"Bearer {client.token()}"}

        def status(region: str) -> int:
            return httpx.get(
                client.sandbox.region_urls[region] + path, headers=headers, trust_env=False
            ).status_code

        assert (status("eu-west"), status("na-east")) == (200, 404)

    def test_the_rest_of_a_file_can_be_requested(self, client: Client, kept):
        whole = client.get(f"/v1/files/{kept}")

        rest = client.api("GET", f"/v1/files/{kept}", headers={"Range": "bytes=1000-"})

        assert rest.status_code == 206
        assert rest.content == whole.content[1000:]
        assert rest.headers["content-range"] == f"bytes 1000-{len(whole.content) - 1}/{len(whole.content)}"
        assert int(rest.headers["content-length"]) == len(rest.content)
        assert whole.headers["accept-ranges"] == "bytes"

    @pytest.mark.parametrize(
        ("given", "status", "begin", "end"),
        [("bytes=0-0", 206, 0, 1), ("bytes=-10", 206, -10, None), ("bytes=9999999-", 416, 0, 0)],
    )
    def test_ranges_are_answered(self, client: Client, kept, given, status, begin, end):
        whole = client.get(f"/v1/files/{kept}").content

        got = client.api("GET", f"/v1/files/{kept}", headers={"Range": given})

        assert got.status_code == status
        if status == 206:
            assert got.content == whole[begin:end]

    @pytest.mark.parametrize(
        "given", ["bytes=", "bytes=a-b", "bytes=5-1", "lines=1-2", "bytes=1-2,", "x" * 4000]
    )
    def test_an_invalid_range_is_harmless(self, client: Client, kept, given):
        assert client.api("GET", f"/v1/files/{kept}", headers={"Range": given}).status_code < 500
        assert client.get(f"/v1/files/{kept}").status_code == 200

    def test_only_get_is_allowed(self, client: Client, kept):
        assert client.api("DELETE", f"/v1/files/{kept}").status_code == 405

    def test_faults_apply_to_it(self, client: Client, kept):
        client.fault("lost-reply", on="getFile", times=1)
        client.fault("status", code=503, on="getFile", times=1)
        client.fault("rate-limit", on="getCalls")

        with pytest.raises(httpx.RemoteProtocolError):
            client.get(f"/v1/files/{kept}")
        assert client.get(f"/v1/files/{kept}").status_code == 503
        assert client.get(f"/v1/files/{kept}").status_code == 200

    def test_the_log_names_the_operation(self, client: Client, kept):
        client.get(f"/v1/files/{kept}")

        assert [entry["operation"] for entry in client.log() if entry["kind"] == "request"] == ["getFile"]

    def test_a_file_that_was_removed_is_not_found(self, client: Client, kept):
        client.sandbox.files.get(kept).path.unlink()

        assert client.get(f"/v1/files/{kept}").status_code == 404

    def test_nothing_is_left_when_the_sandbox_stops(self, start: Start):
        client = start()
        file_id = keep(client)
        folder = client.sandbox.files.get(file_id).path.parent

        client.control("stop")

        eventually(lambda: not folder.exists(), "the directory is still there")


def delivered(client: Client, receiver: Receiver, path: str) -> dict:
    """The one event that came to *path*; webhooks go out in the background."""

    def has_come() -> bool:
        is_over = not client.http.get("/sandbox/status").json()["webhooks_pending"]
        return is_over and bool(receiver.at(path))

    eventually(has_come, f"nothing came to {path}")
    (asked,) = receiver.at(path)
    return asked.fields


class TestThroughTheWholeSandbox:
    def voicemail(self, client: Client, receiver: Receiver, **options) -> str:
        uuid = client.call(
            PERSON,
            {"action": "talk", "text": "Leave a message."},
            {
                "action": "record",
                "endOnSilence": 3,
                "beepStart": True,
                "eventUrl": [f"{receiver.url}/recorded"],
            }
            | options,
        )
        client.advance(5)
        client.control("press", leg=uuid, digits="1")
        client.control("say", leg=uuid, text="Call me back.")
        client.advance(10)
        return uuid

    @pytest.mark.parametrize("form", ["mp3", "wav", "ogg"])
    def test_a_voicemail_is_recorded_reported_and_fetched(
        self, client: Client, receiver: Receiver, tmp_path, form
    ):
        self.voicemail(client, receiver, format=form)

        event = delivered(client, receiver, "/recorded")
        got = client.get(event["recording_url"])
        assert len(got.content) == event["size"]
        file = tmp_path / "recording"
        file.write_bytes(got.content)
        (samples,) = decoded(file)
        start, end = (datetime.fromisoformat(event[name]) for name in ("start_time", "end_time"))
        assert abs(len(samples) / 16_000 - (end - start).total_seconds()) < 0.1
        assert strength(samples[1600:7000], 1000) > 4000
        assert keys_in(samples) == "1"

    def test_its_transcription_is_reported_and_fetched_too(self, client: Client, receiver: Receiver):
        self.voicemail(client, receiver, transcription={"eventUrl": [f"{receiver.url}/words"]})

        text = client.get(delivered(client, receiver, "/words")["transcription_url"]).json()

        assert [each["sentence"] for each in text["channels"][0]["transcript"]] == ["Call me back."]

    def test_a_split_recording_has_the_caller_left_and_the_callee_right(self, client, receiver, tmp_path):
        uuid = client.call(
            PERSON,
            {
                "action": "record",
                "format": "wav",
                "split": "conversation",
                "eventUrl": [f"{receiver.url}/recorded"],
            },
            {"action": "connect", "endpoint": [{"type": "phone", "number": "447700900002"}]},
        )
        client.advance(10)
        client.control("press", leg=uuid, digits="1")
        callee = next(leg for leg in client.sandbox.exchange.live if leg != uuid)
        client.control("press", leg=callee, digits="23")
        client.advance(5)
        client.control("hangup", leg=uuid)
        client.advance(1)

        file = tmp_path / "recording.wav"
        file.write_bytes(client.get(delivered(client, receiver, "/recorded")["recording_url"]).content)
        assert [keys_in(samples) for samples in wav(file)] == ["1", "23"]
