"""Finding a leg after a 404: in which region it is, and how the API spells its id.

Every region but the leg's own responds with 404, just as for a leg that has ended, or for an id in another spelling.

A request about a leg is sent to the host where the leg was last found according to the action log. If the log does
not name a host, the request is sent to the base URL. After a 404, voicectl searches for the leg by reading the leg's
record from other hosts. The search changes nothing. The record is requested:

1. from the host where the command found its previous leg, since the legs of a command are often in the same region;
2. from the host that returned 404, if the request was for a change, since that host may have the leg but be unable to
   make the change;
3. from the same host by the other spellings of the id, with or without hyphens and in lower case;
4. from all other hosts in parallel: the host that an event names as the leg's region, the base URL, and the other
   regions. The search ends when the first of them returns the record;
5. from these hosts by the other spellings.

All reads together take at most :data:`SECONDS`. A host that does not respond in time may still have the leg. So "not
found" is reported only if every host returned 404. In all other cases, the leg's region is reported as unknown.

If no region has the leg, the other profiles are tried, so that the error can name the right profile. The keys of the
other profiles are used only for reads.

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
from voicectl.voice.call import hyphenated, spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from voicectl.api.client import VoiceApi
    from voicectl.api.session import Session
    from voicectl.core.identity.profiles import ProfileStore
    from voicectl.core.identity.sessions import Sessions
    from voicectl.store.action_log import ActionLog
    from voicectl.store.events import EventStore
    from voicectl.voice.call import Call

    Reader: TypeAlias = Callable[[], AbstractContextManager[VoiceApi]]

SECONDS = 5.0
"""How long the reads in a search may take in total, in seconds."""

HERE_SECONDS = 2.0
REGIONS_SECONDS = 3.0
"""How long the reads from all other regions may take in total, in seconds.

One host, or the regions by another spelling of the id, may take ``HERE_SECONDS``.
"""

MOST_TIMES = 4.0
"""The largest factor by which a longer ``--request-timeout`` can extend a search's time limits."""


