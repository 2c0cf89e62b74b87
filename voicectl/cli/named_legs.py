"""Convert a command's leg arguments to leg ids."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from voicectl.cli.output.text import is_terminal, remark
from voicectl.core.calls import references
from voicectl.errors import InputError, LegError, RateLimitedError, TransportError
from voicectl.voice.call import hyphenated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

    from voicectl.api.client import VoiceApi
    from voicectl.cli.terminal import Terminal
    from voicectl.errors import VoicectlError
    from voicectl.store.journal import Journal
    from voicectl.voice.call import Call


MAX_REPORTED = 10
"""The greatest number of legs to report if a command names legs that do not exist."""


class NamedLegs:
    """Converts leg arguments, such as ``@last``, to leg ids.

    Args:
        api: A function that returns the API, which is searched for records of legs.
        live: A function that returns all live legs.
        journal: A function that returns the journal, in which ``@last`` is looked up.
        is_stored: A function that returns True if a string is the id of a leg in stored events.
        report: A function that reports one error. If there are several, it is called for each.
    """

    def __init__(
        self,
        terminal: Terminal,
        api: Callable[[], VoiceApi],
        live: Callable[[], list[Call]],
        journal: Callable[[], Journal],
        is_stored: Callable[[str], bool],
        report: Callable[[VoicectlError], None],
    ) -> None:
        self._terminal = terminal
        self._api = api
        self._live = live
        self._journal = journal
        self._is_stored = is_stored
        self._report = report

    def live_leg(self, text: str) -> str:
        """Return the full id of the live leg that *text* names, or that standard input names if *text* is ``-``."""
        return references.resolve(
            self._word(text), candidates=self._live, last=self.last_created, is_known=self._is_stored
        )

    def live_legs(self, names: Iterable[str]) -> dict[str, str]:
        """Return the live legs that *names* stand for, as a dictionary from full leg ids to names.

        Raises:
            InputError, LegError: Some names are malformed, ambiguous or unknown. All of them are reported.
        """
        found: dict[str, tuple[str, str]] = {}
        faults: list[VoicectlError] = []
        for name in dict.fromkeys(names):
            try:
                uuid = self.live_leg(name)
            except (InputError, LegError) as exc:
                faults.append(exc)
            else:
                found.setdefault(hyphenated(uuid), (uuid, name))
        if faults:
            self._refuse(faults)
        return dict(found.values())

    def _refuse(self, faults: list[VoicectlError]) -> NoReturn:
        """Raise one of *faults*, preferably one about a malformed name, and report all others."""
        faults.sort(key=lambda exc: isinstance(exc, InputError))
        for exc in faults[: MAX_REPORTED - 1] if len(faults) > MAX_REPORTED else faults[:-1]:
            self._report(exc)
        if len(faults) > MAX_REPORTED:
            remark(f"... and {len(faults) - MAX_REPORTED} more.")
        last = faults[-1]
        last.hint = f"{(last.hint or '').rstrip('.')}. Nothing was done.".removeprefix(". ")
        raise last

    def any_leg(self, text: str, kept: Callable[[str], Iterable[Call]] = lambda _: ()) -> str:
        """Return the full id of the live or ended leg that *text* names.

        Args:
            kept: A function that returns further legs that *text* could name, such as those known from stored events.
                If the API does not respond, only these legs are searched.
        """
        text = self._word(text)

        def records() -> Iterable[Call]:
            return references.each_once(self._api().get_calls(), kept(text))

        try:
            return references.resolve(
                text, candidates=records, last=self.last_created, is_known=self._is_stored, what="leg"
            )
        except (TransportError, RateLimitedError) as exc:
            here = list(kept(text))
            if not here:
                raise
            found = references.resolve(
                text, candidates=lambda: here, last=self.last_created, what="stored leg"
            )
            remark(f"warning: {text} was looked up only on this machine: {exc.message}")
            return found

    def last_created(self) -> str | None:
        """Return the id of the last call created from this machine (``@last``), or None if no call was created.

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
