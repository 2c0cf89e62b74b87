"""``recording list`` and ``recording download``, against the sandbox and against servers that misbehave."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.webhooks.receiver import Receiver
from tests.support.hostile import HOSTILE, unsafe
from tests.support.machines import Application, machine
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
    arrival,
    fetcher,
    leave,
    ranged,
    recorded,
    transcribed,
)
from tests.support.room import PERSON, Room
from tests.support.servers import Canned, Drip, Request, reply
from tests.support.waiting import FOR_EVER, eventually
from tests.webhook.signing import SECRET
from tests.webhook.test_serve import served
from voicectl.core.recordings.fetch import OVERLAP_BYTES
from voicectl.store.event_stores import open_events

MP3 = f"{NAME}.mp3"
WORDS = f"{NAME}.transcript.json"
SHA256 = hashlib.sha256(SOUND).hexdigest()


def keep(
    room: Room, *events: dict[str, Any], received: float = 1_769_990_000.0, is_signed: bool = True
) -> None:
    """Put *events* into the store, as ``webhook serve`` would."""
    application_id = room("profile show -o json").json["application_id"]
    directory = room.state / application_id
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(open_events(None, directory, application_id)) as store:
        store.add([arrival(event, received=received, is_signed=is_signed) for event in events])


@pytest.fixture
def platform() -> Iterator[Canned]:
    """A server that has the recording and its transcription."""
    sound, text = ranged(), ranged(TEXT, "application/json")
    with Canned(lambda request: (text if request.path.endswith(TEXT_ID) else sound)(request)) as server:
        yield server


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def home(tmp_path: Path, application: Application, platform: Canned) -> Room:
    """A machine whose profile has its files on that server."""
    return machine(tmp_path / "home", application, platform.url)


@pytest.fixture
def announced(home: Room, platform: Canned) -> Room:
    """A machine that received the events of both files."""
    keep(home, recorded(platform.url), transcribed(platform.url))
    return home


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


# Recordings of the sandbox


@pytest.mark.parametrize(("form", "extension"), [("mp3", "mp3"), ("wav", "wav"), ("ogg", "ogg")])
def test_sha256sum_accepts_the_directory_of_a_downloaded_voicemail(
    room: Room, tmp_path: Path, application: Application, form: str, extension: str
) -> None:
    room.environ["VOICECTL_SANDBOX"] = room.url  # which knows where its regions have their files
    with Receiver() as receiver:
        flow = [
            {"action": "talk", "text": "Leave a message."},
            {
                "action": "record",
                "format": form,
                "endOnSilence": 3,
                "beepStart": True,
                "eventUrl": [f"{receiver.url}/recorded"],
                "transcription": {"eventUrl": [f"{receiver.url}/words"]},
            },
        ]
        leg = room.call(PERSON, f"--ncco {write(tmp_path, flow)}")
        for command in (f"press {leg} 1", "advance 1s", f"say {leg} 'Call me back.'", "advance 20s"):
            ran = room(f"sandbox {command}")
            assert ran.exit_code == 0, ran
        eventually(lambda: receiver.at("/recorded") and receiver.at("/words"))
        event = receiver.at("/recorded")[0].fields
        keep(room, event, receiver.at("/words")[0].fields)

    (row,) = room("recording list").rows
    assert row[0] == event["recording_uuid"]
    assert int(row[3]) == event["size"]
    ran = room(f"recording download --dir {tmp_path / 'r'} -o json")

    assert ran.exit_code == 0, ran.stderr
    sound, words = ran.json
    assert sound["file"].endswith(f"_{event['conversation_uuid']}_{event['recording_uuid']}.{extension}")
    assert re.match(r"[0-9]{8}T[0-9]{6}Z_CON-", sound["file"])
    assert sound["size"] == event["size"] == (tmp_path / "r" / sound["file"]).stat().st_size
    assert words["file"] == sound["file"].replace(f".{extension}", ".transcript.json")
    text = json.loads((tmp_path / "r" / words["file"]).read_text())
    assert text["channels"][0]["transcript"][0]["sentence"] == "Call me back."
    summed = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "r", capture_output=True, check=False
    )
    assert summed.returncode == 0, summed
    assert len(summed.stdout.splitlines()) == 2

    half, seen = event["size"] // 2, []
    base = event["recording_url"].partition("/v1/")[0]
    leave(
        tmp_path, event["recording_url"], (tmp_path / "r" / sound["file"]).read_bytes()[:half], event["size"]
    )
    (tmp_path / f"{UUID}.part").rename(tmp_path / f"{event['recording_uuid']}.part")
    (tmp_path / f"{UUID}.origin").rename(tmp_path / f"{event['recording_uuid']}.origin")
    into = fetcher(
        tmp_path, base, application, room.clock, on_progress=lambda *progress: seen.append(progress[0])
    )
    assert into.fetch(announced_by(event)).sha256 == sound["sha256"]
    assert seen[0] > half - OVERLAP  # the sandbox serves the rest of a file

    advanced = room(f"sandbox advance {31 * 86_400}")
    assert advanced.exit_code == 0, advanced
    gone = room(f"recording download {event['recording_url']} --dir {tmp_path / 'late'} -o json")
    assert gone.exit_code == 4
    assert "deleted after about 30 days" in gone.error["hint"]


def write(directory: Path, flow: list[dict[str, Any]]) -> Path:
    path = directory / "flow.json"
    path.write_text(json.dumps(flow))
    return path


# Listing


def test_list_shows_each_recording_once_with_all_reported_fields(
    announced: Room, platform: Canned, there: Path
) -> None:
    keep(
        announced,
        recorded(platform.url, timestamp="2026-02-03T09:16:02.000Z"),
        {"status": "completed", "uuid": UUID},
    )

    assert announced("recording list").rows == [
        [
            UUID,
            "2026-02-03T09:15:00Z",
            "2026-02-03T09:16:00Z",
            str(len(SOUND)),
            CON,
            f"{platform.url}/v1/files/{FILE_ID}",
            f"{platform.url}/v1/files/{TEXT_ID}",
            "-",
        ]
    ]
    assert announced("recording list -q").stdout == f"{UUID}\n"
    assert announced("recording list -o json").json[0]["signed"] is True
    announced(f"recording download --dir {there}")
    shown = announced(f"recording list --dir {there} -o json").json[0]
    assert (shown["file"], shown["transcription_file"]) == (MP3, WORDS)
    assert len(platform.requests) == 2


@pytest.mark.parametrize(("sound", "words"), [(True, True), (True, False), (False, True), (False, False)])
def test_list_marks_a_recording_as_signed_only_if_all_shown_fields_are(
    home: Room, platform: Canned, sound: bool, words: bool
) -> None:
    """In either order of arrival; and a signed event replaces an unsigned one."""
    forged = {"is_signed": False, "received": 1_769_980_000.0}
    keep(home, transcribed("https://evil.example"), **forged)
    keep(home, recorded("https://evil.example", end_time="forged"), **forged)
    if sound:
        keep(home, recorded(platform.url))
    if words:
        keep(home, transcribed(platform.url))

    (record,) = home("recording list -o json").json
    assert record["signed"] == (sound and words)
    assert ("evil" in record["recording_url"]) != sound
    assert (record["end_time"] == "forged") != sound
    assert ("evil" in record["transcription_url"]) != words


def test_list_accepts_a_conversation_s_id_of_any_form_if_stored_events_mention_it(
    announced: Room, platform: Canned
) -> None:
    keep(announced, recorded(platform.url, conversation_uuid="CON-w6", recording_uuid=FILE_ID))

    assert [row[0] for row in announced("recording list --conversation CON-w6").rows] == [FILE_ID]
    assert announced("recording list --conversation CON-w7").exit_code == 2


def test_list_filters_by_conversation_and_time(announced: Room, platform: Canned) -> None:
    other = CON.replace("1a2b", "9a9b")
    newer = recorded(platform.url, conversation_uuid=other, recording_uuid=FILE_ID)
    keep(announced, newer, received=announced.clock.time() - 60)

    assert [row[0] for row in announced("recording list").rows] == [UUID, FILE_ID]
    assert [row[0] for row in announced(f"recording list --conversation {other}").rows] == [FILE_ID]
    assert [row[0] for row in announced("recording list --since 2m").rows] == [FILE_ID]
    assert announced("recording list --since 30s -o json").json == []
    assert announced("recording list --conversation nonsense").exit_code == 2


def test_a_removed_recording_is_downloaded_again_only_by_name(announced: Room, there: Path) -> None:
    assert announced(f"recording download --dir {there}").exit_code == 0
    uuid = announced("recording list -q").stdout.strip()
    (there / MP3).unlink()

    assert announced(f"recording download --dir {there}").rows == []
    (row,) = announced(f"recording list --dir {there} -o json").json
    assert (row["file"], row["transcription_file"]) == (None, WORDS)
    assert {
        each["outcome"] for each in announced(f"recording download {uuid} --dir {there} -o json").json
    } == {
        "done",
        "already",
    }
    assert (there / MP3).read_bytes() == SOUND
    assert (there / "SHA256SUMS").read_text().count(MP3) == 1


def test_without_stored_events_nothing_is_listed_downloaded_or_created(home: Room, there: Path) -> None:
    assert home("recording list -o json").json == []
    assert home(f"recording download --dir {there} -o json").json == []
    assert not list(home.home.rglob("events.db"))


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_text_in_an_event_is_shown_escaped(announced: Room, there: Path, what: str) -> None:
    text = HOSTILE[what]
    names = ("start_time", "end_time", "recording_url", "recording_uuid", "size", "conversation_uuid")
    keep(
        announced,
        dict.fromkeys(names, text),
        dict.fromkeys(("transcription_url", "recording_uuid", "status"), text),
    )

    for form in ("table", "tsv", "csv", "json"):
        for ran in (
            announced(f"recording list -o {form}", terminal=form == "table", env={"NO_COLOR": "1"}),
            announced(f"recording download --dir {there} -o {form}"),
        ):
            assert not unsafe(ran.stdout + ran.stderr), ran
    assert {path.name for path in there.iterdir()} == {MP3, WORDS, "SHA256SUMS"}


# Downloading


def test_without_a_name_all_missing_recordings_are_downloaded(
    announced: Room, platform: Canned, there: Path
) -> None:
    ran = announced(f"recording download --dir {there}")

    assert ran.exit_code == 0, ran.stderr
    assert ran.stderr == ""
    assert ran.rows == [
        [UUID, MP3, str(len(SOUND)), SHA256, "done"],
        [UUID, WORDS, str(len(TEXT)), hashlib.sha256(TEXT).hexdigest(), "done"],
    ]
    assert announced(f"recording download --dir {there} -o json").json == []
    assert len(platform.requests) == 2
    assert there.stat().st_mode & 0o777 == 0o700


def test_a_recording_is_named_by_its_uuid_its_file_or_its_url(
    announced: Room, platform: Canned, there: Path
) -> None:
    both = [MP3, WORDS]
    url = f"{platform.url}/v1/files/{FILE_ID}"
    for name, files in ((UUID, both), (UUID.upper(), both), (FILE_ID, both[:1]), (TEXT_ID, both[1:])):
        ran = announced(f"recording download {name} --dir {there} -o json")
        assert [each["file"] for each in ran.json] == files
    one = announced(f"recording download {url} --dir {there} -o json").json
    assert (one["file"], one["outcome"]) == (MP3, "already")
    assert len(platform.requests) == 2
    several = announced(f"recording download {url} {UUID} {FILE_ID} --dir {there} -q").stdout
    assert several.splitlines() == both


FORMS = [
    "http://localhost:{port}/v1/files/{id}",
    "HTTP://LOCALHOST:{port}/v1/files/{id}",
    "http://localhost:{port}/v1/files/{ID}",
]


@pytest.mark.parametrize(("reported", "typed"), [(0, 1), (0, 2), (1, 0), (2, 1)])
def test_the_scheme_host_and_id_of_a_url_are_case_insensitive(
    tmp_path: Path, application: Application, platform: Canned, there: Path, reported: int, typed: int
) -> None:
    room = machine(tmp_path / "home", application, f"http://localhost:{platform.port}")
    urls = [form.format(port=platform.port, id=FILE_ID, ID=FILE_ID.upper()) for form in FORMS]
    keep(room, recorded(platform.url, recording_url=urls[reported]))

    ran = room(["recording", "download", urls[typed], "--dir", str(there)])

    assert (ran.exit_code, ran.rows[0][1]) == (0, MP3), "named as it was announced"
    assert room(["recording", "download", *urls, "--dir", str(there), "-q"]).stdout.splitlines() == [MP3]


def test_a_list_of_names_is_read_from_standard_input(announced: Room, there: Path) -> None:
    listed = announced("recording list").stdout

    assert announced(f"recording download - --dir {there} -q", stdin=listed).stdout.splitlines() == [
        MP3,
        WORDS,
    ]


@pytest.mark.parametrize("way", ["id", "url", "v3"])
def test_a_file_without_an_event_can_be_downloaded_by_hand(
    home: Room, platform: Canned, there: Path, way: str
) -> None:
    url = f"{platform.url}/{'v3' if way == 'v3' else 'v1'}/files/{FILE_ID}"
    ran = home(f"recording download {FILE_ID if way == 'id' else url} --dir {there}")

    assert ran.rows[0][1] == f"{FILE_ID}.mp3"
    assert platform.requests[0].path == ("/v3" if way == "v3" else "/v1") + f"/files/{FILE_ID}"
    assert home(f"recording download {FILE_ID} --dir {there}").rows[0][4] == "already"


@pytest.mark.parametrize(
    ("last_modified", "name"),
    [
        ("Tue, 03 Feb 2026 09:15:00 GMT", f"20260203T091500Z_unknown_{FILE_ID}.mp3"),
        ("soon", f"{FILE_ID}.mp3"),
        ("Tue, 99 Feb 2026 09:15:00 GMT", f"{FILE_ID}.mp3"),
    ],
)
def test_the_time_of_a_file_without_an_event_comes_from_the_server(
    tmp_path: Path, application: Application, there: Path, last_modified: str, name: str
) -> None:
    audio = reply(200, b"ID3 audio", content_type="audio/mpeg", last_modified=last_modified)
    with Canned(audio) as server:
        ran = machine(tmp_path, application, server.url)(f"recording download {FILE_ID} --dir {there}")
        assert ran.rows[0][1] == name
        assert names(there) == {name, "SHA256SUMS"}


@pytest.mark.parametrize(
    "name", ["", "x", "../x", UUID[:8], UUID.replace("-", ""), UUID + "\n/", "%2e%2e", "@last", f"{UUID}.mp3"]
)
def test_an_invalid_name_is_refused_before_any_request(
    announced: Room, platform: Canned, there: Path, name: str
) -> None:
    ran = announced(["recording", "download", name, "--dir", str(there)])

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert platform.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://api.nexmo.com/v1/files/{id}",
        "https://evil.example.org/v1/files/{id}",
        "http://user@127.0.0.1:{port}/v1/files/{id}",
        "http://127.0.0.1:{port}/v2/files/{id}",
        "http://127.0.0.1:{port}/v1/files/{id}?x=1",
        "http://127.0.0.1:{port}/v1/files/../calls",
        "http://localhost:{port}/v1/files/{id}",
        "file:///etc/passwd",
    ],
)
def test_a_typed_url_is_checked_too(announced: Room, platform: Canned, there: Path, url: str) -> None:
    url = url.format(id=FILE_ID, port=platform.port)
    for line in (
        f"recording download {url} --dir {there} -o json",
        f"recording download {url} --dry-run -o json",
    ):
        ran = announced(line)
        assert (ran.exit_code, ran.stdout) == (9, "")
        assert "No token is sent" in ran.error["message"]
    assert platform.connections == 0


def test_a_failed_download_does_not_stop_the_others(announced: Room, platform: Canned, there: Path) -> None:
    keep(
        announced, recorded(platform.url, recording_uuid=TEXT_ID, recording_url="https://evil.org/v1/files/x")
    )

    ran = announced(f"recording download --dir {there} -o json")

    assert ran.exit_code == 10
    assert [each["file"] for each in ran.json] == [MP3, WORDS]
    assert ran.error["message"].startswith(f"{TEXT_ID}: No token is sent")


def test_refused_credentials_stop_all_downloads(
    tmp_path: Path, application: Application, there: Path
) -> None:
    with Canned(reply(401, {"title": "Unauthorized"})) as server:
        home = machine(tmp_path / "home", application, server.url)
        keep(home, recorded(server.url), transcribed(server.url))
        ran = home(f"recording download --dir {there} -o json")

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "refused the credentials" in ran.error["message"]
    assert len(server.requests) == 1


def test_a_dry_run_prints_working_curl_commands_and_creates_nothing(
    announced: Room, platform: Canned, there: Path, application: Application
) -> None:
    ran = announced(f"recording download --dir {there} --dry-run")

    assert ran.exit_code == 0
    lines = ran.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"curl -X GET {platform.url}/v1/files/") for line in lines)
    assert 'Bearer $(voicectl jwt create -p test)"' in lines[0]
    shown = announced(f"recording download --dir {there} --dry-run -o json").json
    assert [(each["method"], each["body"], each["curl"]) for each in shown] == [
        ("GET", None, line) for line in lines
    ]
    assert announced(f"recording download {shown[0]['url']} --dry-run -o json").json == shown[:1]
    assert platform.connections == 0
    assert not there.exists()


def test_progress_is_shown_on_a_terminal_and_removed_in_the_end(announced: Room, there: Path) -> None:
    ran = announced(f"recording download --dir {there} -o tsv", terminal=True, env={"TERM": "xterm"})

    assert ran.exit_code == 0
    assert [row[1] for row in ran.rows] == [MP3, WORDS]
    assert f"1/2 {UUID}" in ran.stderr
    assert ran.stderr.endswith("\x1b[2K")


def test_progress_is_shown_without_colors_but_not_on_a_dumb_terminal(announced: Room, there: Path) -> None:
    plain = announced(
        f"recording download --dir {there}", terminal=True, env={"TERM": "xterm", "NO_COLOR": "1"}
    )
    dumb = announced(f"recording download --dir {there}-2", terminal=True, env={"TERM": "dumb"})

    assert f"1/2 {UUID}" in plain.stderr
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", plain.stderr), "no color"
    assert dumb.stderr == ""


def test_an_unusable_directory_is_reported(announced: Room, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for name in ("file", "file/x"):
        assert announced(f"recording download {UUID} --dir {tmp_path / name}").exit_code == 2


# Processes


def test_an_interrupted_download_is_resumed_by_the_next_one(
    tmp_path: Path, application: Application, there: Path
) -> None:
    content = SOUND * 100
    rest = ranged(content)
    whole = rest(Request(b"GET / HTTP/1.1\r\n\r\n"))
    with Canned(Drip(whole, FOR_EVER, step=len(whole) // 2), rest, keeps=False) as server:
        home = machine(tmp_path / "home", application, server.url)
        keep(home, recorded(server.url, size=len(content)))
        part = there / f"{UUID}.part"
        with home.spawn(f"recording download --dir {there}") as child:
            eventually(lambda: part.exists() and part.stat().st_size > OVERLAP_BYTES)
            child.kill()
            child.communicate()
        assert child.returncode == -signal.SIGKILL
        assert names(there) == {part.name, f"{UUID}.origin"}
        left = part.stat().st_size

        ran = home(f"recording download --dir {there} -o json")

    assert ran.json[0]["outcome"] == "done"
    assert (there / MP3).read_bytes() == content
    assert names(there) == {MP3, "SHA256SUMS"}
    assert [each.headers.get("range") for each in server.requests] == [None, f"bytes={left - OVERLAP_BYTES}-"]


def test_a_receiver_also_starts_if_missed_recordings_cannot_be_listed(
    home: Room, platform: Canned, there: Path, application: Application
) -> None:
    keep(home, recorded(platform.url), received=time.time())
    there.mkdir()
    (there / "SHA256SUMS").symlink_to(there / "nowhere")
    home.environ["VOICECTL_SIGNATURE_SECRET"] = SECRET

    with served(home, application, f"--recordings {there}") as process:
        assert process.send() == 200
        assert process.end() == 0

    assert any(
        "SHA256SUMS cannot be used" in line and "recording download" in line for line in process.stderr_lines
    )


def test_a_receiver_searches_for_missed_recordings_once_its_store_is_available(
    home: Room, platform: Canned, there: Path, application: Application
) -> None:
    keep(home, recorded(platform.url), received=time.time())
    (path,) = home.home.rglob("events.db")
    path.rename(path.with_name("aside"))
    path.mkdir()
    home.environ["VOICECTL_SIGNATURE_SECRET"] = SECRET

    with served(home, application, f"--recordings {there}") as process:
        assert process.send() == 200
        assert not list(there.iterdir())
        path.rmdir()
        path.with_name("aside").rename(path)
        eventually(lambda: f"fetched {MP3}" in process.stderr_lines)
        assert process.end() == 0


def test_two_processes_share_the_work_and_the_manifest(
    tmp_path: Path, application: Application, there: Path
) -> None:
    whole = ranged()
    with Canned(lambda request: Drip(whole(request), 0.002, step=1000), keeps=False) as server:
        home = machine(tmp_path / "home", application, server.url)
        uuids = [f"{number:08x}{UUID[8:]}" for number in range(6)]
        keep(home, *(recorded(server.url, recording_uuid=uuid) for uuid in uuids))
        with ThreadPoolExecutor(3) as pool:
            both = list(pool.map(lambda _: home.process(f"recording download --dir {there}"), range(3)))

    assert [ran.exit_code for ran in both] == [0, 0, 0]
    outcomes = [row[4] for ran in both for row in ran.rows]
    assert outcomes.count("done") == len(server.requests) == len(uuids)
    summed = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=there, capture_output=True, check=False
    )
    assert (summed.returncode, len(summed.stdout.splitlines())) == (0, len(uuids))


def test_a_full_disk_is_reported_in_two_lines(home: Room, there: Path, tmp_path: Path) -> None:
    there.mkdir()
    ran = subprocess.run(
        ["bash", "-c", f"ulimit -f 4; exec {' '.join(command(there))}"],
        env=home.environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert "cannot be used: File too large" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert names(there) == {f"{FILE_ID}.part"}


def command(directory: Path) -> list[str]:
    return [sys.executable, "-m", "voicectl", "recording", "download", FILE_ID, "--dir", str(directory)]
