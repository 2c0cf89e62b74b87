"""Checks of a user's setup: the key, the network, the API, and the files on this machine."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from voicectl.api.replies import server_time
from voicectl.api.wire import Wire
from voicectl.core.identity import keys
from voicectl.errors import (
    ApiError,
    AuthError,
    ConfigError,
    GuardError,
    InputError,
    JournalError,
    NoAnswer,
    NotSent,
    StoreError,
    TransportError,
    VoicectlError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voicectl.api.client import VoiceApi
    from voicectl.clock import Clock
    from voicectl.core.identity.target import Target
    from voicectl.store.events import EventStore
    from voicectl.store.events_spool import Spool
    from voicectl.store.journal import Journal
    from voicectl.store.rate_limiter import RateLimiter

CONNECT_SECONDS = 5.0
MAX_CLOCK_SECONDS = 30.0


class CheckOutcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    FAIL = "fail"
    SKIPPED = "skipped"


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        name: The name of the check.
        kind: The kind of problem that a failure indicates: ``credentials``, ``network`` or ``state``.
        detail: What the check found, as text.
        fix: How to correct a failure, or None if there is no advice.
    """

    name: str
    kind: str
    outcome: CheckOutcome
    detail: str
    fix: str | None = None


def examine(
    target: Target,
    *,
    api: Callable[[], VoiceApi],
    rate_limiter: Callable[[], RateLimiter],
    journal: Callable[[], Journal],
    events: Callable[[], EventStore | None],
    spool: Callable[[], Spool],
    clock: Clock,
    environ: Mapping[str, str],
) -> Iterator[Check]:
    """Check everything that a command needs, and yield the results. The checks continue after a failure."""
    yield Check("application", "credentials", CheckOutcome.OK, f"{target.application_id} from {target.name}")
    key = _key(target)
    yield key
    network = list(_network(target, clock, environ))
    yield from network
    if key.outcome is not CheckOutcome.OK:
        yield Check("read", "credentials", CheckOutcome.SKIPPED, "there is no key to sign with")
    elif network[0].outcome is not CheckOutcome.OK:
        yield Check("read", "network", CheckOutcome.SKIPPED, "the host cannot be reached")
    else:
        yield _read(api)
    yield _rate_limiter(rate_limiter)
    yield _journal(journal)
    yield from _events(events, spool)


def _key(target: Target) -> Check:
    try:
        key = target.load_key()
        keys.check(key, where=target.name)
    except ConfigError as exc:
        return _failed("key", "credentials", exc)
    origin, fingerprint = target.sources["private_key"], keys.fingerprint(key.public_key())
    detail = f"{key.key_size}-bit RSA key from {origin}, public key {fingerprint}"
    return Check("key", "credentials", CheckOutcome.OK, detail)


def _network(target: Target, clock: Clock, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check DNS, the connection, TLS and this machine's clock with a single request that contains no token."""
    host = urlsplit(target.base_url).netloc
    wire = Wire(target.base_url, ca_file=target.ca_file, environ=environ)
    try:
        reply = wire.exchange("GET", "/", headers={}, timeout=CONNECT_SECONDS, fresh=True)
    except (NotSent, NoAnswer, ConfigError) as exc:
        fix = "Check the host name, the network, HTTPS_PROXY and --ca-file; if it is a sandbox, start it."
        yield Check("network", "network", CheckOutcome.FAIL, exc.message, fix)
        return
    secured = "DNS, connection and TLS" if target.base_url.startswith("https") else "connection"
    yield Check("network", "network", CheckOutcome.OK, f"{secured} to {host}")
    theirs = server_time(reply)
    if theirs is None:
        yield Check("clock", "credentials", CheckOutcome.SKIPPED, f"{host} sends no Date header")
        return
    offset = theirs - clock.time()
    if abs(offset) > MAX_CLOCK_SECONDS:
        detail = (
            f"this machine's clock is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} {host}"
        )
        yield Check(
            "clock",
            "credentials",
            CheckOutcome.FAIL,
            detail,
            "Set the clock: the API may refuse tokens that carry a wrong time.",
        )
    else:
        detail = f"this machine's clock is within {abs(offset):.0f} s of {host}"
        yield Check("clock", "credentials", CheckOutcome.OK, detail)


def _read(api: Callable[[], VoiceApi]) -> Check:
    try:
        next(api().get_calls(status="started"), None)
    except (AuthError, ConfigError) as exc:
        return _failed("read", "credentials", exc)
    except (TransportError, ApiError, GuardError) as exc:
        return _failed("read", "network", exc)
    return Check("read", "credentials", CheckOutcome.OK, "the API accepts the token")


def _rate_limiter(rate_limiter: Callable[[], RateLimiter]) -> Check:
    try:
        rate_limiter().check()
    except (OSError, ConfigError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc.message
        fix = "Make the state directory writable, or set another with VOICECTL_STATE_DIR."
        return Check("limiter", "state", CheckOutcome.FAIL, f"requests are not rate limited: {why}", fix)
    return Check(
        "limiter", "state", CheckOutcome.OK, "the rate limit is shared with your other voicectl commands"
    )


def _journal(journal: Callable[[], Journal]) -> Check:
    try:
        in_doubt = len(journal().in_doubt())
    except (JournalError, ConfigError) as exc:
        return _failed("journal", "state", exc)
    what = f"{in_doubt} call{'' if in_doubt == 1 else 's'} in doubt"
    more = f"; {what}. To see more: voicectl call reconcile" if in_doubt else ""
    return Check("journal", "state", CheckOutcome.OK, f"usable{more}")


def _events(events: Callable[[], EventStore | None], spool: Callable[[], Spool]) -> Iterator[Check]:
    """Check the event store, if there is one."""
    try:
        found, waiting = events(), len(spool().files())
    except (StoreError, InputError) as exc:
        yield _failed("events", "state", exc)
        return
    if found is not None:
        more = f"; files of events waiting for 'voicectl webhook serve': {waiting}" if waiting else ""
        yield Check("events", "state", CheckOutcome.OK, f"the event store is usable{more}")


def _failed(name: str, kind: str, exc: VoicectlError) -> Check:
    return Check(name, kind, CheckOutcome.FAIL, exc.message, exc.hint)
