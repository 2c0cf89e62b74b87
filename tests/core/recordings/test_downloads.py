"""Recordings in a directory: complete, listed and named correctly, or absent."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.fault_proxy import Fault, FaultProxy, Side, What, cut
from tests.support.recordings import (
    CON,
    FILE_ID,
    NAME,
    OVERLAP,
    SOUND,
    TEXT,
    TEXT_ID,
    UUID,
    announced_by,
    fetcher,
    largest_file,
    leave,
    ranged,
    recorded,
    stored,
    transcribed,
)
from tests.support.servers import Canned, Drip, Request, reply
from tests.support.waiting import FOR_EVER, PATIENCE_SECONDS, ending, eventually
from voicectl.core.recordings.announcement import Name, Recording, announced, of_event
from voicectl.core.recordings.checksums import Manifest, UnwritableError
from voicectl.core.recordings.downloads import NOT_YET_SECONDS, Downloader, missed
from voicectl.core.recordings.fetch import Saved
from voicectl.errors import AuthError, GuardError, NotFoundError, TransportError
from voicectl.store.events import EventStore, Query, Stored

SEED = 20_260_702
MP3 = f"{NAME}.mp3"
SHA256 = hashlib.sha256(SOUND).hexdigest()
LEFT = {f"{UUID}.part", f"{UUID}.origin"}


@pytest.fixture
def platform() -> Iterator[Canned]:
    """A server that has the recording and its transcription."""
    sound, text = ranged(), ranged(TEXT, "application/json")
    with Canned(lambda request: (text if request.path.endswith(TEXT_ID) else sound)(request)) as server:
        yield server


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def check_sums(directory: Path) -> str:
    """Check the manifest with ``sha256sum -c``, and return its output."""
    ran = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


class TestFile:
    def test_it_is_downloaded_named_and_listed(self, tmp_path, platform, application):
        saved = fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert saved == Saved(uuid=UUID, name=MP3, size=len(SOUND), sha256=SHA256, outcome="done")
        assert names(tmp_path) == {MP3, "SHA256SUMS"}
        assert (tmp_path / MP3).read_bytes() == SOUND
        assert (tmp_path / "SHA256SUMS").read_text() == f"{SHA256}  {MP3}\n"
        assert check_sums(tmp_path) == f"{MP3}: OK\n"
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        (request,) = platform.requests
        assert (request.method, request.path) == ("GET", f"/v1/files/{FILE_ID}")
        assert request.token
        assert "range" not in request.headers

    def test_a_listed_file_is_not_requested_again(self, tmp_path, platform, application):
        recording = announced_by(recorded(platform.url))
        first = fetcher(tmp_path, platform.url, application)
        first.fetch(recording)

        for again in (first, fetcher(tmp_path, platform.url, application)):
            saved = again.fetch(recording)
            assert (saved.outcome, saved.name, saved.size) == ("already", MP3, len(SOUND))
        (tmp_path / MP3).unlink()  # moved to an archive, for example
        assert fetcher(tmp_path, platform.url, application).fetch(recording).size is None

        assert len(platform.requests) == 1

    @pytest.mark.parametrize(
        ("media_type", "extension"),
        [
            ("audio/mpeg", "mp3"),
            ("Audio/MPEG; charset=binary", "mp3"),
            ("audio/wav", "wav"),
            ("audio/x-wav", "wav"),
            ("audio/ogg; codecs=opus", "ogg"),
        ],
    )
    def test_it_has_the_extension_of_its_type(self, tmp_path, application, media_type, extension):
        with Canned(ranged(media_type=media_type)) as server:
            saved = fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert saved.name == f"{NAME}.{extension}"

    @pytest.mark.parametrize(
        ("content", "extension"),
        [
            (b"ID3\x04rest", "mp3"),
            (b"\xff\xfb\x90rest", "mp3"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "wav"),
            (b"OggS\0rest", "ogg"),
            (b"<html>", None),
            (b"RIFF\x10\0\0\0AVI LIST", None),
            (b'{"error": 1}', None),
            (b"\xff", None),
        ],
    )
    def test_a_generic_type_is_identified_by_the_first_bytes(self, tmp_path, application, content, extension):
        with Canned(reply(200, content, content_type="application/octet-stream")) as server:
            into = fetcher(tmp_path, server.url, application)
            recording = announced_by(recorded(server.url, size=len(content)))
            if extension is not None:
                assert into.fetch(recording).name == f"{NAME}.{extension}"
                return
            with pytest.raises(TransportError, match="is not the expected one"):
                into.fetch(recording)

        assert (tmp_path / f"{UUID}.part").stat().st_size == 0
        assert names(tmp_path) == {f"{UUID}.part"}

    def test_it_may_be_large(self, tmp_path, application):
        content = SOUND * 1000  # ten megabytes
        with Canned(ranged(content)) as server:
            seen = []
            into = fetcher(
                tmp_path, server.url, application, on_progress=lambda *progress: seen.append(progress)
            )
            into.fetch(announced_by(recorded(server.url, size=len(content))))

        assert (tmp_path / MP3).read_bytes() == content
        assert seen == sorted(seen)
        assert seen[-1] == (len(content), len(content))

    def test_it_may_be_empty(self, tmp_path, application):
        with Canned(reply(200, b"", content_type="audio/mpeg")) as server:
            saved = fetcher(tmp_path, server.url, application).fetch(
                announced_by(recorded(server.url, size=0))
            )

        assert (saved.outcome, saved.size) == ("done", 0)
        check_sums(tmp_path)

    def test_without_a_reported_size_it_has_the_length_in_its_header(self, tmp_path, platform, application):
        recording = announced_by(recorded(platform.url, size="?"))

        assert recording.size is None
        assert fetcher(tmp_path, platform.url, application).fetch(recording).size == len(SOUND)

    def test_it_may_arrive_in_chunks(self, tmp_path, application):
        chunks = (
            b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (SOUND[:5000], SOUND[5000:]))
            + b"0\r\n\r\n"
        )
        head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
        for size in (len(SOUND), None):
            with Canned(head + chunks, keeps=False) as server:
                directory = tmp_path / str(size)
                directory.mkdir()
                saved = fetcher(directory, server.url, application).fetch(
                    announced_by(recorded(server.url, size=size))
                )
            assert saved.sha256 == SHA256

    def test_a_recording_and_its_transcription_have_the_same_name(self, tmp_path, platform, application):
        both = announced([stored(transcribed(platform.url)), stored(recorded(platform.url))])
        into = fetcher(tmp_path, platform.url, application)

        assert {into.fetch(each).name for each in both} == {MP3, f"{NAME}.transcript.json"}
        assert (tmp_path / f"{NAME}.transcript.json").read_bytes() == TEXT
        assert len(check_sums(tmp_path).splitlines()) == 2

    def test_a_transcription_has_the_name_of_its_recording_even_without_its_event(
        self, tmp_path, platform, application
    ):
        into = fetcher(tmp_path, platform.url, application)
        into.fetch(announced_by(recorded(platform.url)))

        assert into.fetch(announced_by(transcribed(platform.url))).name == f"{NAME}.transcript.json"

    def test_a_file_without_an_event_is_named_by_its_id(self, tmp_path, platform, application):
        into = fetcher(tmp_path, platform.url, application)
        ids = [into.fetch(Recording(url=f"{platform.url}/v1/files/{each}")) for each in (FILE_ID, TEXT_ID)]

        assert [each.name for each in ids] == [f"{FILE_ID}.mp3", f"{TEXT_ID}.transcript.json"]
        check_sums(tmp_path)


WRONG = {
    "a page": (reply(200, b"<html>no</html>", content_type="text/html"), "it is text/html"),
    "a page as long": (reply(200, b"<" * len(SOUND), content_type="text/html"), "it is text/html"),
    "of no type": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "it is text/plain"),
    "a picture": (reply(200, SOUND, content_type="image/png"), "it is image/png"),
    "JSON": (reply(200, {"error": "x"}), "it is application/json"),
    "shorter": (reply(200, SOUND[:-1], content_type="audio/mpeg"), f"it has {len(SOUND) - 1} bytes"),
    "longer": (reply(200, SOUND + b"x", content_type="audio/mpeg"), f"it has {len(SOUND) + 1} bytes"),
    "empty": (reply(200, b"", content_type="audio/mpeg"), "it has 0 bytes"),
    "compressed": (
        reply(200, SOUND, content_type="audio/mpeg", content_encoding="gzip"),
        "it is compressed",
    ),
    "endless": (
        b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n" + SOUND + b"x" * 99,
        "it is larger than announced",
    ),
    "cut, of no length": (
        b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n" + SOUND[:-5],
        "the file was cut short",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "the response is empty"),
    "a part": (
        reply(206, SOUND, content_type="audio/mpeg", content_range=f"bytes 0-{len(SOUND) - 1}/{len(SOUND)}"),
        "not the requested range",
    ),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", "redirect"),
    "no HTTP": (b"SSH-2.0-x\r\n", "not valid HTTP"),
    "too busy": (reply(503, b""), "503"),
}


@pytest.mark.parametrize(("answer", "why"), WRONG.values(), ids=WRONG)
def test_other_content_is_not_stored(tmp_path, application, answer, why):
    with Canned(answer, keeps=False) as server, pytest.raises(TransportError, match=why):
        fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

    assert names(tmp_path) <= LEFT


@pytest.mark.parametrize(
    "answer", [reply(200, SOUND, content_type="audio/mpeg"), reply(200, b"x", content_type="text/html")]
)
def test_a_transcription_is_json(tmp_path, application, answer):
    with Canned(answer) as server, pytest.raises(TransportError, match="is not the expected one"):
        fetcher(tmp_path, server.url, application).fetch(announced_by(transcribed(server.url)))

    assert names(tmp_path) <= {f"{UUID}.transcript.part"}


def test_a_transcription_without_a_length_may_be_incomplete(tmp_path, application):
    """An unframed reply ends with the connection, for any reason."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    with (
        Canned(head + TEXT, keeps=False) as server,
        pytest.raises(TransportError, match="its size is not known"),
    ):
        fetcher(tmp_path, server.url, application).fetch(announced_by(transcribed(server.url)))


