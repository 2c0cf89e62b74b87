"""The legs that the words of a command name."""

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
    """Finds legs by what was typed for them.

    Args:
        api: Gives the API, whose records may be meant.
        live: Gives all live legs.
        journal: Gives the journal, which knows ``@last``.
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
        """Return the full id of the leg that *text* names; ``-`` reads it from standard input."""
        return references.resolve(self._word(text), candidates=self._live, last=self.last_created)

    def any_leg(self, text: str, kept: Callable[[str], Iterable[Call]] = lambda _: ()) -> str:
        """As :meth:`live_leg`, but match the beginning of an id against all records.

        Args:
            kept: Gives legs that it may name too, though they may have no record any more; where the API does not
                answer, it names one of them.
        """
        text = self._word(text)

        def records() -> Iterable[Call]:
            return references.each_once(self._api().get_calls(), kept(text))

        try:
            return references.resolve(text, candidates=records, last=self.last_created, what="record")
        except (TransportError, RateLimitedError) as exc:
            here = list(kept(text))
            if not here:
                raise
            found = references.resolve(text, candidates=lambda: here, last=self.last_created, what="kept leg")
            remark(f"warning: {text} is looked for only among what is kept here: {exc.message}")
            return found

    def last_created(self) -> str | None:
        """Return the id of the call created last here, for ``@last``.

        Raises:
            InputError: Nobody is at the keyboard: a script says what it means.
        """
        if not is_terminal(sys.stdin):
            raise InputError(
                "@last works only where standard input is a terminal.",
                hint="In a script keep the id: LEG=$(voicectl call create ... -q)",
            )
        intent = self._journal().last_created()
        return intent.uuid if intent else None

    def words(self, names: Sequence[str]) -> list[str]:
        """Return *names* with the ids on standard input in the place of ``-``."""
        if "-" not in names:
            return list(names)
        at = names.index("-")
        return [*names[:at], *self._read_ids(), *names[at + 1 :]]

    def _word(self, text: str) -> str:
        if text != "-":
            return text
        found = self._read_ids()
        if len(found) != 1:
            raise InputError(
                f"Standard input names {len(found)} legs; this takes one.", hint="Give it one line."
            )
        return found[0]

    def _read_ids(self) -> list[str]:
        """Read leg ids from standard input: the first tab-separated field of each line."""
        lines = self._terminal.read_stdin("LEG").decode("utf-8", "surrogateescape").splitlines()
        ids = [field for field in (line.split("\t", 1)[0].strip() for line in lines) if field]
        if "-" in ids:
            raise InputError("Standard input names - for a leg.", hint="Name legs by their ids, one a line.")
        return ids
