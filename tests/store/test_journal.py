"""The journal: the intent is on disk before the POST, and without it no call is created."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.fault_proxy import FaultProxy, Side, cut
from tests.support.machines import Application, client
from tests.support.room import PERSON, Room
from tests.support.servers import LEG, Request
from tests.support.small_disk import small_disk
from voicectl.core.calls.create import CallCreator
from voicectl.core.calls.in_doubt import LostCallFinder
from voicectl.core.calls.order import CallOrder, greeting
from voicectl.errors import GuardError, JournalError, OutcomeUnknown
from voicectl.interrupts import Interrupts
from voicectl.store.journal import Intent, IntentState, Journal

ROOT = Path(__file__).parents[2]
PAGE = 4096
CREATE = f"call create --to {PERSON} --talk Hello -o json"
ORDER = CallOrder(
    to={"type": "phone", "number": PERSON}, from_="442079460000", ncco=greeting("Hi", None, None)
)


@pytest.fixture
def line(room: Room) -> Iterator[FaultProxy]:
    with FaultProxy(room.url) as proxy:
        room.environ["VOICECTL_BASE_URL"] = proxy.url
        yield proxy


def database(room: Room) -> Path:
    (path,) = room.state.rglob("journal.db")
    return path


def rows(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    """Return the content that another connection sees, as after a crash."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {', '.join(columns)} FROM calls ORDER BY rowid").fetchall()


# The order of journal and request


class Witness:
    """A proxy that notes whether the intent was on disk when the POST passed."""

    def __init__(self, line: FaultProxy, path: Callable[[], Path]) -> None:
        self.seen: list[bool] = []

        def on_request(request: Request) -> None:
            if request.method == "POST":
                number = request.json["to"][0]["number"]
                self.seen.append((number, "intent") in rows(path(), '"to"', "state"))

        line.on_request = on_request

    def assert_recorded_first(self) -> None:
        assert self.seen
        assert all(self.seen), "a POST was sent before its intent was on disk"


def test_the_intent_is_on_disk_when_the_post_is_sent(room: Room, line: FaultProxy) -> None:
    witness = Witness(line, lambda: database(room))
    assert room(CREATE).exit_code == 0
    assert room(f"call create --to {PERSON} --to 447700900002 --talk Hi --idempotency-key k").exit_code == 2
    assert room("call create --to 447700900003 --talk Hi --idempotency-key k").exit_code == 0

    witness.assert_recorded_first()
    assert len(witness.seen) == 2


def test_the_outcome_is_on_disk_when_the_id_is_printed(room: Room) -> None:
    uuid = room(CREATE).json["uuid"]
    assert rows(database(room), "state", "uuid") == [("created", uuid)]


class LateJournal(Journal):
    """A naive journal that records a call only after the reply."""

    def intend(self, reference: str, **intent: Any) -> Intent:
        self.kept = (reference, intent)
        return Intent(
            reference=reference,
            asked_at=self._clock.time(),
            pid=os.getpid(),
            state=IntentState.INTENT,
            uuid=None,
            reply={},
            certainty=None,
            reason=None,
            **{name: value for name, value in intent.items() if name not in ("dialled", "hourly_limit")},
        )

    def created(self, reference: str, uuid: str, reply: dict[str, Any], **more: Any) -> Intent | None:
        super().intend(reference, **self.kept[1])
        return super().created(reference, uuid, reply, **more)


def place(journal: Journal, line: FaultProxy, application: Application, clock: FakeClock) -> None:
    with client(line.url, application, clock) as api:
        CallCreator(api, LostCallFinder(api, journal, clock, None), Interrupts(), None).create(ORDER)


