"""A connection to a PostgreSQL database, with time limits, reconnecting, and errors that say what to do."""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel, conninfo
from psycopg.pq import TransactionStatus

from voicectl.errors import InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

# It would write to standard error about each connection that was lost, which the errors raised here report.
logging.getLogger("psycopg").setLevel(logging.CRITICAL + 1)

CONNECT_SECONDS = 2
READ_SECONDS = 30.0
LOCK_SECONDS = 2.0

_SETTINGS = f"""
SELECT current_setting('server_encoding'), current_setting('synchronous_commit'), current_setting('fsync'),
    set_config('lock_timeout', '{LOCK_SECONDS:.0f}s', false),
    set_config('statement_timeout', '{READ_SECONDS:.0f}s', false)
"""

_DEFAULTS: dict[str, Any] = {
    "application_name": "voicectl",
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": 2000,  # ms
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_SECRETS = ("password", "sslpassword", "oauth_client_secret")

_HINTS = {
    "25006": "This server is a read-only replica: use the URL of its primary.",
    "53100": "Free disk space on the server.",
    "55P03": "Another process has locked it; try again in a moment.",
}
_REASONS = {"53100": "no space left on the server's disk"}
_HINT = "Check that the server is running and accepts this user: run psql with the same URL."


class Link(psycopg.Connection[Any]):
    """A connection that is closed if the server does not respond by ``deadline``, a value of ``time.monotonic()``."""

    deadline = math.inf
    is_listening = False

    @property
    def is_idle(self) -> bool:
        """True if no transaction is open, so that the connection can be used again."""
        return self.info.transaction_status is TransactionStatus.IDLE

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """Wait as psycopg does, but not beyond the deadline."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            state = next(gen)
            while True:
                ready = yield state  # psycopg resumes this generator ten times a second
                if time.monotonic() > self.deadline:
                    self.pgconn.finish()  # so that nothing waits for the server any longer
                    raise psycopg.OperationalError("the server does not respond")
                state = gen.send(ready)
        except StopIteration as done:
            return done.value


class Database:
    """A PostgreSQL database, with one connection. If it is lost, the next use connects again.

    Args:
        url: A URL that libpq accepts. Missing parts are taken from the ``PG...`` environment variables.
        name: The name of what is stored there for error messages, such as "event store".
        prepare: A function that is called with each new connection, such as to create the tables.
        hints: What to do about errors, by SQLSTATE code.

    Attributes:
        warnings: The server's settings that make the store less safe, as messages for the user.

    Raises:
        InputError: *url* is malformed.
    """

    def __init__(
        self, url: str, name: str, prepare: Callable[[Link], None], hints: dict[str, str] | None = None
    ) -> None:
        self.warnings: list[str] = []
        self._name = name
        self._prepare = prepare
        self._hints = _HINTS | (hints or {})
        try:
            self._settings = _DEFAULTS | conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise InputError(  # without the cause, which quotes the whole URL
                "The store's URL is not a valid PostgreSQL URL.",
                hint="Write postgresql://USER@HOST:PORT/DATABASE.",
            ) from None
        self._link: Link | None = None

    @contextmanager
    def within(self, seconds: float = READ_SECONDS) -> Iterator[Link]:
        """Yield a connection for work that must finish within *seconds*, after connecting if necessary.

        Raises:
            StoreError: The database cannot be used.
        """
        deadline = time.monotonic() + seconds
        try:
            if self._link is None:
                self._link = self._connect(deadline)
            link = self._link
            link.deadline = deadline
            yield link
        except psycopg.Error as exc:
            raise self._unusable(exc) from exc
        finally:
            if self._link is not None and not self._link.is_idle:
                self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _connect(self, deadline: float) -> Link:
        # No prepared statements: a generic plan may read the whole table, and connection poolers do not support them.
        link = Link.connect(**self._settings, client_encoding="UTF8", autocommit=True, prepare_threshold=None)
        try:
            link.deadline = deadline
            # to see commits made while waiting for a lock
            link.isolation_level = IsolationLevel.READ_COMMITTED
            self.warnings = self._check(link)
            self._prepare(link)
        except BaseException:
            link.close()
            raise
        return link

    def _check(self, link: Link) -> list[str]:
        encoding, synchronous_commit, fsync, *_ = link.execute(_SETTINGS).fetchall()[0]
        if encoding not in ("UTF8", "SQL_ASCII"):
            raise StoreError(
                f"The database's encoding is {encoding}, which cannot store all text.",
                hint="Create another database: createdb --encoding UTF8 --template template0 NAME",
            )
        warnings = []
        if synchronous_commit == "off":
            link.execute("SET synchronous_commit = on")
            warnings.append(
                "synchronous_commit is off in PostgreSQL. voicectl turns it on for its own transactions, so that a"
                " crash cannot lose what was acknowledged."
            )
        if fsync == "off":
            warnings.append("fsync is off in PostgreSQL: a power cut may lose what was acknowledged.")
        return warnings

    def _unusable(self, exc: psycopg.Error) -> StoreError:
        said = (str(exc).splitlines() or [type(exc).__name__])[0].removesuffix(".")
        why = _REASONS.get(exc.sqlstate or "", said)
        for name in _SECRETS:
            if secret := self._settings.get(name):
                why = why.replace(str(secret), "***")
        error = StoreError(
            f"The PostgreSQL {self._name} cannot be used: {why}.",
            hint=self._hints.get(exc.sqlstate or "", _HINT),
        )
        error.is_temporary = isinstance(exc, psycopg.OperationalError)
        return error
