"""The files that ``test run --save`` writes for each test: what each party heard, and the ladder of the calls."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voicectl.cli.output.ladder import ladder
from voicectl.cli.output.ladder_svg import draw
from voicectl.cli.output.text import clean
from voicectl.core.scenarios.ladder import traced
from voicectl.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from voicectl.core.scenarios.results import Result
    from voicectl.core.scenarios.stage import Stage
    from voicectl.core.scenarios.suite import Bench

_APART = re.compile(r"[^\w.-]+")
MAX_NAME = 100


class SavedFiles:
    """Writes the files of each test to a directory for its scenario file, and replaces earlier ones.

    Raises:
        InputError: The directory cannot be created.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise _unwritable(directory, exc) from exc

    def save(self, result: Result, stage: Stage, bench: Bench) -> None:
        """Write the files of one test.

        Raises:
            InputError: A file cannot be written.
        """
        folder = self._directory / _name(result.file.name.partition(".")[0])
        name = _name(result.name)
        try:
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.svg").write_text(draw(ladder(*traced(stage.log)), clean(result.name)))
            for leg in stage.legs.values():
                if leg.heard:
                    path = folder / f"{name}-{_name(leg.number)}.wav"
                    path.unlink(missing_ok=True)
                    bench.save_sound(leg.uuid, path)
        except OSError as exc:
            raise _unwritable(folder, exc) from exc


def _name(text: str) -> str:
    """Return *text* as the name of a file, without characters that have a meaning in paths."""
    return _APART.sub("-", text).strip("-.")[:MAX_NAME] or "test"


def _unwritable(path: Path, exc: OSError) -> InputError:
    return InputError(
        f"{path} cannot be written: {exc.strerror}.", hint="Name another directory with --save."
    )