@pytest.mark.parametrize(("kind", "is_caught"), [(Journal, False), (LateJournal, True)])
def test_the_check_catches_a_journal_that_records_after_the_reply(
    room: Room,
    line: FaultProxy,
    application: Application,
    tmp_path: Path,
    kind: type[Journal],
    is_caught: bool,
) -> None:
    """The control: the tests above would expose a naive journal."""
    witness = Witness(line, lambda: tmp_path / "journal.db")
    with closing(kind(tmp_path, room.clock)) as journal:
        place(journal, line, application, room.clock)

    assert rows(tmp_path / "journal.db", '"to"', "state") == [(PERSON, "created")]
    with ExitStack() as stack:
        if is_caught:
            stack.enter_context(pytest.raises(AssertionError, match="before its intent"))
        witness.assert_recorded_first()


def test_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    """WAL with ``synchronous=FULL``: a commit is fsynced, or a power cut would lose an intent whose call exists."""
    with closing(Journal(tmp_path, FakeClock())) as journal:
        assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_only_its_owner_reads_it(room: Room) -> None:
    room(CREATE)
    path = database(room)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_holds_each_request_and_its_outcome(room: Room) -> None:
    reply = room(CREATE).json
    columns = ("reference", "asked_at", '"to"', '"from"', "key", "state", "uuid", "certainty", "reason")
    assert rows(database(room), *columns) == [
        (
            reply["reference"],
            1_770_000_000.0,
            PERSON,
            "442079460000",
            None,
            "created",
            reply["uuid"],
            None,
            None,
        )
    ]
    ((kept,),) = rows(database(room), "reply")
    assert json.loads(kept)["conversation_uuid"] == reply["conversation_uuid"]


def test_it_does_not_hold_the_content_of_a_call(room: Room) -> None:
    """Neither the text nor the digits of an NCCO: only a hash of the request."""
    room(f"call create --to {PERSON} --talk 'Your code is 4711' --dtmf-answer 98765432")
    content = b"".join(path.read_bytes() for path in database(room).parent.iterdir())
    assert b"4711" not in content
    assert b"98765432" not in content


# Unusable journals


def a_file_for_a_directory(directory: Path) -> None:
    directory.rename(directory.with_suffix(".old"))
    directory.touch()


def a_directory_for_a_file(directory: Path) -> None:
    _clear(directory)
    (directory / "journal.db").mkdir()


def a_link(directory: Path) -> None:
    _clear(directory)
    (directory / "journal.db").symlink_to(directory / "elsewhere.db")


def no_database(directory: Path) -> None:
    _clear(directory)
    (directory / "journal.db").write_bytes(b"not a database at all " * 1000)


def a_newer_version(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "journal.db")) as db:
        db.execute("PRAGMA user_version = 99")


def another_schema(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "journal.db")) as db:
        db.execute("DROP TABLE calls")


def overwritten_pages(directory: Path) -> None:
    content = _content(directory)
    (directory / "journal.db").write_bytes(content[:4096] + bytes(len(content) - 4096))


def a_schema_that_is_not_text(directory: Path) -> None:
    """SQLite quotes it in its message, which is then not UTF-8."""
    content = _content(directory)
    (directory / "journal.db").write_bytes(content.replace(b"INTEGER", b"\xffNTEGER", 1))


def a_page_that_creating_a_call_does_not_read(directory: Path) -> None:
    with closing(Journal(directory, FakeClock())) as journal:
        for number in range(40):
            intent = intend(journal, f"vc-{number}", key=f"k{number}")
            journal.created(intent.reference, f"leg-{number}", {"text": "x" * 500})
    content = bytearray(_content(directory))
    place = content.index(b"vc-20") // PAGE * PAGE
    content[place : place + PAGE] = bytes(PAGE)
    (directory / "journal.db").write_bytes(content)


def an_empty_file(directory: Path) -> None:
    _clear(directory)
    (directory / "journal.db").touch()