def test_a_file_with_a_huge_size_is_not_requested(tmp_path, platform, application):
    into = fetcher(tmp_path, platform.url, application)
    for size in (1 << 32, 10**30):
        with pytest.raises(GuardError, match="the limit is 2 GiB"):
            into.fetch(announced_by(recorded(platform.url, size=size)))

    assert platform.requests == []
    assert names(tmp_path) == set()


def test_a_url_of_another_host_is_not_requested(tmp_path, platform, application):
    into = fetcher(tmp_path, "https://api.nexmo.com", application)
    for url in (f"{platform.url}/v1/files/{FILE_ID}", f"https://evil.nexmo.com/v1/files/{FILE_ID}"):
        with pytest.raises(GuardError, match="No token is sent"):
            into.fetch(announced_by(recorded(platform.url, recording_url=url)))

    assert platform.connections == 0
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (404, NotFoundError, "deleted after about 30 days"),
        (401, AuthError, "Check that the private key"),
        (403, AuthError, "not allowed"),
    ],
)
def test_a_refusal_is_reported_as_such(tmp_path, application, status, error, hint):
    with Canned(reply(status, {"title": "No"})) as server, pytest.raises(error) as refused:
        fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

    assert hint in (refused.value.hint or "")
    assert len(server.requests) == 1


