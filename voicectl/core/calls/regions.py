"""Finding a leg: a call lives in one region, and every other host answers 404 for it, as for one that is over.

The other hosts are asked by reads only, all at once and not for long; where the leg was found is noted, and the next
request about it goes there. Then the other profiles are tried, so that the error can name the right one; nothing is
ever done with another profile's key.

Source: Voice API reference, "regions".
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicectl.api.session import REQUEST_SECONDS
from voicectl.core.identity.target import resolve
from voicectl.errors import ConfigError, NotFoundError, StoreError, TransportError, VoicectlError
from voicectl.loopback import is_loopback
from voicectl.store.action_log import REGION
from voicectl.voice.call import hyphenated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from voicectl.api.client import VoiceApi
    from voicectl.api.session import Session
    from voicectl.core.identity.profiles import ProfileStore
    from voicectl.core.identity.sessions import Sessions
    from voicectl.store.action_log import Notes
    from voicectl.store.events import EventStore
    from voicectl.voice.call import Call

    Reader: TypeAlias = Callable[[], AbstractContextManager[VoiceApi]]

SECONDS = 5.0
"""How long a search may take, all reads together."""

HERE_SECONDS = 2.0
REGIONS_SECONDS = 3.0
"""How much of that a host that is asked alone may take, and the regions."""

MOST_TIMES = 4.0
"""How many times as long all of these become, as ``--request-timeout`` is longer than it is by default."""


class Finder:
    """Where the legs of one application are; see :class:`voicectl.api.client.Places`.

    Args:
        profiles: Those of this user: another one may know the leg.
        events: Gives the store of webhook events, which may tell in which region a leg is; None if there is none.
        on_found: Told, once a host, of a leg that was found there.
    """

    def __init__(
        self,
        sessions: Sessions,
        profiles: ProfileStore,
        notes: Notes,
        *,
        events: Callable[[], EventStore | None],
        on_found: Callable[[str], None],
    ) -> None:
        self._sessions = sessions
        self._home = sessions.home
        self._hosts = sessions.target.hosts
        self._profiles = profiles
        self._notes = notes
        self._events = events
        self._on_found = on_found
        self._known: dict[str, Session] = {}
        self._nowhere: dict[str, NotFoundError] = {}
        self._last: str | None = None
        self._announced: set[str] = set()
        self._times = min(max(sessions.timeout / REQUEST_SECONDS, 1.0), MOST_TIMES)

    def of(self, uuid: str) -> Session:
        """Requests to where the leg was found, by this command or one before; else to the base URL."""
        leg = hyphenated(uuid)
        if leg not in self._known:
            url = self._notes.region(leg)
            self._known[leg] = self._home if url is None else self._at(url) or self._home
        return self._known[leg]

    def find(self, uuid: str, refusal: NotFoundError, *, is_read: bool, within: float) -> Session:
        """Look for a leg that is not where :meth:`of` says; once a command, if that finds nothing.

        Raises:
            NotFoundError: The leg is there, and what was asked for cannot be done to it; or it is nowhere.
            TransportError: Whether it is nowhere is unknown, for a host gave no usable answer.
        """
        # Threads are waited for, which no other clock tells.
        give_up = time.monotonic() + min(SECONDS * self._times, within)
        with self._sessions.interrupts.waiting():
            here = self.of(uuid)
            found: dict[str, Call | VoicectlError] = {here.origin: refusal}
            last, self._last = self._last, None
            if last is not None and last != here.origin:  # the legs of one command often live together
                found[last] = self._ask_alone(last, uuid, give_up)
                if not isinstance(found[last], VoicectlError):
                    return self._remember(uuid, last)
            if not is_read:
                seen = self._ask_alone(here.origin, uuid, give_up)
                if not isinstance(seen, VoicectlError):
                    raise _not_possible(refusal, uuid, seen)
            if (known := self._nowhere.get(hyphenated(uuid))) is not None:
                raise known
            others = self._readers(url for url in self._others(uuid) if url not in found)
            until = min(give_up, time.monotonic() + REGIONS_SECONDS * self._times)
            found |= self._ask(others, uuid, until, is_first_enough=True)
            for url, seen in found.items():
                if not isinstance(seen, VoicectlError):
                    return self._remember(uuid, url)
            raise self._unknown(uuid, refusal, found, give_up)

    def _others(self, uuid: str) -> Iterable[str]:
        """Where to look beside the host that was asked: first where an event says."""
        told = self._told(uuid)
        if told is not None and (session := self._at(told)) is not None:
            yield session.origin
        yield self._home.origin
        yield from self._hosts.elsewhere

    def _told(self, uuid: str) -> str | None:
        """Where requests about a leg go, as an event told."""
        from voicectl.core import history  # noqa: PLC0415 (as below: for a leg that was not found only)

        try:
            events = self._events()
            return None if events is None else history.region_url(events, uuid)
        except StoreError:
            return None

    def _readers(self, urls: Iterable[str]) -> dict[str, Reader]:
        return {url: partial(self._sessions.reader, url) for url in urls}

    def _at(self, url: str) -> Session | None:
        """Requests to *url*, which was noted or told; None if no token may go there, or may no more."""
        try:
            checked = self._hosts.check(url)
        except ConfigError:
            return None
        if checked == self._home.origin:
            return self._home
        return self._sessions.at(checked)

    def _remember(self, uuid: str, url: str) -> Session:
        session = self._at(url) or self._home
        self._known[hyphenated(uuid)] = session
        detail = {"url": None if session is self._home else session.origin}
        self._notes.add(self._sessions.clock.time(), uuid, REGION, detail=detail)
        self._last = session.origin
        if session.origin not in self._announced:
            self._announced.add(session.origin)
            self._on_found(
                f"Leg {uuid} is on {_name(session.origin)}; what is asked of it goes there from now on."
            )
        return session

    def _ask_alone(self, url: str, uuid: str, give_up: float) -> Call | VoicectlError:
        until = min(give_up, time.monotonic() + HERE_SECONDS * self._times)
        return self._ask(self._readers([url]), uuid, until)[url]

    def _ask(
        self,
        readers: Mapping[str, Reader],
        uuid: str,
        until: float,
        *,
        is_first_enough: bool = False,
    ) -> dict[str, Call | VoicectlError]:
        """What each answers to a read, all at once; what has not answered by then did not answer.

        Args:
            until: On the machine's own monotonic clock.
            is_first_enough: Wait for no more once one of them knows the leg.
        """
        from queue import Empty, SimpleQueue  # noqa: PLC0415 (as the next: most legs are where they are asked for)

        from voicectl.background import Beside  # noqa: PLC0415

        answers: SimpleQueue[tuple[str, Call | VoicectlError]] = SimpleQueue()
        seconds = max(until - time.monotonic(), 0.1)

        def ask(name: str, reader: Reader) -> None:
            try:
                with reader() as api:
                    answers.put((name, api.get_call(uuid, within=seconds, urgent=True)))
            except VoicectlError as exc:
                answers.put((name, exc))

        for name, reader in readers.items():
            Beside(partial(ask, name, reader))
        found: dict[str, Call | VoicectlError] = {}
        while len(found) < len(readers):
            try:
                name, answer = answers.get(timeout=max(until - time.monotonic(), 0.001))
            except Empty:
                break
            found[name] = answer
            if is_first_enough and not isinstance(answer, VoicectlError):
                break
        silent = VoicectlError("no answer in time")
        return {name: found.get(name, silent) for name in readers}

    def _unknown(
        self, uuid: str, refusal: NotFoundError, found: Mapping[str, Any], give_up: float
    ) -> NotFoundError | TransportError:
        """The error for a leg that none of those who were asked knows; it is remembered, unless one was silent."""
        neighbours = self._neighbours()
        readers = {name: reader for name, reader in neighbours.items() if reader}
        answers = self._ask(readers, uuid, give_up, is_first_enough=True)
        theirs = next((name for name, each in answers.items() if not isinstance(each, VoicectlError)), None)
        absent = [_name(url) for url, answer in found.items() if isinstance(answer, NotFoundError)]
        silent = [_name(url) for url, answer in found.items() if not isinstance(answer, NotFoundError)]
        message = (
            f"No leg {uuid} for {self._home.whose} on {', '.join(absent)}."  # whoever refused is one of them
        )
        if silent:
            message += f" Whether it is on {', '.join(silent)} is unknown: there was no usable answer."
            if theirs is None:
                return TransportError(
                    message,
                    hint="Nothing was done. Give the command again; a longer --request-timeout waits longer.",
                )
        error = NotFoundError(message, status=refusal.status, title=refusal.title, trace_id=refusal.trace_id)
        if theirs is not None:
            error.message += f" Profile {theirs} has it."
            error.hint = f"Nothing was done. Give the command again with -p {theirs}."
        else:
            error.hint = _advice(neighbours, answers)
        self._nowhere[hyphenated(uuid)] = error
        return error

    def _neighbours(self) -> dict[str, Reader | None]:
        """The other profiles that may know a leg: on the same kind of host, and never in a rehearsal.

        Each with what reads with its key at its base URL. One whose key a command prints has None: it is not asked,
        since that command may ask for something itself.
        """
        ours, profiles = self._sessions.target, self._profiles
        found: dict[str, Reader | None] = {}
        for name in () if ours.is_rehearsal else profiles.names():
            try:
                profile = profiles.get(name)
                theirs = resolve(self._sessions.environ, profiles, profile=name)
            except VoicectlError:  # malformed, or not to be used there: it is no help
                continue
            is_here, are_here = (
                is_loopback(urlsplit(each.base_url).hostname or "") for each in (ours, theirs)
            )
            if theirs.application_id != ours.application_id and is_here is are_here:
                read = partial(self._sessions.reader, theirs.base_url, theirs)
                found[name] = read if profile.key_command is None else None
        return found


def _not_possible(refusal: NotFoundError, uuid: str, seen: Call) -> NotFoundError:
    """The refusal of a change to a leg whose record is there."""
    refusal.hint = f"The leg is known there, and is {seen.status}" + (
        ": it is over." if seen.is_final else f". See its record: voicectl call show {uuid}"
    )
    return refusal


def _advice(neighbours: Iterable[str], answers: Mapping[str, Any]) -> str:
    """Where the leg may still be, and which other profiles were tried."""
    text = "The leg may be over, or another application's: 'voicectl call list --all'."
    absent = [name for name, answer in answers.items() if isinstance(answer, NotFoundError)]
    unsure = [name for name in neighbours if name not in absent]
    if absent:
        text += f" Profile {', '.join(absent)} {'does' if len(absent) == 1 else 'do'} not know it either."
    if unsure:
        text += f" Not known for profile {', '.join(unsure)}."
    return text


def _name(url: str) -> str:
    return urlsplit(url).netloc
