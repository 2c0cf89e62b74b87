"""The sandboxes of a pytest session."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voicectl.cli import scenario_bench
from voicectl.cli.private_sandbox import stored_identity
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from voicectl.core.scenarios.model import Scenario
    from voicectl.core.scenarios.suite import Bench

_PROFILES = pytest.StashKey[ProfileStore]()


def open_bench(scenario: Scenario, config: pytest.Config) -> AbstractContextManager[Bench]:
    """Return a context manager that runs a sandbox. All sandboxes of a session have the same identity."""
    return scenario_bench.open_bench(scenario, os.environ, SystemClock(), profiles=_profiles(config))


def _profiles(config: pytest.Config) -> ProfileStore:
    if _PROFILES not in config.stash:
        directory = tempfile.TemporaryDirectory(prefix="voicectl-")
        config.add_cleanup(directory.cleanup)
        config.stash[_PROFILES] = store = ProfileStore(Path(directory.name) / "config")
        stored_identity(store)
    return config.stash[_PROFILES]
