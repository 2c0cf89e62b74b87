"""The reasons for which a batch pauses by itself: signs that the rest of the calls would fail as well."""

from __future__ import annotations

from dataclasses import dataclass, field

ALIKE_IN_A_ROW = 5
LEAST_CALLS = 20
MAX_SHARE_IN_DOUBT = 0.05


@dataclass(slots=True)
class Alarm:
    """Counts the failures of one run.

    Attributes:
        reason: The reason to pause, or an empty string.
        made: The number of calls requested in this run.
        doubts: The number of these calls that a search did not find.
    """

    reason: str = ""
    made: int = 0
    doubts: int = 0
    _cause: str = field(default="", init=False)
    _alike: int = field(default=0, init=False)

    def failed(self, cause: str, *, is_first: bool = False) -> None:
        """Note a call that failed or was refused, with its cause.

        Args:
            is_first: True if no call of the batch has succeeded yet.
        """
        self._alike = self._alike + 1 if cause == self._cause else 1
        self._cause = cause
        if is_first:
            self._raise(f"the first call failed: {cause}")
        elif self._alike >= ALIKE_IN_A_ROW:
            self._raise(f"{self._alike} calls in a row failed with the same cause: {cause}")

    def ended(self) -> None:
        """Note a call that did not fail. Callers should not note calls that were busy or not answered."""
        self._alike, self._cause = 0, ""

    def began(self) -> None:
        """Note a call that is requested."""
        self.made += 1
        self._check_doubts()

    def lost(self) -> None:
        """Note a call that remains in doubt."""
        self.doubts += 1
        self._check_doubts()

    def _check_doubts(self) -> None:
        if self.made >= LEAST_CALLS and self.doubts > MAX_SHARE_IN_DOUBT * self.made:
            self._raise(f"{self.doubts} of {self.made} calls are in doubt")

    def _raise(self, reason: str) -> None:
        self.reason = self.reason or reason