class TestInterruptedDownload:
    def test_cut_anywhere_it_is_complete_in_the_end(self, tmp_path, application):
        """Fifty places in the reply, each reset or closed; without the check of lengths half of them would pass."""
        chance = random.Random(SEED)
        with Canned(ranged()) as server, FaultProxy(server.url) as line:
            size = len(ranged()(Request(b"GET / HTTP/1.1\r\n\r\n")))

            def once(_: Request) -> None:
                line.fault = None

            line.on_request = once
            resumed = 0
            for index, at in enumerate([0, 1, size - 1, *chance.sample(range(2, size - 1), 47)]):
                directory = tmp_path / str(index)
                directory.mkdir()
                line.fault = cut(Side.REPLY, at, abrupt=bool(index % 2), method="GET")
                line.requests.clear()

                saved = fetcher(directory, line.url, application).fetch(announced_by(recorded(line.url)))

                assert (saved.outcome, saved.sha256) == ("done", SHA256), (SEED, at)
                assert (directory / MP3).read_bytes() == SOUND
                assert names(directory) == {MP3, "SHA256SUMS"}
                assert len(line.requests) == 2
                resumed += "range" in line.requests[1].headers
            assert resumed > 30

    def test_while_incomplete_it_has_no_name_and_the_next_attempt_resumes(self, tmp_path, application):
        with Canned(ranged()) as server, FaultProxy(server.url) as line:
            line.fault = Fault(What.CUT, Side.REPLY, at=3000, method="GET")
            recording = announced_by(recorded(line.url))
            with pytest.raises(TransportError, match="cut short"):
                fetcher(tmp_path, line.url, application).fetch(recording)
            assert names(tmp_path) == LEFT
            there = (tmp_path / f"{UUID}.part").stat().st_size
            assert 8000 < there < 9000  # of three tries

            line.fault = None
            line.requests.clear()
            assert fetcher(tmp_path, line.url, application).fetch(recording).sha256 == SHA256

        assert [each.headers["range"] for each in line.requests] == [f"bytes={there - OVERLAP}-"]

    @pytest.mark.parametrize("left", [0, 1, 5000, len(SOUND) - 1, len(SOUND), len(SOUND) + 50])
    def test_it_resumes_however_much_was_left(self, tmp_path, platform, application, left):
        recording = announced_by(recorded(platform.url))
        leave(tmp_path, recording.url, (SOUND + bytes(50))[:left])

        saved = fetcher(tmp_path, platform.url, application).fetch(recording)

        assert saved.sha256 == SHA256
        assert (tmp_path / MP3).read_bytes() == SOUND
        assert names(tmp_path) == {MP3, "SHA256SUMS"}
        begin = min(left, len(SOUND)) - OVERLAP
        asked = [f"bytes={begin}-"] if begin > 0 else [None]
        assert [each.headers.get("range") for each in platform.requests] == asked

    @pytest.mark.parametrize(("torn", "tries"), [(1, 2), (OVERLAP, 2), (5000, 2), (0, 1)])
    def test_a_damaged_end_restarts_the_download(self, tmp_path, platform, application, torn, tries):
        """After a power cut, data that was not yet durable may end in zeros."""
        recording = announced_by(recorded(platform.url))
        leave(tmp_path, recording.url, SOUND[: 5000 - torn] + bytes(torn))

        assert fetcher(tmp_path, platform.url, application).fetch(recording).sha256 == SHA256

        asked = [each.headers.get("range") for each in platform.requests]
        assert asked == [f"bytes={5000 - OVERLAP}-", None][:tries]

    def test_no_more_bytes_than_are_compared_can_be_lost_in_a_power_cut(
        self, tmp_path, platform, application, monkeypatch
    ):
        content, overlap = SOUND * 100, 200_000
        path, sizes, fsync = tmp_path / f"{UUID}.part", [0], os.fsync

        def watched(handle: int) -> None:
            fsync(handle)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                sizes.append(path.stat().st_size)

        monkeypatch.setattr(os, "fsync", watched)
        with Canned(ranged(content)) as server:
            into = fetcher(tmp_path, server.url, application, overlap=overlap)
            into.fetch(announced_by(recorded(server.url, size=len(content))))

        assert sizes[-1] == len(content)
        assert max(after - before for before, after in pairwise(sizes)) <= overlap

    @pytest.mark.parametrize(("file_id", "size"), [(TEXT_ID, len(SOUND)), (FILE_ID, 5000), (FILE_ID, None)])
    def test_a_part_of_another_file_is_not_resumed(self, tmp_path, platform, application, file_id, size):
        """Its end may be the same, for example silence; without a size, its origin is unknown."""
        recording = announced_by(recorded(platform.url))
        leave(tmp_path, f"{platform.url}/v1/files/{file_id}", b"other" + SOUND[5:4000], size or 0)
        if size is None:
            (tmp_path / f"{UUID}.origin").unlink()

        assert fetcher(tmp_path, platform.url, application).fetch(recording).sha256 == SHA256
        assert (tmp_path / MP3).read_bytes() == SOUND
        assert [each.headers.get("range") for each in platform.requests] == [None]

    def test_a_small_file_is_not_resumed(self, tmp_path, platform, application):
        recording = announced_by(recorded(platform.url))
        leave(tmp_path, recording.url, b"other" + SOUND[5:])

        into = fetcher(tmp_path, platform.url, application, overlap=len(SOUND))
        assert into.fetch(recording).sha256 == SHA256
        assert names(tmp_path) == {MP3, "SHA256SUMS"}

    @pytest.mark.parametrize(
        "answer",
        [
            reply(416, b"", content_range="bytes */1"),
            reply(206, SOUND[4000:], content_type="audio/mpeg"),
            reply(
                206,
                SOUND[3999:],
                content_type="audio/mpeg",
                content_range=f"bytes 3999-{len(SOUND) - 1}/{len(SOUND)}",
            ),
            reply(
                206, SOUND[4000:], content_type="audio/mpeg", content_range=f"bytes 4000-{len(SOUND) - 1}/*"
            ),
            reply(
                206,
                SOUND[4000:5000],
                content_type="audio/mpeg",
                content_range=f"bytes 4000-4999/{len(SOUND)}",
            ),
            reply(206, SOUND[4000:], content_type="multipart/byteranges; boundary=x"),
        ],
    )
    def test_a_reply_to_another_range_restarts_the_download(self, tmp_path, application, answer):
        whole = ranged()
        with Canned(lambda request: answer if "range" in request.headers else whole(request)) as server:
            leave(tmp_path, recorded(server.url)["recording_url"], SOUND[: 4000 + OVERLAP])
            saved = fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert saved.sha256 == SHA256
        assert ["range" in each.headers for each in server.requests] == [True, False]

    def test_a_server_without_range_support_restarts_the_download(self, tmp_path, application):
        with Canned(reply(200, SOUND, content_type="audio/mpeg")) as server:
            leave(tmp_path, recorded(server.url)["recording_url"], SOUND[:4000])
            saved = fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert saved.sha256 == SHA256
        assert len(server.requests) == 1

    def test_a_file_of_unknown_size_restarts(self, tmp_path, platform, application):
        (tmp_path / f"{UUID}.transcript.part").write_bytes(b"something else")

        fetcher(tmp_path, platform.url, application).fetch(announced_by(transcribed(platform.url)))

        assert "range" not in platform.requests[0].headers

    def test_silence_and_an_endless_drip_end_an_attempt(self, tmp_path, application):
        whole = ranged()(Request(b"GET / HTTP/1.1\r\n\r\n"))
        for pause, limits in (
            (FOR_EVER, {"silence": 0.1, "within": FOR_EVER}),
            (0.01, {"silence": FOR_EVER, "within": 0.3}),
        ):
            with Canned(Drip(whole, pause, step=200), keeps=False) as server:
                found = announced_by(recorded(server.url, size=None))
                fetches = fetcher(tmp_path, server.url, application, **limits)
                with pytest.raises(TransportError, match="timed out"):
                    ending(lambda: fetches.fetch(found))  # noqa: B023 (it has ended before the next)

    def test_a_drip_may_take_longer_than_the_allowed_silence(self, tmp_path, application):
        whole = ranged()(Request(b"GET / HTTP/1.1\r\n\r\n"))
        with Canned(Drip(whole, 0.1, step=500), keeps=False) as server:
            saved = fetcher(tmp_path, server.url, application, silence=1.0).fetch(
                announced_by(recorded(server.url))
            )

        assert saved.sha256 == SHA256