def _content(directory: Path) -> bytes:
    """Return the content of a journal, all of it in the file itself."""
    with closing(sqlite3.connect(directory / "journal.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (directory / "journal.db").read_bytes()


def _clear(directory: Path) -> None:
    for path in directory.glob("journal.db*"):
        path.unlink()


UNUSABLE = [
    a_file_for_a_directory,
    a_directory_for_a_file,
    a_link,
    no_database,
    a_newer_version,
    another_schema,
    overwritten_pages,
    a_schema_that_is_not_text,
    a_page_that_creating_a_call_does_not_read,
    an_empty_file,
]


@pytest.mark.parametrize("spoil", UNUSABLE)
def test_without_its_journal_no_call_is_placed_and_everything_else_works(
    room: Room, spoil: Callable[[Path], None]
) -> None:
    leg = room.call()
    spoil(database(room).parent)
    before = len(room.requests("createCall"))

    for line in (CREATE, f"{CREATE} --idempotency-key k"):
        ran = room(line)
        assert (ran.exit_code, ran.stdout) == (1, ""), ran
        assert ran.error["code"] == "journal"
        assert "--no-journal" in ran.error["hint"]
    assert room("call reconcile -o json").error["code"] == "journal"
    assert len(room.requests("createCall")) == before
    checks = {check["check"]: check for check in room("doctor -o json").json}
    assert checks["journal"]["outcome"] == "fail"
    assert "cannot be used" in checks["journal"]["detail"]

    ran = room(f"{CREATE} --no-journal")
    assert ran.exit_code == 0
    assert "The journal is off" in ran.stderr
    for line in ("call list", f"call show {leg}", f"talk {leg} Hi", f"trace {leg}", f"hangup {leg}"):
        for is_terminal in (False, True):
            assert room(line, terminal=is_terminal).exit_code == 0, line


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a journal that has several pages of each kind."""
    directory = tmp_path_factory.mktemp("journal")
    with closing(Journal(directory, FakeClock())) as journal:
        for number in range(150):
            intent = intend(journal, f"vc-{number}", to=f"{447700900000 + number}", key=f"{number:060}")
            if number % 3 == 0:
                journal.settle(intent.reference, IntentState.IN_DOUBT, "lost")
            else:
                journal.created(intent.reference, f"leg-{number}", {"text": "x" * 60})
    return _content(directory)


REFUSED: list[Callable[[Journal], object]] = [
    lambda journal: intend(journal, "vc-new"),
    lambda journal: journal.only_one("new").__enter__(),
    lambda journal: journal.in_doubt(),
    lambda journal: journal.check_dials(["447700900001"], 10_000),
]


def assert_refused_as_damaged(directory: Path, content: bytes, where: str) -> None:
    """With a journal of that content nothing is intended, no key is free, and nothing is listed."""
    (directory / "journal.db").write_bytes(content)

    def using(use: Callable[[Journal], object]) -> None:
        with closing(Journal(directory, FakeClock())) as journal:
            use(journal)
            pytest.fail(f"{where} was not noticed")

    for use in REFUSED:
        with pytest.raises(JournalError, match="it is damaged") as refused:
            using(use)
        assert ".recover" in (refused.value.hint or "")
        assert "--no-journal" in (refused.value.hint or "")


def test_a_damaged_page_is_noticed_wherever_it_is(tmp_path: Path, filled: bytes) -> None:
    for at in range(0, len(filled), PAGE):
        content = filled[:at] + b"\xff" + filled[at + 1 :]
        assert_refused_as_damaged(tmp_path, content, f"byte {at}")


def test_a_truncated_journal_is_noticed_wherever_it_ends(tmp_path: Path, filled: bytes) -> None:
    for size in range(0, len(filled), 1024):
        assert_refused_as_damaged(tmp_path, filled[:size], f"an end at byte {size}")


def test_a_row_missing_from_an_index_is_noticed(tmp_path: Path, filled: bytes) -> None:
    """Otherwise, a key that was used would seem to be free."""
    at = filled.index(b"0" * 58 + b"77", filled.index(b"vc-149"))
    assert_refused_as_damaged(tmp_path, filled[:at] + b"1" + filled[at + 1 :], "a changed key")


@settings(max_examples=60)
@given(data=st.data())
def test_damage_anywhere_is_an_error_of_the_journal_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, filled: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.one_of(st.integers(0, PAGE - 1), st.integers(PAGE, len(filled) - 1)))
    value = data.draw(st.integers(0, 255))
    directory = tmp_path_factory.mktemp("damaged")
    (directory / "journal.db").write_bytes(filled[:at] + bytes([value]) + filled[at + 1 :])
    with suppress(JournalError), closing(Journal(directory, FakeClock())) as journal:
        for use in (
            journal.last_created,
            lambda: journal.by_key("0" * 60),
            lambda: journal.by_leg("leg-1"),
            journal.in_doubt,
            lambda: intend(journal, "vc-new"),
        ):
            with suppress(JournalError):
                use()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "unheard-of"),
        ("reply", "{"),
        ("reply", "[]"),
        ("reply", "[" * 100_000),
        ("asked_at", math.inf),
        ("asked_at", -1.0),
        ("pid", -1),
        ("pid", 0),
        ("pid", 2**31),
        ("asked_at", 1e11),
    ],
)
def test_a_value_that_the_journal_never_writes_is_damage(
    journal: Journal, tmp_path: Path, column: str, value: object
) -> None:
    intend(journal, "vc-1", key="k")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db, db:
        db.execute(f"UPDATE calls SET {column} = ?, uuid = 'x'", [value])
    for use in (journal.last_created, lambda: journal.by_key("k"), lambda: journal.get("vc-1")):
        with pytest.raises(JournalError, match="it is damaged"):
            use()


def test_a_hot_journal_file_of_a_deleted_journal_is_not_applied(tmp_path: Path) -> None:
    """SQLite would roll a new journal back to what the old one was."""
    with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a)")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 4000,)] * 20)
        hot = (tmp_path / "other.db-journal").read_bytes()
    (tmp_path / "journal.db-journal").write_bytes(hot)
    with closing(Journal(tmp_path, FakeClock())) as journal:
        journal.check()
        assert intend(journal, "vc-1")


def test_a_journal_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    """Its calls in doubt and its keys count: nothing of an existing journal may be lost by an update."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.executescript(
            """
            CREATE TABLE calls (
                reference TEXT PRIMARY KEY, asked_at REAL NOT NULL, pid INTEGER NOT NULL, "to" TEXT NOT NULL,
                "from" TEXT, body_hash TEXT NOT NULL, key TEXT, state TEXT NOT NULL, uuid TEXT UNIQUE, reply TEXT,
                certainty TEXT, reason TEXT, settled_at REAL
            ) STRICT;
            CREATE INDEX calls_by_key ON calls (key) WHERE key IS NOT NULL;
            CREATE INDEX calls_by_state ON calls (state);
            CREATE TABLE dials (at REAL NOT NULL, number TEXT NOT NULL) STRICT;
            CREATE INDEX dials_by_time ON dials (at);
            INSERT INTO calls VALUES
                ('vc-1', 1769999999, 7, '44', NULL, 'h', 'k', 'in-doubt', NULL, NULL, NULL, 'lost', 1769999999),
                ('vc-2', 1769999999, 7, '44', '1', 'h', NULL, 'created', 'x', '{"a":1}', 'matched', NULL, 1769999999);
            INSERT INTO dials VALUES (1769999999, '44');
            PRAGMA user_version = 1;
            """
        )
    with closing(Journal(tmp_path, FakeClock())) as journal:
        assert [intent.reference for intent in journal.in_doubt()] == ["vc-1"]
        lost, found = journal.by_key("k"), journal.by_leg("x")
        assert lost is not None
        assert (lost.state, lost.reason, lost.settled_at) == ("in-doubt", "lost", 1_769_999_999)
        assert found is not None
        assert (found.from_, found.reply, found.certainty) == ("1", {"a": 1}, "matched")
        with pytest.raises(GuardError, match="1 was made"):
            journal.check_dials(["1"], 1)
        intend(journal, "vc-3", key="k3")


def test_the_states_of_a_call_have_the_names_that_scripts_read() -> None:
    assert {*IntentState} == {"intent", "created", "rejected", "not-sent", "in-doubt", "not-created"}
    assert [state for state in IntentState if state.is_open] == ["intent", "in-doubt"]


def test_remains_of_a_deleted_journal_are_not_taken_into_a_new_one(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, FakeClock())) as journal:
        intend(journal, "vc-1")
        log = (tmp_path / "journal.db-wal").read_bytes()
    (tmp_path / "journal.db").unlink()
    (tmp_path / "journal.db-wal").write_bytes(log)
    with closing(Journal(tmp_path, FakeClock())) as journal:
        assert journal.get("vc-1") is None
        journal.check()


