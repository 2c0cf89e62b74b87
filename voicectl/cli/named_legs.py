"""Convert a command's leg arguments to leg ids."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from voicectl.cli.output.text import is_terminal, remark
from voicectl.core.calls import references
from voicectl.errors import InputError, RateLimitedError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from voicectl.api.client import VoiceApi
    from voicectl.cli.terminal import Terminal
    from voicectl.store.journal import Journal
    from voicectl.voice.call import Call


class NamedLegs:
    """Converts leg arguments, such as ``@last``, to leg ids.

    Args:
        api: A function that returns the API, which is searched for records of legs.
        live: A function that returns all live legs.
        journal: A function that returns the journal, in which ``@last`` is looked up.
    """

    def __init__(
        self,
        terminal: Terminal,
        api: Callable[[], VoiceApi],
        live: Callable[[], list[Call]],
        journal: Callable[[], Journal],
    ) -> None:
        self._terminal = terminal
        self._api = api
        self._live = live
        self._journal = journal

    def live_leg(self, text: str) -> str:
        """Return the full id of the live leg that *text* names, or that standard input names if *text* is ``-``."""
        return references.resolve(self._word(text), candidates=self._live, last=self.last_created)

    def any_leg(self, text: str, kept: Callable[[str], Iterable[Call]] = lambda _: ()) -> str:
        """Return the full id of the live or ended leg that *text* names.

        Args:
            kept: A function that returns further legs that *text* could name, such as those known from stored events.
                If the API does not answer, only these legs are searched.
        """
        text = self._word(text)

        def records() -> Iterable[Call]:
            return references.each_once(self._api().get_calls(), kept(text))

        try:
            return references.resolve(text, candidates=records, last=self.last_created, what="leg")
        except (TransportError, RateLimitedError) as exc:
            here = list(kept(text))
            if not here:
                raise
            found = references.resolve(
                text, candidates=lambda: here, last=self.last_created, what="stored leg"
            )
            remark(f"warning: {text} was searched for only on this machine: {exc.message}")
            return found

    def last_created(self) -> str | None:
        """Return the id of the last call created from this machine (``@last``), or None if there is none.

        Raises:
            InputError: Standard input is not a terminal. Scripts must not rely on ``@last``.
        """
        if not is_terminal(sys.stdin):
            raise InputError(
                "@last works only when standard input is a terminal.",
                hint="In a script, store the id: LEG=$(voicectl call create ... -q)",
            )
        intent = self._journal().last_created()
        return intent.uuid if intent else None

    def words(self, names: Sequence[str]) -> list[str]:
        """Return *names*, with ``-`` replaced by the ids read from standard input."""
        if "-" not in names:
            return list(names)
        at = names.index("-")
        return [*names[:at], *self._read_ids(), *names[at + 1 :]]

    def _word(self, text: str) -> str:
        if text != "-":
            return text.strip()
        found = self._read_ids()
        if len(found) != 1:
            raise InputError(
                f"Standard input lists {len(found)} legs; this command takes one.", hint="Pass one line."
            )
        return found[0]

    def _read_ids(self) -> list[str]:
        """Read leg ids from standard input. Each id is the first tab-separated field of a line."""
        lines = self._terminal.read_stdin("leg ids").decode("utf-8", "surrogateescape").splitlines()
        ids = [field for field in (line.split("\t", 1)[0].strip() for line in lines) if field]
        if "-" in ids:
            raise InputError(
                "Standard input contains -, which is not a leg.", hint="List one leg id per line."
            )
        return ids
