"""``test init``: the first scenario file, and the application to try it on."""

from __future__ import annotations

import ast
from importlib.resources import files
from pathlib import Path

import pytest

from tests.support.room import Room

WRITTEN = ["ivr.py", "ivr.call.toml"]
CI_FILES = {"github": ".github/workflows/call-flows.yml", "gitlab": ".gitlab-ci.yml"}


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_the_files_that_it_writes_are_a_test_run_that_passes(bare: Room) -> None:
    ran = bare.process(["test", "init", "flows"])
    tested = bare.process(["test", "run", "flows"])

    assert ran.exit_code == 0
    assert ran.rows == [[f"flows/{name}"] for name in WRITTEN]
    assert ran.stderr == "Run the tests: voicectl test run flows\n"
    assert (tested.exit_code, tested.stderr) == (0, "3 passed.\n")


def test_a_fault_of_the_application_fails_the_run(bare: Room) -> None:
    bare.process(["test", "init", "flows"])
    ivr = bare.home / "flows" / "ivr.py"
    ivr.write_text(ivr.read_text().replace("nine to five", "ten to four"))

    tested = bare.process(["test", "run", "flows"])

    assert tested.exit_code == 13
    assert "1 failed" in tested.stderr


@pytest.mark.parametrize("service", CI_FILES)
def test_it_writes_the_file_of_a_ci_service(bare: Room, service: str) -> None:
    assert bare.process(f"test init --ci {service} -q".split()).stdout.splitlines() == [
        *WRITTEN,
        CI_FILES[service],
    ]
    assert "voicectl test run . --junit" in (bare.home / CI_FILES[service]).read_text()


@pytest.mark.parametrize("name", [*WRITTEN, ".gitlab-ci.yml"])
def test_it_writes_nothing_if_a_file_exists(bare: Room, name: str) -> None:
    (bare.home / "flows").mkdir()
    (bare.home / "flows" / name).write_text("mine")

    ran = bare.process(["test", "init", "flows", "--ci", "gitlab"])

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert f"flows/{name} already exists. Nothing was written." in ran.stderr
    assert contents(bare.home / "flows") == {name: b"mine"}


def test_a_directory_that_cannot_be_written_is_an_input_error(bare: Room) -> None:
    (bare.home / "flows").write_text("a file")

    ran = bare.process(["test", "init", "flows"])

    assert ran.exit_code == 2
    assert "flows/ivr.py cannot be written: " in ran.stderr


def test_the_guide_shows_the_files() -> None:
    guide = Path("docs/call-flow-tests.md").read_text()
    templates = files("voicectl.templates")

    for name in ("ivr.call.toml", "github.yml", "gitlab.yml"):
        assert templates.joinpath(name).read_text() in guide, name
    ast.parse(templates.joinpath("ivr.py").read_text())