@pytest.mark.parametrize(
    "record",
    [
        lambda journal: journal.created("vc-1", LEG, {}),
        lambda journal: journal.settle("vc-1", IntentState.REJECTED),
    ],
    ids=["created", "rejected"],
)
def test_an_outcome_whose_intent_is_gone_is_reported(
    journal: Journal, record: Callable[[Journal], object]
) -> None:
    """The id is then printed with the remark that it was not recorded."""
    with pytest.raises(JournalError, match="no call with the reference vc-1"):
        record(journal)


def test_a_newer_version_is_named(room: Room) -> None:
    room(CREATE)
    a_newer_version(database(room).parent)
    assert "newer version of voicectl" in room(CREATE).error["message"]


def test_a_disk_that_is_full_before_the_post_sends_none(room: Room) -> None:
    room(CREATE)
    before = len(room.requests("createCall"))

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    environ = {"PYTHONDONTWRITEBYTECODE": "1"}  # which would be cut short too
    ran = room.process(f"{CREATE} --request-timeout 5", env=environ, preexec_fn=fill)

    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.error["code"] == "journal"
    assert len(room.requests("createCall")) == before


@pytest.mark.parametrize("left", [0, 20_000, 60_000])
def test_a_full_disk_is_reported_as_such(tmp_path: Path, left: int) -> None:
    def fill() -> None:
        with closing(Journal(tmp_path, FakeClock())) as journal:
            for number in range(100):
                intend(journal, f"vc-{number}")

    with small_disk(tmp_path, left=left), pytest.raises(JournalError, match="no space left on the disk"):
        fill()