class TestExistingFiles:
    @pytest.mark.parametrize("is_linked", [True, False])
    def test_a_complete_file_is_listed_once_it_is_compared(self, tmp_path, platform, application, is_linked):
        """Its downloader was killed before listing it, or it was copied here."""
        (tmp_path / MP3).write_bytes(SOUND)
        if is_linked:
            os.link(tmp_path / MP3, tmp_path / f"{UUID}.part")

        saved = fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert (saved.outcome, saved.sha256) == ("already", SHA256)
        assert names(tmp_path) == {MP3, "SHA256SUMS"}
        check_sums(tmp_path)

    def test_a_file_with_other_content_of_the_same_size_is_never_listed(
        self, tmp_path, platform, application
    ):
        mine = b"Z" * len(SOUND)
        (tmp_path / MP3).write_bytes(mine)

        with pytest.raises(GuardError, match="already exists with different content"):
            fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert (tmp_path / MP3).read_bytes() == mine
        assert "SHA256SUMS" not in names(tmp_path)

    def test_an_empty_file_does_not_count(self, tmp_path, platform, application):
        """Without hard links, a process killed between reserving the name and renaming leaves an empty file."""
        (tmp_path / MP3).touch()

        saved = fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert (saved.outcome, saved.sha256) == ("done", SHA256)
        assert (tmp_path / MP3).read_bytes() == SOUND
        check_sums(tmp_path)

    def test_a_transcription_is_compared_with_the_downloaded_one(self, tmp_path, platform, application):
        path = tmp_path / f"{NAME}.transcript.json"
        path.write_bytes(TEXT)
        os.link(path, tmp_path / f"{UUID}.transcript.part")
        (recording, _) = announced([stored(transcribed(platform.url)), stored(recorded(platform.url))])

        assert fetcher(tmp_path, platform.url, application).fetch(recording).outcome == "already"
        assert path.read_bytes() == TEXT
        assert names(tmp_path) == {path.name, "SHA256SUMS"}

    @pytest.mark.parametrize("content", [b"mine", SOUND[:-1], SOUND + b"x"])
    def test_another_file_is_never_overwritten(self, tmp_path, platform, application, content):
        (tmp_path / MP3).write_bytes(content)

        with pytest.raises(GuardError, match=f"has {len(content)} bytes, not {len(SOUND)}") as refused:
            fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert "Nothing was overwritten" in (refused.value.hint or "")
        assert (tmp_path / MP3).read_bytes() == content
        assert "SHA256SUMS" not in names(tmp_path)

    def test_a_file_created_during_the_download_is_not_overwritten(self, tmp_path, application):
        whole = ranged()

        def answer(request: Request) -> bytes:
            (tmp_path / MP3).write_bytes(b"mine")
            return whole(request)

        with (
            Canned(answer) as server,
            pytest.raises(GuardError, match="already exists with different content"),
        ):
            fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert (tmp_path / MP3).read_bytes() == b"mine"

    @pytest.mark.parametrize("name", [MP3, f"{NAME}.ogg", f"{UUID}.part", "SHA256SUMS"])
    @pytest.mark.parametrize(
        "kind", ["link to a file", "link to the same", "link to nothing", "directory", "pipe"]
    )
    def test_another_kind_of_file_is_left_alone(self, tmp_path, platform, application, name, kind):
        victim = tmp_path / "victim"
        content = SOUND if kind == "link to the same" else b"precious"
        victim.write_bytes(content)
        directory = tmp_path / "recordings"
        directory.mkdir()
        there = directory / name
        match kind:
            case "link to a file" | "link to the same":
                there.symlink_to(victim)
            case "link to nothing":
                there.symlink_to(tmp_path / "nowhere")
            case "directory":
                there.mkdir()
            case "pipe":
                os.mkfifo(there)

        with pytest.raises((GuardError, UnwritableError)):
            fetcher(directory, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert victim.read_bytes() == content
        assert not (tmp_path / "nowhere").exists()
        assert not [
            path
            for path in directory.iterdir()
            if path.is_file() and path.name.startswith(NAME[:8]) and path != there
        ]

    def test_a_partial_file_with_a_second_link_is_not_written_to(self, tmp_path, platform, application):
        (tmp_path / "mine").write_bytes(b"precious")
        os.link(tmp_path / "mine", tmp_path / f"{UUID}.part")

        saved = fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert saved.sha256 == SHA256
        assert (tmp_path / "mine").read_bytes() == b"precious"


class TestUnsignedFiles:
    """A forged event of a recording, with another file, was accepted because of ``--allow-unsigned``."""

    @pytest.fixture
    def forged(self, tmp_path, platform, application) -> Callable[..., Stored]:
        """Return a function that forges an event, downloads its file, and returns the event."""

        def fetch(**fields: Any) -> Stored:
            other = f"{platform.url}/v1/files/{TEXT_ID}"
            payload = recorded(platform.url, recording_url=other, size=len(TEXT) + 100) | fields
            event = stored(payload, is_signed=False)
            with Canned(ranged(SOUND[: payload["size"]])) as server:
                payload["recording_url"] = f"{server.url}/v1/files/{TEXT_ID}"
                (recording,) = announced([stored(payload, is_signed=False)])
                fetcher(tmp_path, server.url, application).fetch(recording)
            return event

        return fetch

    def test_it_gives_way_to_the_signed_file(self, tmp_path, platform, application, forged):
        events = Events(forged(start_time="2020-01-01T00:00:00Z"), stored(recorded(platform.url)))
        (recording,) = missed(events, tmp_path)
        into = fetcher(tmp_path, platform.url, application)

        assert (into.fetch(recording).name, into.fetch(recording).outcome) == (MP3, "already")
        assert missed(events, tmp_path) == []
        found = Manifest(tmp_path).find(UUID, is_transcription=False)
        assert found is not None
        assert found.name == MP3
        assert len(check_sums(tmp_path).splitlines()) == 2

    def test_a_name_conflict_is_reported(self, tmp_path, platform, application, forged):
        forged()
        before = (tmp_path / MP3).read_bytes()

        with pytest.raises(GuardError, match=f"{MP3} has {len(before)} bytes, not {len(SOUND)}"):
            fetcher(tmp_path, platform.url, application).fetch(announced_by(recorded(platform.url)))

        assert (tmp_path / MP3).read_bytes() == before

    def test_a_file_changed_by_its_owner_is_not_replaced(self, tmp_path, platform, application):
        into, recording = (
            fetcher(tmp_path, platform.url, application),
            announced_by(recorded(platform.url)),
        )
        into.fetch(recording)
        with (tmp_path / MP3).open("ab") as file:
            file.write(b"TAG")

        assert into.fetch(recording).outcome == "already"
        assert missed(Events(stored(recorded(platform.url))), tmp_path) == []


def test_a_full_disk_is_reported_and_the_next_attempt_resumes(tmp_path, platform, application):
    recording = announced_by(recorded(platform.url))
    with largest_file(4096), pytest.raises(UnwritableError, match="cannot be used"):
        fetcher(tmp_path, platform.url, application).fetch(recording)
    assert names(tmp_path) == LEFT

    assert fetcher(tmp_path, platform.url, application).fetch(recording).sha256 == SHA256

    assert [each.headers.get("range") for each in platform.requests] == [None, f"bytes={4096 - OVERLAP}-"]


def test_a_manifest_that_cannot_grow_lists_nothing_and_loses_nothing(tmp_path):
    manifest = Manifest(tmp_path)
    old = Name.of(announced_by(recorded("x")), UUID, "mp3")
    manifest.add(old, SHA256)
    new = Name.of(announced_by(recorded("x")), FILE_ID, "mp3")
    with largest_file(200), pytest.raises(UnwritableError):
        manifest.add(new, SHA256)

    assert (tmp_path / "SHA256SUMS").read_text() == f"{SHA256}  {old}\n"
    assert manifest.find(FILE_ID, is_transcription=False) is None


def test_concurrent_downloads_fetch_a_file_once(tmp_path, application):
    """Eight receivers with the same recording, each with its own directory handle."""
    whole = ranged()(Request(b"GET / HTTP/1.1\r\n\r\n"))
    with Canned(Drip(whole, 0.005, step=1000), keeps=False) as server:
        recording = announced_by(recorded(server.url))
        intos = [fetcher(tmp_path, server.url, application) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            outcomes = sorted(pool.map(lambda into: into.fetch(recording).outcome, intos))

    assert outcomes == ["already"] * 7 + ["done"]
    assert len(server.requests) == 1
    assert names(tmp_path) == {MP3, "SHA256SUMS"}
    check_sums(tmp_path)


class TestRedirects:
    @pytest.fixture
    def elsewhere(self) -> Iterator[Canned]:
        with Canned(ranged()) as server:
            yield server

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_one_redirect_is_followed_without_the_token(self, tmp_path, application, elsewhere, status):
        with Canned(reply(status, b"", location=f"{elsewhere.url}/a/b?sig=x%2By")) as server:
            leave(tmp_path, recorded(server.url)["recording_url"], SOUND[: 100 + OVERLAP])
            saved = fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert saved.sha256 == SHA256
        (request,) = elsewhere.requests
        assert request.target == "/a/b?sig=x%2By"
        assert request.headers["range"] == "bytes=100-"
        assert b"authorization" not in request.raw.lower()
        assert b"ey" not in request.raw
        assert [bool(each.token) for each in server.requests] == [True]

    def test_a_second_redirect_is_not_followed(self, tmp_path, application, elsewhere):
        with (
            Canned(reply(302, b"", location=elsewhere.url)) as second,
            Canned(reply(302, b"", location=second.url)) as server,
            pytest.raises(TransportError, match="returned 302"),
        ):
            fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        "answer", [reply(404, b""), reply(403, b"<xml>"), reply(200, b"<html>", content_type="text/html")]
    )
    def test_the_reply_of_the_target_is_checked_in_the_same_way(self, tmp_path, application, answer):
        with (
            Canned(answer) as there,
            Canned(reply(302, b"", location=there.url)) as server,
            pytest.raises(TransportError),
        ):
            fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert names(tmp_path) == LEFT

    @pytest.mark.parametrize(
        "location",
        [
            "",
            "http://127.0.0.1:{port}/x",
            "https://127.0.0.1:{port}/x",
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://[64:ff9b::7f00:1]/x",
            "https://2130706433/x",
            "https://0x7f000001/x",
            "https://127.1/x",
            "https://10.0.0.1/x",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/x",
            "https://user@cdn.example.org/x",
            "https://cdn.example.org:8443/x",
            "https://cdn.example.org:0/x",
            "https://cdn.example.org:x/x",
            "https://cdn.example.org\\@127.0.0.1/x",
            "https://cdn.example.org /x",
            "https://[/x",
            "http://cdn.example.org/x",
            "//127.0.0.1:{port}/x",
            "ftp://cdn.example.org/x",
            "file:///etc/passwd",
            "https://cdn.example.org./x",
            "https://x" + "y" * 9000,
        ],
    )
    def test_no_redirect_leads_from_the_platform_to_this_network(
        self, tmp_path, application, elsewhere, location
    ):
        """The host has the platform's name; a server of the test answers for it."""
        with Canned(reply(302, b"", location=location.format(port=elsewhere.port))) as server:
            into = fetcher(tmp_path, "https://api.nexmo.com", application, api=server.url)
            with pytest.raises(TransportError, match="was not followed"):
                into.fetch(announced_by(recorded("https://api-eu.nexmo.com")))

        assert len(server.requests) == 1
        assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        "location", ["https://cdn.example.org/x", "http://10.0.0.1/x", "https://8.8.8.8/x"]
    )
    def test_no_redirect_leads_from_a_sandbox_to_the_internet(self, tmp_path, application, location):
        with (
            Canned(reply(302, b"", location=location)) as server,
            pytest.raises(TransportError, match="this machine"),
        ):
            fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

    def test_the_target_is_not_shown(self, tmp_path, application):
        location = "http://cdn.example.org/x?signature=canary"
        with (
            Canned(reply(302, b"", location=location)) as server,
            pytest.raises(TransportError) as refused,
        ):
            fetcher(tmp_path, server.url, application).fetch(announced_by(recorded(server.url)))

        assert "canary" not in str(refused.value) + str(refused.value.hint)


