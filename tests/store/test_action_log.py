"""The action log: actions on legs are found again, and its failures stop no command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voicectl.store import action_log
from voicectl.store.action_log import ActionLog, Marks

LEG = "9a8b7c6d-5e4f-4321-8fed-cba987654321"
OTHER = "11111111-5e6f-4788-99aa-bbccddeeff00"


def test_actions_on_a_leg_are_found_by_any_form_of_its_id(tmp_path: Path) -> None:
    kept = ActionLog(tmp_path)
    kept.add(1.5, LEG.upper(), "mute")
    kept.add(2.0, OTHER, "hangup", "already")
    kept.add(3.0, LEG.replace("-", ""), "move", "unknown", {"room": "support-17"})

    found = ActionLog(tmp_path).of(LEG)
    assert [(each.at, each.what, each.outcome, each.detail) for each in found] == [
        (1.5, "mute", "done", {}),
        (3.0, "move", "unknown", {"room": "support-17"}),
    ]
    assert [each.uuid for each in kept.since(2.0)] == [OTHER, LEG]


def test_the_last_entry_decides_who_is_muted(tmp_path: Path) -> None:
    kept = ActionLog(tmp_path)
    for what in ("mute", "earmuff", "unmute", "hangup"):
        kept.add(1.0, LEG, what)
    kept.add(2.0, OTHER, "mute", "failed")
    kept.add(2.0, OTHER, "earmuff")
    kept.add(3.0, OTHER, "unearmuff", "unknown")

    assert kept.marks() == {LEG: Marks(muted=False, earmuffed=True), OTHER: Marks()}


def test_a_region_is_remembered(tmp_path: Path) -> None:
    kept = ActionLog(tmp_path)
    assert kept.region(LEG) is None
    for url in ("https://api-us-3.vonage.com", "https://api-eu-3.vonage.com"):
        kept.add(1.0, LEG, action_log.REGION, detail={"url": url})
    assert kept.region(LEG) == "https://api-eu-3.vonage.com"


def test_an_action_log_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its files and lines keep their form: several versions may share them."""
    (tmp_path / "notes.old").write_text(
        f'[1.5, "{LEG}", "region", "done", {{"url": "http://127.0.0.1:4013"}}]\n'
    )
    (tmp_path / "notes").write_text(
        f'[2, "{LEG}", "enters", "done", {{"room": "r"}}]\n[3, "{LEG}", "unearmuff", "already", {{}}]\n'
    )
    kept = ActionLog(tmp_path)

    assert kept.region(LEG) == "http://127.0.0.1:4013"
    assert [note.at for note in kept.of(LEG)] == [1.5, 2, 3]
    assert [note.what for note in kept.latest("room")] == [action_log.ENTERS]
    assert kept.marks() == {LEG: Marks(earmuffed=False)}
    kept.add(4.0, "CON-A", "move", "failed", {"a": 1})
    assert (tmp_path / "notes").read_text().splitlines()[2] == '[4.0, "CON-A", "move", "failed", {"a": 1}]'


def test_the_latest_notes_are_those_at_the_end_of_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ActionLog(tmp_path)
    assert list(kept.latest("mute")) == []
    size = 0
    for number in range(10):
        kept.add(number, LEG, "mute" if number else "unmute")
        size = size or (tmp_path / "notes").stat().st_size
        if number == 4:
            (tmp_path / "notes").rename(tmp_path / "notes.old")
    monkeypatch.setattr(action_log, "TAIL_BYTES", 7 * size)

    assert [note.at for note in kept.latest("mute")] == [*range(3, 10)]
    assert list(kept.latest("earmuff")) == []


def test_the_stamp_changes_with_each_note(tmp_path: Path) -> None:
    kept = ActionLog(tmp_path)
    stamps = [kept.stamp]
    for number in range(3):
        kept.add(number, LEG, "mute")
        stamps.append(kept.stamp)

    assert len(set(stamps)) == 4
    assert kept.stamp == stamps[-1]


def test_a_region_is_the_url_that_was_noted_last(tmp_path: Path) -> None:
    kept = ActionLog(tmp_path)
    kept.add(1.0, LEG, action_log.REGION, detail={"url": "http://127.0.0.1:4013"})
    kept.add(2.0, LEG, "mute", detail={"url": "http://127.0.0.1:1"})
    kept.add(3.0, OTHER, action_log.REGION, detail={"url": "http://127.0.0.1:2"})
    assert kept.region(LEG) == "http://127.0.0.1:4013"
    for detail in ({"url": 7}, {}):
        kept.add(4.0, LEG, action_log.REGION, detail=detail)
        assert kept.region(LEG) is None


def test_only_its_owner_reads_them(tmp_path: Path) -> None:
    ActionLog(tmp_path).add(1.0, LEG, "mute")
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_it_grows_no_further_than_twice_its_bound_and_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_log, "MAX_BYTES", 2_000)
    kept = ActionLog(tmp_path)
    with ThreadPoolExecutor(8) as threads:  # as separate processes do
        list(threads.map(lambda number: ActionLog(tmp_path).add(number, LEG, "mute"), range(200)))
    for number in range(200, 300):
        kept.add(number, LEG, "mute")

    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4_500
    assert [each.at for each in kept.of(LEG)][-20:] == [*range(280, 300)]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\n",
        b"[1,2]\n",
        b'["x",1,2,3,4]\n',
        b"[" * 9_999 + b"\n",
        b'[1,"',
        b'[1,"%b","mute","done",4]' % LEG.encode(),
        b'[1,"%b","mute",null,{}]' % LEG.encode(),
        b'[1,"%b",["mute"],"done",{}]' % LEG.encode(),
        b'[1,["%b"],"mute","done",{}]' % LEG.encode(),
        b'["x","%b","mute","done",{}]' % LEG.encode(),
        b'[null,"%b","mute","done",{}]' % LEG.encode(),
    ],
)
def test_torn_and_foreign_entries_are_skipped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").write_bytes(content + b"\n" + LEG.encode() + b"\n")
    kept = ActionLog(tmp_path)
    kept.add(1.0, LEG, "mute")

    assert [each.what for each in kept.since(0)] == ["mute"]
    assert [each.what for each in kept.of(LEG)] == ["mute"]


def test_a_log_that_cannot_be_written_or_read_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    elsewhere = ActionLog(tmp_path / "missing")
    (tmp_path / "notes.old").symlink_to("/dev/null")
    for kept in (ActionLog(tmp_path), elsewhere):
        kept.add(1.0, LEG, "mute")
        assert kept.of(LEG) == []
        assert kept.region(LEG) is None