def test_a_journal_that_fails_after_the_post_prints_the_id_twice_and_stops(
    room: Room, line: FaultProxy
) -> None:
    line.on_request = lambda _: another_schema(database(room).parent)
    ran = room(f"call create --to {PERSON} --to 447700900002 --talk Hello -o json")

    assert ran.exit_code == 1
    (record,) = ran.json
    assert f"Call {record['uuid']} was created, but could not be recorded in the journal." in ran.stderr
    assert len(line.posts) == 1


def test_a_journal_that_fails_after_a_lost_reply_leaves_the_call_in_doubt(
    room: Room, line: FaultProxy
) -> None:
    line.fault = cut(Side.REPLY, 0)
    line.on_request = lambda _: another_schema(database(room).parent)
    ran = room(CREATE)

    assert (ran.exit_code, ran.stdout) == (12, "")
    assert ran.error["code"] == "outcome_unknown"
    assert len(line.posts) == 1


def test_a_journal_that_fails_after_a_refusal_does_not_hide_it(room: Room, line: FaultProxy) -> None:
    assert room.sandbox is not None
    room.sandbox.faults.add({"what": "status", "code": 400, "on": "createCall"})
    line.on_request = lambda _: another_schema(database(room).parent)
    assert room(CREATE).exit_code == 5


# Rules of the journal


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal(tmp_path: Path, clock: FakeClock) -> Iterator[Journal]:
    with closing(Journal(tmp_path, clock)) as opened:
        yield opened


def intend(journal: Journal, reference: str, *, to: str = PERSON, key: str | None = None) -> Intent:
    return journal.intend(reference, to=to, from_=None, body_hash="h", key=key, dialled=[to])


def test_the_returned_intent_equals_the_one_in_the_journal(journal: Journal) -> None:
    assert intend(journal, "vc-1", key="k") == journal.get("vc-1")


