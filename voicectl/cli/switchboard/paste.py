"""Tell keys that a person presses from text that is pasted.

Most terminals mark pasted text, which Textual then passes to the open input, if there is one. Other terminals send it
as if it had been typed, and each letter would be a key that acts. Such text arrives faster than anyone types. So each
key is held for :data:`HOLD_SECONDS`, until it is known how many others follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

HOLD_SECONDS = 0.02
MOST_KEYS = 3
"""How many keys may be pressed within :data:`HOLD_SECONDS`. More of them are pasted text."""

QUIET_SECONDS = 0.25
"""How long no key must come before pasted text counts as over, in seconds. It may arrive in pieces."""


class KeyGate(Generic[T]):
    """Holds keys until it is certain that they are not pasted text, and drops those that are.

    All times are in seconds on one monotonic clock.

    Args:
        is_harmless: A function that returns True if a key may pass although it is pasted text.
    """

    def __init__(self, is_harmless: Callable[[T], bool] = lambda _: False) -> None:
        self._is_harmless = is_harmless
        self._held: list[tuple[T, float]] = []
        self._pasted_at: float | None = None

    def press(self, key: T, at: float) -> list[T]:
        """Take a key that was pressed at the time *at*, and return the keys that may act now, in order."""
        if self._pasted_at is not None and at - self._pasted_at < QUIET_SECONDS:
            self._pasted_at = at
            return [key] if self._is_harmless(key) else []
        self._pasted_at = None
        passed = self.release(at)
        self._held.append((key, at))
        if len(self._held) > MOST_KEYS:
            self._pasted_at = at
            passed += [each for each, _ in self._held if self._is_harmless(each)]
            self._held.clear()
        return passed

    def release(self, now: float) -> list[T]:
        """Return the keys that have been held for long enough, in the order in which they were pressed."""
        due = [key for key, at in self._held if now - at >= HOLD_SECONDS]
        del self._held[: len(due)]
        return due

    @property
    def is_holding(self) -> bool:
        """True if a key is held."""
        return bool(self._held)