class TestNames:
    @given(
        st.dictionaries(
            st.sampled_from(["start_time", "timestamp", "recording_uuid", "conversation_uuid", "size"]),
            st.text(max_size=40)
            | st.sampled_from([UUID, UUID.upper(), CON, CON.lower(), UUID.replace("-", ""), "con-" + UUID])
            | st.datetimes().map(lambda moment: moment.isoformat())
            | st.integers()
            | st.none()
            | st.lists(st.text(max_size=3), max_size=2),
        )
    )
    @example({"recording_uuid": "..", "conversation_uuid": "../../etc", "start_time": "/"})
    @example({"recording_uuid": "CON", "conversation_uuid": "CON", "start_time": "NUL"})
    @example({"recording_uuid": "aux.mp3 ", "conversation_uuid": "COM1", "start_time": "a\nb"})
    @example({"recording_uuid": "x" * 300, "conversation_uuid": "CON-" + "x" * 300})
    @example({"recording_uuid": UUID + "\n", "conversation_uuid": CON + "\0"})
    @example({"recording_uuid": UUID[:-1] + "\u0665", "conversation_uuid": "\uff23ON-" + UUID})
    @example({"start_time": "0001-01-01T00:00:00+23:59"})
    @example({"start_time": "9999-12-31T23:59:59-23:59"})
    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    def test_no_event_chooses_the_path_of_a_file(self, fields: dict[str, Any]) -> None:
        recording = announced_by(recorded("https://api.nexmo.com") | fields)
        for extension in ("mp3", "wav", "ogg", "transcript.json"):
            name = Name.of(recording, recording.id or "", extension)
            text = str(name)

            assert Name.parse(text) == name
            assert text.isascii()
            assert text.isprintable()
            assert len(text) < 130
            windows = PureWindowsPath(text)
            assert windows.parts == Path(text).parts == (text,)
            assert not windows.is_reserved()
            assert not set(text) & set('<>:"/\\|?* ')
            assert not text.endswith((".", " "))

    def test_invalid_ids_are_replaced(self):
        recording = announced_by(
            recorded(
                "https://api.nexmo.com",
                recording_uuid="x",
                conversation_uuid="y",
                start_time="z",
                timestamp=1,
            )
        )

        assert str(Name.of(recording, recording.id or "", "mp3")) == f"20260203T085640Z_unknown_{FILE_ID}.mp3"

    def test_ids_have_one_form(self):
        recording = announced_by(
            recorded(
                "x",
                recording_uuid=UUID.upper(),
                conversation_uuid=UUID.upper(),
                start_time="2026-02-03T10:15:00.999+01:00",
            )
        )

        assert str(Name.of(recording, UUID, "wav")) == f"20260203T091500Z_{UUID}_{UUID}.wav"

    def test_of_several_events_of_a_file_the_signed_one_counts(self):
        forged = recorded("https://api.nexmo.com", recording_url="https://evil.org", size=1)
        true = recorded("https://api.nexmo.com")
        events = [
            stored(forged, is_signed=False),
            stored(true),
            stored(recorded("https://api.nexmo.com", size=5)),
            stored({"status": "answered"}),
            stored({"recording_url": None}),
        ]

        assert announced(events) == [announced_by(true)]

    def test_signed_files_are_not_named_after_unsigned_events(self):
        forged = stored(recorded("x", start_time="2020-01-01T00:00:00Z"), is_signed=False)
        signed = stored(transcribed("x"))

        assert [Name.of(each, UUID, "mp3").start for each in announced([forged, signed])] == [
            "20200101T000000Z",
            "20260203T085640Z",
        ]

    @pytest.mark.parametrize(
        ("reported", "size"),
        [(7, 7), ("7", 7), (0, 0), (-1, None), (True, None), (7.0, None), ("7x", None), ("\u0667", None)],
    )
    def test_a_size_is_a_number_or_a_numeric_string(self, reported, size):
        assert announced_by(recorded("x", size=reported)).size == size


