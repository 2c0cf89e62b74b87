"""What calls are answered with, from a file that may be edited while calls come in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from voicectl.errors import VoicectlError
from voicectl.webhook.rules import MAX_TOLD, Reading, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from voicectl.voice.ncco import Ncco
    from voicectl.webhook.rules import Rule, Stamp

LOOK_SECONDS = 0.25
"""How long what was read is taken for what is there."""


class Answers:
    """The NCCO of each call, from a file that holds one, or rules in TOML.

    When that file, or one that it names, has changed, it is read anew. What is then right takes the place of what was
    there; what is wrong is told once, and the old answers go on.

    Args:
        path: The file.
        on_trouble: Told what is doubtful, and what is wrong with a change, a line each.
        allows: Told each NCCO that may be served; raises a ``VoicectlError`` for one that must not be.
        monotonic: Seconds, on a clock that never steps back.

    Raises:
        VoicectlError: The file is wrong; says where.
    """

    def __init__(
        self,
        path: Path,
        on_trouble: Callable[[str], None],
        *,
        allows: Callable[[Ncco], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._on_trouble = on_trouble
        self._allows = allows
        self._monotonic = monotonic
        self._looked = monotonic()
        reading = Reading(path, self._allows)
        self._rules: tuple[Rule, ...] = reading.rules()
        self._stamps = reading.stamps
        self._told: tuple[str, Mapping[Path, Stamp | None]] | None = None
        self._warn(reading)

    def answer(self, fields: Mapping[str, Any], *, direction: str) -> bytes | None:
        """The NCCO, as JSON, of the first rule that fits; None if none does.

        Raises for nothing that *fields* hold.

        Args:
            fields: What the request tells.
            direction: ``inbound`` or ``outbound``.
        """
        self._look()
        for rule in self._rules:
            if rule.fits(fields, direction):
                return rule.flow.fill(fields)
        return None

    def _look(self) -> None:
        now = self._monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if all(stamp(path) == seen for path, seen in self._stamps.items()):
            return
        reading = Reading(self._path, self._allows)
        try:
            self._rules = reading.rules()
        except VoicectlError as exc:
            self._stay(reading, exc.message)
        except Exception as exc:  # noqa: BLE001 (whatever is in the file: a call waits for what was there)
            self._stay(reading, f"{self._path} cannot be used: {type(exc).__name__}")
        else:
            self._told = None
            self._warn(reading)
        self._stamps = reading.stamps

    def _stay(self, reading: Reading, why: str) -> None:
        if (why, reading.stamps) != self._told:  # files that cannot be opened are tried again and again
            self._told = why, reading.stamps
            self._on_trouble(f"the answers stay as they were: {why}")

    def _warn(self, reading: Reading) -> None:
        for line in reading.warnings[:MAX_TOLD]:
            self._on_trouble(line)
        if (more := len(reading.warnings) - MAX_TOLD) > 0:
            self._on_trouble(f"... and {more} more warnings")
