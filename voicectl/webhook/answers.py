"""The answers to calls, read from a file that may be edited while calls arrive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from voicectl.errors import VoicectlError
from voicectl.webhook.rules import MAX_LISTED, Reading, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from voicectl.voice.ncco import Ncco
    from voicectl.webhook.rules import Rule, Stamp

LOOK_SECONDS = 0.25
"""The shortest time between two checks of the file of answers for changes, in seconds."""


class Answers:
    """Finds the NCCO for each call in a file, which contains either one NCCO or rules in TOML.

    If the file, or another file that it names, is changed, all these files are read again. If they are valid, they
    replace the old answers. If not, this is reported once, and the old answers stay in use.

    Args:
        path: The path of the file.
        on_trouble: Called with each warning, and with each error in a changed file, as one line.
        allows: A function that is called with each NCCO, and raises a ``VoicectlError`` if the NCCO must not be used.
        monotonic: A function that returns the time in seconds on a clock that never goes backward.

    Raises:
        VoicectlError: The file is invalid. The message says where the fault is.
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
        self._reported: tuple[str, Mapping[Path, Stamp | None]] | None = None
        self._warn(reading)

    def answer(self, fields: Mapping[str, Any], *, direction: str) -> bytes | None:
        """Return the NCCO from the first rule that matches a call, as JSON, or None if no rule matches.

        Whatever *fields* contains, no exception is raised.

        Args:
            fields: The fields of the platform's request for an NCCO.
            direction: The direction of the call: ``inbound`` or ``outbound``.
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
        except Exception as exc:  # noqa: BLE001 (the old answers stay in use if anything is wrong)
            self._stay(reading, f"{self._path} cannot be used: {type(exc).__name__}")
        else:
            self._reported = None
            self._warn(reading)
        self._stamps = reading.stamps

    def _stay(self, reading: Reading, why: str) -> None:
        if (why, reading.stamps) != self._reported:  # a file that cannot be opened is tried at each check
            self._reported = why, reading.stamps
            self._on_trouble(f"the changed answers are not used, and the old ones remain in use: {why}")

    def _warn(self, reading: Reading) -> None:
        for line in reading.warnings[:MAX_LISTED]:
            self._on_trouble(line)
        if (more := len(reading.warnings) - MAX_LISTED) > 0:
            self._on_trouble("... and more warnings" if more > 1 else "... and one more warning")