class TestManifest:
    def add(self, directory: Path, *numbers: int) -> None:
        manifest = Manifest(directory)
        for number in numbers:
            manifest.add(self.name(number), f"{number:064x}")

    def name(self, number: int) -> Name:
        uuid = f"{number:08x}-0000-4000-8000-000000000000"
        return Name(start="20260203T091500Z", conversation="unknown", uuid=uuid, extension="mp3")

    def test_several_processes_share_it_without_losing_a_line(self, tmp_path):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda at: self.add(tmp_path, *range(at, at + 25)), range(0, 200, 25)))

        lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
        assert sorted(lines) == [f"{number:064x}  {self.name(number)}" for number in range(200)]

    @pytest.mark.parametrize("kept", range(0, 140, 7))
    def test_a_truncated_line_is_repaired(self, tmp_path, kept):
        self.add(tmp_path, 1, 2)
        path = tmp_path / "SHA256SUMS"
        first, second = path.read_text().splitlines(keepends=True)
        path.write_text(first + second[:kept])

        self.add(tmp_path, 3)
        self.add(tmp_path, 2)

        lines = path.read_text().splitlines()
        assert sorted(lines) == [f"{number:064x}  {self.name(number)}" for number in (1, 2, 3)]

    @pytest.mark.parametrize(
        "line",
        ["0" * 64 + "  notes of mine.txt", "# a remark", f"{7:064x}  20260203T091500Z_unknown_{UUID}.mp3"],
    )
    def test_a_last_line_without_a_line_end_is_kept(self, tmp_path, line):
        path = tmp_path / "SHA256SUMS"
        path.write_text(line)

        self.add(tmp_path, 3)

        assert path.read_text().splitlines() == [line, f"{3:064x}  {self.name(3)}"]

    def test_foreign_lines_are_kept_and_name_none_of_our_files(self, tmp_path):
        (tmp_path / "SHA256SUMS").write_text(
            "# mine\n" + "0" * 64 + "  ../../etc/passwd\n" + "1" * 64 + f" *{self.name(1)}\n\n\xff\n",
            "latin-1",
        )
        manifest = Manifest(tmp_path)

        found = manifest.find(self.name(1).uuid, is_transcription=False)
        assert found is not None
        assert (found.name, found.sha256) == (str(self.name(1)), "1" * 64)

    def test_additions_of_other_processes_and_edits_are_noticed(self, tmp_path):
        manifest = Manifest(tmp_path)
        assert manifest.find(self.name(1).uuid, is_transcription=None) is None
        self.add(tmp_path, 1)
        assert manifest.find(self.name(1).uuid, is_transcription=None) is not None
        (tmp_path / "new").write_text(f"{2:064x}  {self.name(2)}\n")
        (tmp_path / "new").rename(tmp_path / "SHA256SUMS")

        assert manifest.find(self.name(1).uuid, is_transcription=None) is None
        assert manifest.find(self.name(2).uuid, is_transcription=None) is not None
        os.truncate(tmp_path / "SHA256SUMS", 0)
        assert manifest.find(self.name(2).uuid, is_transcription=None) is None

    def test_a_link_in_its_place_is_not_written_through(self, tmp_path):
        (tmp_path / "victim").write_bytes(b"precious")
        (tmp_path / "SHA256SUMS").symlink_to(tmp_path / "victim")

        with pytest.raises(UnwritableError):
            self.add(tmp_path, 1)

        assert (tmp_path / "victim").read_bytes() == b"precious"


