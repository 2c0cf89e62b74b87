"""The legs that completion offers as live, whatever the order of the reports."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from tests.support.kept import arrival, status
from voicectl.core.completion import LIFE_SECONDS, LISTED_SECONDS, live_legs, rooms
from voicectl.store.action_log import ActionLog, Note
from voicectl.store.event_stores import open_events
from voicectl.store.live_cache import LiveCache
from voicectl.voice.call import Call

NOW = 1_770_000_000.0
LEG = "63f61863-4a51-4f6b-86e1-46edebcf{:04x}"


def listed(directory: Path, at: float, *uuids: str) -> None:
    LiveCache(directory).keep(at, [Call.from_json({"uuid": uuid, "status": "answered"}) for uuid in uuids])


def store_events(directory: Path, *events: tuple[str, str, float]) -> None:
    """Keep statuses of legs, each received at a time."""
    store = open_events(None, directory, "1d2c3b4a-5968-4776-8594-a3b2c1d0e9f8")
    store.add([arrival(status(what, leg=leg), received=at) for leg, what, at in events])
    store.close()


def live(directory: Path, now: float = NOW) -> set[str]:
    return {leg.uuid for leg in live_legs(directory, now)}


def test_an_ended_leg_is_ended_whatever_the_order_of_its_events(tmp_path: Path) -> None:
    orders = list(permutations(("started", "ringing", "answered", "completed")))
    store_events(
        tmp_path,
        *(
            (LEG.format(number), what, NOW - 60 + place)
            for number, order in enumerate(orders)
            for place, what in enumerate(order)
        ),
        *((LEG.format(0xFFFF), what, NOW - 60) for what in ("started", "answered")),
    )

    assert live(tmp_path) == {LEG.format(0xFFFF)}


@pytest.mark.parametrize(
    ("listed_at", "reported_at", "is_live"),
    [
        (-60, -120, False),  # not among those that were live later
        (-60, -62, True),  # it may have started just then
        (-60, -30, True),
        (-LISTED_SECONDS - 1, -LISTED_SECONDS - 60, True),  # a listing so old proves nothing
        (-60, -LIFE_SECONDS - 1, False),
    ],
)
def test_a_leg_missing_from_a_complete_listing_has_ended(
    tmp_path: Path, listed_at: float, reported_at: float, is_live: bool
) -> None:
    listed(tmp_path, NOW + listed_at)
    store_events(tmp_path, (LEG.format(1), "answered", NOW + reported_at))

    assert live(tmp_path) == ({LEG.format(1)} if is_live else set())


def test_a_listing_counts_for_a_while_and_never_from_the_future(tmp_path: Path) -> None:
    listed(tmp_path, NOW, LEG.format(1))

    assert live(tmp_path, NOW + LISTED_SECONDS) == {LEG.format(1)}
    assert live(tmp_path, NOW + LISTED_SECONDS + 1) == set()
    assert live(tmp_path, NOW - 3600) == set()


def test_one_leg_in_two_forms_of_its_id_is_one_leg(tmp_path: Path) -> None:
    plain = LEG.format(1).replace("-", "")
    listed(tmp_path, NOW - 10, plain)
    store_events(tmp_path, (LEG.format(1), "answered", NOW))

    assert live(tmp_path) == {plain}
    ActionLog(tmp_path).add(NOW, plain, "hangup")
    assert live(tmp_path) == set()


def test_with_more_legs_than_are_kept_no_listing_is_complete(tmp_path: Path) -> None:
    listed(tmp_path, NOW, *(LEG.format(number) for number in range(1001)))
    store_events(tmp_path, (LEG.format(1000), "answered", NOW - 60))

    assert len(live(tmp_path)) == 1001


def test_the_latest_room_comes_first_and_a_failed_move_adds_none(tmp_path: Path) -> None:
    notes = ActionLog(tmp_path)
    for at, room, outcome in ((1, "a", "done"), (2, "b", "done"), (3, "a", "unknown"), (4, "c", "failed")):
        notes.add(NOW + at, LEG.format(1), "move", outcome, {"room": room})

    assert list(rooms(tmp_path, NOW + 5)) == ["a", "b"]


def test_full_notes_are_not_parsed_for_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = ActionLog(tmp_path)
    listed(tmp_path, NOW, LEG.format(1), LEG.format(2))
    lines = [
        Note(at=NOW, uuid=LEG.format(number), what="move", detail={"room": f"room-{number}"}).line
        for number in range(8000)
    ]
    for name in ("notes.old", "notes"):
        (tmp_path / name).write_bytes(b"".join(lines))
    notes.add(NOW, LEG.format(1), "hangup")
    notes.add(NOW, LEG.format(2), "move", detail={"room": "last"})
    taken_apart = []

    def read(line: bytes) -> Note | None:
        taken_apart.append(line)
        return original(line)

    original = Note.read
    monkeypatch.setattr(Note, "read", read)

    assert live(tmp_path) == {LEG.format(2)}
    assert len(taken_apart) == 1
    assert next(iter(rooms(tmp_path, NOW))) == "last"
    assert len(taken_apart) < 1000


def test_old_notes_count_while_there_are_few_new_ones(tmp_path: Path) -> None:
    ActionLog(tmp_path).add(NOW, LEG.format(1), "move", detail={"room": "before"})
    (tmp_path / "notes").rename(tmp_path / "notes.old")
    ActionLog(tmp_path).add(NOW, LEG.format(1), "move", detail={"room": "after"})

    assert list(rooms(tmp_path, NOW)) == ["after", "before"]


def test_without_any_actions_nothing_is_known(tmp_path: Path) -> None:
    assert live(tmp_path / "none") == set()
    assert rooms(tmp_path / "none", NOW) == {}