def test_one_call_belongs_to_one_intent(journal: Journal) -> None:
    one, other = intend(journal, "vc-1"), intend(journal, "vc-2", to="447700900002")

    assert journal.created(one.reference, LEG, {})
    assert not journal.created(other.reference, LEG, {}, certainty="assumed")
    assert not journal.match(other, LEG, {})
    found = journal.get("vc-2")
    assert found is not None
    assert found.state is IntentState.INTENT
    assert journal.claimed([LEG, "another"]) == {LEG}
    assert journal.created(other.reference, LEG, {})  # the API outranks earlier knowledge
    assert [intent.uuid for intent in map(journal.get, ("vc-1", "vc-2")) if intent] == [None, LEG]


def test_nothing_is_matched_while_another_call_to_that_number_is_open(journal: Journal) -> None:
    one, other = intend(journal, "vc-1"), intend(journal, "vc-2")
    assert not journal.match(one, LEG, {})
    journal.settle(other.reference, IntentState.IN_DOUBT)
    assert not journal.match(one, LEG, {})
    journal.settle(other.reference, IntentState.REJECTED)
    assert journal.match(one, LEG, {})


def test_an_open_call_to_another_number_is_no_rival(journal: Journal) -> None:
    one, other = intend(journal, "vc-1"), intend(journal, "vc-2", to="447700900002")

    assert not journal.has_rival(one)
    assert journal.match(one, LEG, {})
    found = journal.get(other.reference)
    assert found is not None
    assert found.state is IntentState.INTENT


def test_the_reason_of_a_doubt_stays_when_the_call_is_found(journal: Journal) -> None:
    one = intend(journal, "vc-1")
    journal.settle(one.reference, IntentState.IN_DOUBT, "the reply was lost")
    matched = journal.match(one, LEG, {})

    assert matched is not None
    assert (matched.certainty, matched.reason) == ("matched", "the reply was lost")


def test_a_reference_is_used_once(journal: Journal) -> None:
    first = intend(journal, "vc-1")
    with pytest.raises(JournalError, match="UNIQUE"):
        intend(journal, "vc-1", to="447700900002")
    assert journal.get("vc-1") == first


def test_a_key_whose_process_died_lives_as_long_as_one_in_doubt(journal: Journal, clock: FakeClock) -> None:
    open_, closed = intend(journal, "vc-1", key="open"), intend(journal, "vc-2", key="closed")
    journal.created(closed.reference, LEG, {})
    clock.sleep(72 * 3600)

    assert journal.by_key("open") == open_
    assert journal.by_key("closed") is None


@pytest.mark.parametrize(
    ("change", "written"),
    [
        (lambda journal, _: journal.note_dials([PERSON], 10), "INSERT INTO dials"),
        (lambda journal, intent: journal.match(intent, LEG, {}), "UPDATE OR IGNORE"),
    ],
    ids=["a limit is checked", "a call is matched"],
)
def test_nothing_is_written_between_a_check_and_the_write_that_depends_on_it(
    journal: Journal, tmp_path: Path, change: Callable[[Journal, Intent], object], written: str
) -> None:
    """Otherwise, the check would not hold; or SQLite would refuse the change, since its reading is outdated."""
    intent = intend(journal, "vc-1")
    refused: list[str] = []
    with closing(sqlite3.connect(tmp_path / "journal.db", timeout=0, isolation_level=None)) as other:

        def meanwhile(statement: str) -> None:
            if statement.startswith(written):
                try:
                    other.execute("INSERT INTO dials VALUES (0, 'x')")
                except sqlite3.OperationalError as exc:
                    refused.append(str(exc))

        journal._db.set_trace_callback(meanwhile)
        change(journal, intent)
    assert refused == ["database is locked"]


def test_an_intent_that_arrives_during_a_search_prevents_its_match(
    journal: Journal, room: Room, line: FaultProxy, application: Application, tmp_path: Path, clock: FakeClock
) -> None:
    """The call that the search finds may belong to the new intent."""
    lost = intend(journal, "vc-1")

    def on_request(_: Request) -> None:
        line.on_request = lambda _: None
        with closing(Journal(tmp_path, clock)) as another:
            intend(another, "vc-2")

    assert room(f"{CREATE} --no-journal").exit_code == 0
    line.on_request = on_request
    with client(line.url, application, room.clock) as api:
        finder = LostCallFinder(api, journal, room.clock, None)
        with pytest.raises(OutcomeUnknown, match="is also in doubt"):
            finder.find(lost, why="")
    assert journal.claimed([lost.uuid or "", *room.sandbox.exchange.legs]) == set()  # type: ignore[union-attr]


