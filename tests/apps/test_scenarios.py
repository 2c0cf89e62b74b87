"""The scenarios of the example applications, which run as programs of their own, pass."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.apps.served import APPLICATIONS
from tests.support.room import Room

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_scenarios_of_an_application_pass(bare: Room, name: str) -> None:
    bare.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    ran = bare.process(["test", "run", str(HERE / f"{name}.call.toml")])

    assert ran.exit_code == 0, ran.stderr


def test_each_file_of_scenarios_belongs_to_an_application() -> None:
    assert {path.name.removesuffix(".call.toml") for path in HERE.glob("*.call.toml")} == APPLICATIONS.keys()