class Events(EventStore):
    """Events that are only remembered."""

    def __init__(self, *fields: Stored) -> None:
        self.kept = list(fields)

    def find(self, query: Query) -> Iterator[Stored]:
        return (
            each
            for each in self.kept
            if each.arrival.kind in (query.kinds or ()) and each.arrival.received >= (query.since or 0)
        )


Start = Callable[..., Downloader]


class HaltingClock(FakeClock):
    """A clock whose ``sleep`` lasts until the test releases it.

    Attributes:
        is_asleep: True while a thread sleeps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()
        self.may_go.set()
        self.is_asleep = threading.Event()

    def sleep(self, seconds: float) -> None:
        if not self.may_go.is_set():
            self.is_asleep.set()
            self.may_go.wait()
        super().sleep(seconds)


class TestDownloader:
    @pytest.fixture
    def remarks(self) -> list[str]:
        return []

    @pytest.fixture
    def clock(self) -> HaltingClock:
        return HaltingClock()

    @pytest.fixture
    def start(self, tmp_path, application, remarks, clock) -> Iterator[Start]:
        """Return a function that starts downloaders into the test's directory, and close them at the end."""
        started: list[Downloader] = []

        def start(base: str, **more: Any) -> Downloader:
            downloader = Downloader(
                tmp_path,
                lambda progress: fetcher(tmp_path, base, application, clock, on_progress=progress),
                clock,
                remark=remarks.append,
                **more,
            )
            started.append(downloader)
            return downloader

        yield start
        for each in started:
            each.close(5)

    def settle(self, downloader: Downloader) -> None:
        eventually(lambda: not downloader.waiting)

    def test_it_downloads_each_announced_file_once(self, tmp_path, platform, start, remarks):
        saved: list[Saved] = []
        downloader = start(platform.url, on_saved=saved.append)
        for fields in (recorded(platform.url), transcribed(platform.url), {"status": "answered"}, {}, []):
            downloader.announce(stored(fields))
            downloader.announce(stored(fields))
        self.settle(downloader)
        downloader.announce(stored(recorded(platform.url)))
        self.settle(downloader)

        assert {each.name for each in saved} == {MP3, f"{NAME}.transcript.json"}
        assert len(platform.requests) == 2
        assert remarks == []
        check_sums(tmp_path)

    def test_it_does_not_block_the_caller(self, application, start):
        begun = threading.Event()

        def answer(_: Request) -> Drip:
            begun.set()
            return Drip(
                b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 9999999\r\n\r\n", FOR_EVER
            )

        with Canned(answer) as server:
            downloader = start(server.url)

            def announce() -> None:
                for number in (*range(1000), 7):
                    uuid = f"{number:08x}{UUID[8:]}"
                    downloader.announce(stored(recorded(server.url, recording_uuid=uuid)))

            ending(announce)
            assert begun.wait(PATIENCE_SECONDS)
            assert downloader.waiting == 1000
            downloader.close(0)

    @pytest.mark.parametrize("status", [404, 500, 503])
    def test_it_retries_after_temporary_errors(self, tmp_path, application, start, remarks, clock, status):
        whole = ranged()
        with Canned(*[reply(status, b"")] * 5, whole) as server:
            downloader = start(server.url)
            downloader.announce(stored(recorded(server.url)))
            self.settle(downloader)

        assert (tmp_path / MP3).read_bytes() == SOUND
        assert remarks == []
        assert len(server.requests) == 6

    def test_it_waits_longer_each_time_and_gives_up_with_a_message(self, tmp_path, start, remarks, clock):
        began = clock.monotonic()
        with Canned(reply(503, b"")) as server:
            downloader = start(server.url, threads=1)
            downloader.announce(stored(recorded(server.url)))
            self.settle(downloader)

        (remark,) = remarks
        assert remark.startswith(f"recording {UUID} was not fetched: ")
        assert len(server.requests) == 3 * 12  # a session tries three times
        assert 1200 < clock.monotonic() - began < 2400

    def test_a_missing_file_is_waited_for_for_a_minute(self, start, remarks, clock):
        began = clock.monotonic()
        with Canned(reply(404, b"")) as server:
            downloader = start(server.url, threads=1)
            downloader.announce(stored(recorded(server.url)))
            self.settle(downloader)

        (remark,) = remarks
        assert "has no /v1/files/" in remark
        assert NOT_YET_SECONDS <= clock.monotonic() - began < 2 * NOT_YET_SECONDS + 10

    def test_unsigned_events_are_ignored_unless_they_are_allowed(self, tmp_path, platform, start):
        event = stored(recorded(platform.url), is_signed=False)
        careful = start(platform.url)
        careful.announce(event)
        assert careful.waiting == 0
        assert missed(Events(event), tmp_path) == []

        trusting = start(platform.url, allow_unsigned=True)
        trusting.announce(event)
        self.settle(trusting)
        assert (tmp_path / MP3).exists()

    @pytest.mark.parametrize("is_under_way", [True, False])
    def test_a_forged_event_does_not_block_the_signed_one(
        self, tmp_path, platform, start, remarks, is_under_way
    ):
        begun, go_on = threading.Event(), threading.Event()

        def answer(request: Request) -> bytes:
            if not request.path.endswith(TEXT_ID):
                return ranged()(request)
            begun.set()
            assert go_on.wait(PATIENCE_SECONDS) or not is_under_way
            return ranged(SOUND[:5000])(request) if is_under_way else reply(503, b"")

        with Canned(answer) as server:
            downloader = start(server.url, threads=1, allow_unsigned=True)
            if not is_under_way:
                go_on.set()
            other = f"{server.url}/v1/files/{TEXT_ID}"
            forged = recorded(server.url, recording_url=other, size=5000, start_time="2020-01-01T00:00:00Z")
            downloader.announce(stored(forged, is_signed=False))
            assert begun.wait(PATIENCE_SECONDS)
            downloader.announce(stored(recorded(server.url), number=2))
            go_on.set()
            downloader.announce(stored(forged, is_signed=False))
            self.settle(downloader)

        assert (tmp_path / MP3).read_bytes() == SOUND
        assert remarks == []
        assert len(check_sums(tmp_path).splitlines()) == 1 + is_under_way

    def test_a_url_of_another_host_is_reported_and_not_retried(self, platform, start, remarks):
        downloader = start("https://api.nexmo.com")
        downloader.announce(stored(recorded(platform.url)))
        self.settle(downloader)

        (remark,) = remarks
        assert "No token is sent" in remark
        assert platform.connections == 0

    def test_refused_credentials_end_it_with_one_message(self, start, remarks):
        with Canned(reply(401, {"title": "Unauthorized"})) as server:
            downloader = start(server.url, threads=1)
            for number in range(20):
                downloader.announce(stored(recorded(server.url, recording_uuid=f"{number:08x}{UUID[8:]}")))
            self.settle(downloader)
            downloader.announce(stored(recorded(server.url)))
            assert downloader.waiting == 0
            downloader.close(5)

        assert len(server.requests) == 1
        assert len(remarks) == 2
        assert "Downloads of recordings stopped" in remarks[0]
        assert "voicectl recording download" in remarks[1]

    def test_a_full_disk_is_waited_out(self, tmp_path, platform, start, remarks, clock):
        clock.may_go.clear()
        downloader = start(platform.url, threads=1)
        with largest_file(4096):
            downloader.announce(stored(recorded(platform.url)))
            assert clock.is_asleep.wait(PATIENCE_SECONDS)
        clock.may_go.set()
        self.settle(downloader)

        assert (tmp_path / MP3).read_bytes() == SOUND
        assert remarks == []

    def test_files_left_at_the_end_are_found_again(self, tmp_path, application, start, remarks):
        whole = ranged()
        held = Drip(whole(Request(b"GET / HTTP/1.1\r\n\r\n")), FOR_EVER, step=5000)
        with Canned(held, whole) as server:
            events = Events(
                stored(recorded(server.url)),
                stored(transcribed(server.url), number=2),
                stored({"status": "completed"}, number=3),
            )
            downloader = start(server.url, threads=1)
            downloader.announce(events.kept[0])
            part = tmp_path / f"{UUID}.part"
            eventually(lambda: part.exists() and part.stat().st_size)
            downloader.close(0)
            server.drop()

            assert [remark.split(" not fetched")[0] for remark in remarks] == ["1 recording"]
            assert MP3 not in names(tmp_path)
            found = missed(events, tmp_path)
            assert [each.is_transcription for each in found] == [False, True]
            assert missed(events, tmp_path, since=2e9) == []

            again = start(server.url)
            again.add(found[0])
            self.settle(again)
            assert [each.is_transcription for each in missed(events, tmp_path)] == [True]

        assert (tmp_path / MP3).read_bytes() == SOUND
        assert server.requests[1].headers["range"].startswith("bytes=")

    def test_close_finishes_the_current_download(self, tmp_path, start, remarks):
        with Canned(
            Drip(ranged()(Request(b"GET / HTTP/1.1\r\n\r\n")), 0.005, step=500), keeps=False
        ) as server:
            downloader = start(server.url)
            downloader.announce(stored(recorded(server.url)))
            downloader.close(PATIENCE_SECONDS)

        assert (tmp_path / MP3).read_bytes() == SOUND
        assert remarks == []
        downloader.announce(stored(recorded("http://127.0.0.1:9")))  # too late
        assert downloader.waiting == 0


def test_events_of_other_kinds_announce_no_file():
    assert of_event(stored({"status": "completed", "size": 1})) is None
    assert of_event(stored({"transcription_url": 7})) is None
    assert json.dumps(recorded("x"))
