"""The common interface of journals: what placing calls of a batch, and looking for calls in doubt, need of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicectl.store.journal import Intent, IntentState


class Intents(Protocol):
    """A journal of requested calls; see :class:`voicectl.store.journal.Journal`, which documents the methods."""

    def check(self) -> None:
        """Check that the journal is not damaged."""

    def intend(
        self,
        reference: str,
        *,
        to: str,
        from_: str | None,
        body_hash: str,
        key: str | None,
        dialled: Sequence[str],
        hourly_limit: int | None = None,
    ) -> Intent:
        """Write a new intent durably, and return it."""

    def settle(self, reference: str, state: IntentState, reason: str = "") -> Intent:
        """Set the state of an intent to anything except ``created``."""

    def created(
        self,
        reference: str,
        uuid: str,
        reply: dict[str, Any],
        *,
        certainty: str | None = None,
        reason: str | None = None,
    ) -> Intent | None:
        """Record the id of the call that was created for an intent."""

    def match(self, intent: Intent, uuid: str, reply: dict[str, Any]) -> Intent | None:
        """Record the id of a call that a search found, unless another intent may have led to the call."""

    def get(self, reference: str) -> Intent | None:
        """Return the intent with the reference *reference*, or None."""

    def in_doubt(self) -> list[Intent]:
        """Return the intents whose outcomes are unknown, oldest first."""

    def has_rival(self, intent: Intent) -> bool:
        """Return True if another open intent could claim the same call."""

    def claimed(self, uuids: list[str]) -> set[str]:
        """Return the ids in *uuids* that have been claimed for intents."""

    def close(self) -> None:
        """Close the journal."""
