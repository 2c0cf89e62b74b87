"""Runs of pytest in a directory and a process of their own, where the plugin is active."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

RunPytest = Callable[..., pytest.RunResult]


@pytest.fixture
def run_pytest(pytester: pytest.Pytester) -> RunPytest:
    """Return a function that runs pytest, without what takes time and does not matter here."""

    def run(*arguments: str) -> pytest.RunResult:
        plugins = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio")
        return pytester.runpytest_subprocess("--assert=plain", *plugins, *arguments)

    return run


@pytest.fixture
def has_ended(pytester: pytest.Pytester) -> Callable[[], bool]:
    """Return a function that says whether the one process whose id is in the file ``pids`` has ended."""

    def ended() -> bool:
        (pid,) = Path("pids").read_text().split()
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        return False

    return ended
