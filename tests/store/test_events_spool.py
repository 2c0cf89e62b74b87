"""The spool: events are on the disk, are read back unchanged, and damage costs only the damaged events."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.event_writer import RECEIVED, ROOT, arrival
from voicectl.errors import StoreError
from voicectl.store.event_stores import spool_of
from voicectl.store.events import Arrival, Route
from voicectl.store.events_spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "state" / "spool")


def test_spooled_events_are_loaded_by_another_process_and_dropped(spool: Spool, tmp_path: Path) -> None:
    later, earlier = [arrival(7), arrival(8)], [arrival(1)]
    paths = [spool.put(later), spool.put(earlier)]

    other = Spool(tmp_path / "state" / "spool")
    assert other.files() == paths[::-1]
    assert [other.load(path) for path in other.files()] == [earlier, later]
    for path in paths:
        other.drop(path)
        other.drop(path)
    assert spool.files() == []
    assert [spool.load(path) for path in paths] == [[], []]
    assert spool.damaged == []


def test_only_its_owner_reads_it(spool: Spool) -> None:
    path = spool.put([arrival(1)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_each_store_has_its_own(tmp_path: Path) -> None:
    urls = [None, "postgresql://db/a", "postgresql://db/b", "postgresql://me:pw@db/a?sslmode=require"]
    here, first, second, same = (spool_of(url, tmp_path).directory for url in urls)
    assert first == same
    assert len({here, first, second}) == 3


def test_an_empty_spool_has_no_directory(spool: Spool, tmp_path: Path) -> None:
    assert spool.files() == []
    assert spool.purge(RECEIVED) == 0
    assert list(tmp_path.iterdir()) == []


def test_any_spooled_event_comes_back_equal(spool: Spool) -> None:
    texts = st.text(st.characters(exclude_categories=[]), max_size=20)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(Route), st.binary(max_size=80), st.binary(max_size=20), st.none() | texts
            )
        )
    )
    def check(parts: list[tuple[Route, bytes, bytes, str | None]]) -> None:
        arrivals = [
            Arrival.read(
                received=RECEIVED + 0.1,
                route=route,
                method="POST",
                query=query,
                body=body,
                is_signed=True,
                jti=jti,
            )
            for route, body, query, jti in parts
        ]
        path = spool.put(arrivals)
        assert spool.load(path) == arrivals
        spool.drop(path)

    check()
    assert spool.damaged == []


BATCH = [arrival(number) for number in range(4)]


def test_the_whole_events_of_a_torn_file_are_read_and_the_file_is_set_aside(spool: Spool) -> None:
    content = spool.put(BATCH).read_bytes()
    spool.drop(spool.files()[0])
    chance = random.Random(1)
    for length in {0, 1, len(content) - 1, *(chance.randrange(len(content)) for _ in range(40))}:
        path = spool.put([])
        path.write_bytes(content[:length])

        assert spool.load(path) == BATCH[: content[:length].count(b"\n")]
        aside = spool.damaged[-1]
        assert aside.read_bytes() == content[:length]
        spool.drop(path)
        assert aside.exists()
        assert spool.files() == []


def test_a_changed_byte_costs_one_event_at_most(spool: Spool) -> None:
    content = spool.put(BATCH).read_bytes()
    chance = random.Random(1)
    for _ in range(60):
        place = chance.randrange(len(content))
        path = spool.put([])
        path.write_bytes(
            content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
        )

        found = spool.load(path)
        assert [each for each in found if each not in BATCH] == []
        assert len(found) >= len(BATCH) - 2  # a missing line end joins two lines
        assert spool.damaged[-1].name.startswith(path.name)
        spool.drop(path)


def test_damage_is_reported_once_and_deleted_with_other_old_files(spool: Spool) -> None:
    path = spool.put(BATCH)
    path.write_bytes(path.read_bytes()[:-5])
    for _ in range(2):
        spool.load(path)
    spool.drop(path)
    waiting = spool.put(BATCH)

    (aside,) = spool.damaged
    for each in (aside, waiting):
        os.utime(each, (RECEIVED, RECEIVED))
    young = spool.put(BATCH)
    assert spool.purge(RECEIVED) == 0
    assert spool.purge(RECEIVED + 1) == 2
    assert list(spool.directory.iterdir()) == [young]


def test_a_half_written_file_of_a_killed_process_is_deleted_with_other_old_files(
    spool: Spool,
) -> None:
    code = """
import os, pathlib, signal, sys
from tests.support.event_writer import arrival
from voicectl.store.events_spool import Spool
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
Spool(pathlib.Path(sys.argv[1])).put([arrival(1)])
"""
    ran = subprocess.run([sys.executable, "-c", code, str(spool.directory)], cwd=ROOT, check=False)
    assert ran.returncode == -signal.SIGKILL
    (left,) = spool.directory.iterdir()
    assert b"count" in left.read_bytes()

    os.utime(left, (RECEIVED, RECEIVED))
    assert spool.files() == []
    assert spool.purge(RECEIVED) == 0
    assert spool.purge(RECEIVED + 1) == 1
    assert list(spool.directory.iterdir()) == []


def test_a_full_disk_is_reported_and_leaves_no_half_written_file(tmp_path: Path) -> None:
    code = """
import pathlib, resource, sys
from tests.support.event_writer import arrival
from voicectl.errors import StoreError
from voicectl.store.events_spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    Spool(pathlib.Path(sys.argv[1])).put([arrival(1)])
except StoreError as exc:
    print(exc.message)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "spool")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be spooled" in ran.stdout
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spool_directory_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    spool = Spool(tmp_path / "spool")
    for use in (lambda: spool.put(BATCH), spool.files):
        with pytest.raises(StoreError):
            use()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_it_is_on_disk_under_its_name_when_put_returns(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from tests.support.event_writer import arrival
from voicectl.store.events_spool import Spool
Spool(pathlib.Path(sys.argv[1])).put([arrival(1)])
print("done")
"""
    trace = tmp_path / "trace"
    words = ["strace", "-y", "-o", str(trace), "-e", "trace=write,fsync,rename,renameat,renameat2"]
    subprocess.run(
        [*words, sys.executable, "-c", code, str(tmp_path / "spool")],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    steps = [
        line.partition("(")[0]
        for line in trace.read_text().splitlines()
        if "/spool" in line or '"done' in line
    ]
    assert steps == ["write", "fsync", "rename", "fsync", "write"]