def test_an_intent_of_a_living_process_is_not_in_doubt(journal: Journal, clock: FakeClock) -> None:
    intent = intend(journal, "vc-1")
    assert journal.in_doubt() == []
    clock.sleep(301)
    assert journal.in_doubt() == [intent]


def test_an_intent_of_a_dead_process_is_in_doubt(journal: Journal, tmp_path: Path, clock: FakeClock) -> None:
    with opening(tmp_path, "vc-1", at=clock.time()) as child:
        child.communicate(b"go\n")
    assert [intent.reference for intent in journal.in_doubt()] == ["vc-1"]


def test_a_process_of_another_user_is_alive(tmp_path: Path) -> None:
    """A pid may be given again: then the call counts as in doubt after five minutes."""
    program = f"""
import dataclasses, os, pathlib
from tests.support.clock import FakeClock
from voicectl.store.journal import Journal
journal = Journal(pathlib.Path({str(tmp_path)!r}), FakeClock())
intent = journal.intend("vc-1", to="1", from_=None, body_hash="h", key=None, dialled=[])
gone = os.posix_spawn("/bin/true", ["true"], {{}})
os.waitpid(gone, 0)
if os.geteuid() == 0:
    os.setgid(65_534)
    os.setuid(65_534)
for pid in (1, gone):
    for seconds in (300, 301):
        print(dataclasses.replace(intent, pid=pid).is_abandoned(intent.asked_at + seconds))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "True", "True", "True"]


def test_calls_of_an_hour_are_counted_each_phone_once(journal: Journal, clock: FakeClock) -> None:
    journal.intend("vc-1", to=PERSON, from_=None, body_hash="h", key=None, dialled=[PERSON, "447700900002"])
    journal.note_dials(["447700900003"])
    with pytest.raises(GuardError, match="3 were made"):
        journal.note_dials(["447700900004"], 3)
    clock.sleep(3601)
    journal.note_dials(["447700900004"], 1)


def test_numbers_that_no_limit_counts_any_longer_are_forgotten(
    journal: Journal, tmp_path: Path, clock: FakeClock
) -> None:
    journal.note_dials([PERSON])
    clock.sleep(49 * 3600)
    journal.note_dials(["447700900002"])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert db.execute("SELECT number FROM dials").fetchall() == [("447700900002",)]


def test_it_takes_any_text_that_can_be_typed(journal: Journal) -> None:
    @settings(max_examples=50, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**64))
    def check(text: str, number: int) -> None:
        intent = intend(journal, f"vc-{number:x}", to=text, key=text)
        assert journal.get(intent.reference) == intent
        journal.settle(intent.reference, IntentState.REJECTED, text)
        journal._db.execute("DELETE FROM calls")

    check()


def test_many_processes_may_open_a_new_one_at_once(tmp_path: Path) -> None:
    """The switch to WAL and the schema are done by one of them, while the others wait."""
    children = [opening(tmp_path, f"vc-{number}") for number in range(8)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        with child:
            child.communicate()

    assert [child.returncode for child in children] == [0] * 8
    assert len(rows(tmp_path / "journal.db", "reference")) == 8


def opening(directory: Path, reference: str, *, at: float = 1_770_000_000.0) -> subprocess.Popen[bytes]:
    """A process that opens the journal on demand, writes an intent, and ends."""
    program = f"""
import pathlib
from tests.support.clock import FakeClock
from voicectl.store.journal import Journal
print("ready", flush=True)
input()
journal = Journal(pathlib.Path({str(directory)!r}), FakeClock({at!r}))
journal.intend({reference!r}, to="{PERSON}", from_=None, body_hash="h", key=None, dialled=[])
"""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=pipe, stdout=pipe)