class RegionFinder:
    """Finds the regions of one application's legs; see :class:`voicectl.api.client.Places`.

    Args:
        profiles: This user's profiles. If a leg is not found, it may belong to another profile's application.
        notes: The action log, which records where legs were found.
        events: A function that returns the event store, whose events may name a leg's region, or None if there is no
            event store.
        on_found: A function that is called with a message the first time that a leg is found on a particular host.
    """

    def __init__(
        self,
        sessions: Sessions,
        profiles: ProfileStore,
        notes: ActionLog,
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
        self._spelled: dict[str, str] = {}
        self._nowhere: dict[str, NotFoundError] = {}
        self._last: str | None = None
        self._announced: set[str] = set()
        self._times = min(max(sessions.timeout / REQUEST_SECONDS, 1.0), MOST_TIMES)

    def of(self, uuid: str) -> Session:
        """Return a session with the host where a leg was last found.

        If no such host is known, return a session with the base URL's host.
        """
        leg = hyphenated(uuid)
        if leg not in self._known:
            url = self._notes.region(leg)
            self._known[leg] = self._home if url is None else self._at(url) or self._home
        return self._known[leg]

    def spelling(self, uuid: str) -> str:
        """Return the leg id *uuid* as the API spells it, or unchanged if no search has found another spelling."""
        return self._spelled.get(hyphenated(uuid), uuid)

    def find(
        self, uuid: str, refusal: NotFoundError, *, is_read: bool, within: float, is_exact: bool = False
    ) -> Session:
        """Search for a leg after a 404 from the host chosen by :meth:`of`, and return a session with the leg's host.

        If the leg is found by another spelling of its id, :meth:`spelling` returns that spelling from then on.

        If every host returned 404 for the leg, a later call raises the same error without asking the regions again.

        Args:
            uuid: The leg's id.
            refusal: The error for the 404 from the host chosen by :meth:`of`.
            is_read: True if the refused request was a read of the leg's record.
            within: How long the search may take, in seconds.
            is_exact: True if no other spelling of the id need be asked for.

        Raises:
            NotFoundError: No host has the leg, or the host that returned 404 has the leg but cannot make the change.
            TransportError: No host is known to have the leg, and at least one host gave no usable response.
        """
        # Waiting for threads takes real time, which a test's clock does not measure.
        give_up = time.monotonic() + min(SECONDS * self._times, within)
        uuid = self.spelling(uuid)
        others = [] if is_exact else spellings(uuid)[1:]
        with self._sessions.interrupts.waiting():
            here = self.of(uuid)
            found: dict[str, Call | VoicectlError] = {here.origin: refusal}
            last, self._last = self._last, None
            if last is not None and last != here.origin:  # a command's legs are often in the same region
                found[last] = self._ask_alone(last, uuid, give_up)
                if not isinstance(found[last], VoicectlError):
                    return self._remember(uuid, last)
            if not is_read:
                seen = self._ask_alone(here.origin, uuid, give_up)
                if not isinstance(seen, VoicectlError):
                    raise _not_possible(refusal, uuid, seen)
            if (known := self._nowhere.get(hyphenated(uuid))) is not None:
                raise known
            if self._is_respelled(uuid, others, here.origin, give_up):
                return here
            url = self._elsewhere([uuid, *others], here.origin, found, give_up)
            if url is not None:
                return self._remember(self.spelling(uuid), url)
            raise self._unknown(uuid, refusal, found, give_up)

    def _is_respelled(self, uuid: str, others: Iterable[str], url: str, give_up: float) -> bool:
        """Return True if the host at *url* has the leg by one of the *others*, and remember this spelling."""
        for spelling in others:
            seen = self._ask_alone(url, spelling, give_up)
            if not isinstance(seen, VoicectlError):
                self._respell(uuid, spelling)
                return True
            if not isinstance(seen, NotFoundError):
                break  # the host gives no usable response at the moment
        return False

    def _elsewhere(
        self, uuids: Sequence[str], here: str, found: dict[str, Call | VoicectlError], give_up: float
    ) -> str | None:
        """Return the URL of another host that has the leg, or None if none is found.

        Args:
            uuids: The leg's id as it was given, and its other spellings to ask for.
            here: The URL of the host that was asked by all spellings before.
            found: The hosts' responses so far, by URL. The new responses are added.
        """
        urls = [url for url in self._others(uuids[0]) if url not in found]
        seconds = REGIONS_SECONDS
        for spelling in uuids:
            until = min(give_up, time.monotonic() + seconds * self._times)
            if urls and time.monotonic() < until:
                found |= self._ask(self._readers(urls), spelling, until, is_first_enough=True)
            for url in urls:
                if not isinstance(found[url], VoicectlError):
                    self._respell(uuids[0], spelling)
                    return url
            urls = [url for url, seen in found.items() if url != here and isinstance(seen, NotFoundError)]
            seconds = HERE_SECONDS
        return None

    def _respell(self, uuid: str, spelling: str) -> None:
        if spelling != uuid:
            self._spelled[hyphenated(uuid)] = spelling
            self._on_found(
                f"The API knows leg {uuid} as {spelling}; requests for the leg now use the latter id."
            )

    def _others(self, uuid: str) -> Iterable[str]:
        """Yield the hosts to ask: first the host that a leg's events name, then the base URL and other regions."""
        reported = self._reported(uuid)
        if reported is not None and (session := self._at(reported)) is not None:
            yield session.origin
        yield self._home.origin
        yield from self._hosts.elsewhere

    def _reported(self, uuid: str) -> str | None:
        """Return the URL of the region that a leg's events name, or None if they name no region."""
        from voicectl.core import history  # noqa: PLC0415 (needed only for a leg that was not found)

        try:
            events = self._events()
            return None if events is None else history.region_url(events, uuid)
        except StoreError:
            return None

    def _readers(self, urls: Iterable[str]) -> dict[str, Reader]:
        return {url: partial(self._sessions.reader, url) for url in urls}

    def _at(self, url: str) -> Session | None:
        """Return a session with the host at *url*, or None if tokens may not be sent to this host."""
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
            self._on_found(f"Leg {uuid} is on {_name(session.origin)}; requests about it now go there.")
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
        """Read a leg's record with all *readers* in parallel, and return their answers by name.

        If a reader does not finish in time, an error takes the place of its response.

        Args:
            readers: The readers, by name.
            uuid: The leg's id.
            until: The time at which to stop waiting, on the system's monotonic clock.
            is_first_enough: True to stop waiting when one of the readers has returned the record.
        """
        from queue import Empty, SimpleQueue  # noqa: PLC0415 (rarely needed, like the next import)

        from voicectl.background import BackgroundThread  # noqa: PLC0415

        answers: SimpleQueue[tuple[str, Call | VoicectlError]] = SimpleQueue()
        seconds = max(until - time.monotonic(), 0.1)

        def ask(name: str, reader: Reader) -> None:
            try:
                with reader() as api:
                    answers.put((name, api.get_call(uuid, within=seconds, urgent=True)))
            except VoicectlError as exc:
                answers.put((name, exc))

        for name, reader in readers.items():
            BackgroundThread(partial(ask, name, reader))
        found: dict[str, Call | VoicectlError] = {}
        while len(found) < len(readers):
            try:
                name, answer = answers.get(timeout=max(until - time.monotonic(), 0.001))
            except Empty:
                break
            found[name] = answer
            if is_first_enough and not isinstance(answer, VoicectlError):
                break
        silent = VoicectlError("no response in time")
        return {name: found.get(name, silent) for name in readers}

    def _unknown(
        self, uuid: str, refusal: NotFoundError, found: Mapping[str, Any], give_up: float
    ) -> NotFoundError | TransportError:
        """Return the error for a leg that was not found.

        A NotFoundError is stored, so that later searches need no requests. A TransportError is not stored, since a
        later search may succeed.
        """
        neighbours = self._neighbours()
        readers = {name: reader for name, reader in neighbours.items() if reader}
        answers = self._ask(readers, uuid, give_up, is_first_enough=True)
        theirs = next((name for name, each in answers.items() if not isinstance(each, VoicectlError)), None)
        absent = [_name(url) for url, answer in found.items() if isinstance(answer, NotFoundError)]
        silent = [_name(url) for url, answer in found.items() if not isinstance(answer, NotFoundError)]
        # *absent* includes the host of *refusal*
        message = f"No leg {uuid} for {self._home.whose} on {', '.join(absent)}."
        if silent:
            message += f" It may be on {', '.join(silent)}, which gave no usable response."
            if theirs is None:
                return TransportError(
                    message,
                    hint="Nothing was changed. Run the command again; --request-timeout allows more time.",
                )
        error = NotFoundError(message, status=refusal.status, title=refusal.title, trace_id=refusal.trace_id)
        if theirs is not None:
            error.message += f" Profile {theirs} has it."
            error.hint = f"Nothing was changed. Run the command again with -p {theirs}."
        else:
            error.hint = _advice(neighbours, answers)
        self._nowhere[hyphenated(uuid)] = error
        return error

    def _neighbours(self) -> dict[str, Reader | None]:
        """Return readers for other profiles whose applications may have a leg, by profile name.

        The result is empty if the command acts on the sandbox because of ``VOICECTL_SANDBOX``. In all other cases,
        the result contains the profiles on loopback if the current target is on loopback, and the profiles on the
        platform if it is not. The reader for a profile whose key comes from a command is None, and the profile is not
        tried, since the command could prompt the user.
        """
        ours, profiles = self._sessions.target, self._profiles
        found: dict[str, Reader | None] = {}
        for name in () if ours.is_rehearsal else profiles.names():
            try:
                profile = profiles.get(name)
                theirs = resolve(self._sessions.environ, profiles, profile=name)
            except VoicectlError:  # a profile that is malformed, or is for another host, cannot help
                continue
            is_here, are_here = (
                is_loopback(urlsplit(each.base_url).hostname or "") for each in (ours, theirs)
            )
            if theirs.application_id != ours.application_id and is_here is are_here:
                read = partial(self._sessions.reader, theirs.base_url, theirs)
                found[name] = read if profile.key_command is None else None
        return found


def _not_possible(refusal: NotFoundError, uuid: str, seen: Call) -> NotFoundError:
    """Add the leg's status to the hint of *refusal*, the error for a refused change, and return *refusal*."""
    refusal.hint = f"The leg exists, and its status is {seen.status}" + (
        ": it has ended." if seen.is_final else f". See its record: voicectl call show {uuid}"
    )
    return refusal


def _advice(neighbours: Iterable[str], answers: Mapping[str, Any]) -> str:
    """Return a hint that says where else the leg may be, and which other profiles were tried."""
    text = "The leg may have ended, or belong to another application. See: voicectl call list --all."
    absent = [name for name, answer in answers.items() if isinstance(answer, NotFoundError)]
    unsure = [name for name in neighbours if name not in absent]
    if absent:
        text += f" {_profiles(absent)} {'does' if len(absent) == 1 else 'do'} not have it either."
    if unsure:
        text += f" {_profiles(unsure)} {'was' if len(unsure) == 1 else 'were'} not checked."
    return text


def _profiles(names: Sequence[str]) -> str:
    return f"Profile{'s' * (len(names) != 1)} {', '.join(names)}"


def _name(url: str) -> str:
    return urlsplit(url).netloc
