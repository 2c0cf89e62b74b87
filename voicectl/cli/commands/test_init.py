"""``test init``: a first scenario file, and an application to try it on."""

from __future__ import annotations

import shlex
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from voicectl.cli.context import current
from voicectl.cli.output.text import remark
from voicectl.cli.output.writer import View
from voicectl.errors import InputError

VIEW = View(columns=("file",), id="file")


class Ci(StrEnum):
    """A service that runs tests on every commit."""

    GITHUB = "github"
    GITLAB = "gitlab"


_CI_FILES = {Ci.GITHUB: ".github/workflows/call-flows.yml", Ci.GITLAB: ".gitlab-ci.yml"}


def init(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The directory to write to.", show_default=False)
    ] = Path(),
    ci: Annotated[
        Ci | None,
        typer.Option(
            "--ci",
            metavar="SERVICE",
            help="Also write the file with which this service runs the tests on every commit: github or gitlab.",
        ),
    ] = None,
) -> None:
    """Write a first scenario file, and a small application to try it on.

    The files are ivr.call.toml, with three tests, and ivr.py, a keypad menu that needs only Python. Change them, or
    have the [app] section start your own application. If one of the files exists, nothing is written.

    Examples:
      $ voicectl test init
      $ voicectl test init call-flows --ci github
    """
    app = current(ctx)
    app.consent.refuse_dry_run()
    templates = {"ivr.py": "ivr.py", "ivr.call.toml": "ivr.call.toml"}
    if ci is not None:
        templates |= {_CI_FILES[ci]: f"{ci}.yml"}
    chosen = {
        directory / name: files("voicectl.templates") / template for name, template in templates.items()
    }
    if there := next((path for path in chosen if path.exists()), None):
        raise InputError(
            f"{there} already exists. Nothing was written.",
            hint="Choose another directory: voicectl test init DIR",
        )
    with app.terminal.writer(VIEW, is_many=True) as out:
        for path, template in chosen.items():
            _write(path, template.read_bytes())
            out.add({"file": str(path)})
    remark(f"Run the tests: voicectl test run {shlex.quote(str(directory))}")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except OSError as exc:
        raise InputError(
            f"{path} cannot be written: {exc.strerror}.", hint="Choose another directory."
        ) from exc
