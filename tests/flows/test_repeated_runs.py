"""Tests that pass once pass every time, on an idle machine and on a busy one.

``benchmarks/scenarios.py`` repeats them far more often.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.support.busy import busy_machine
from tests.support.room import Room
from tests.support.waiting import PATIENCE_SECONDS

FILE = Path(__file__).with_name("menu.call.toml")
TESTS = 20
TIMES = 15


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_tests_pass_every_time_and_take_the_same_time_on_the_call_clock(bare: Room, is_busy: bool) -> None:
    bare.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    with busy_machine() if is_busy else nullcontext():
        ran = bare.process(["test", "run", str(FILE), "--repeat", str(TIMES)], timeout=10 * PATIENCE_SECONDS)

    assert ran.exit_code == 0, ran.stderr
    assert [row[0] for row in ran.rows] == ["passed"] * TESTS * TIMES
    assert len({(row[2].rpartition(" ")[0], row[4]) for row in ran.rows}) == TESTS
