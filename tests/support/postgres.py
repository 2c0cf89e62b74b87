"""A PostgreSQL server for tests: Debian's, with temporary files, run by a user other than root."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from .ports import free_block
from .waiting import PATIENCE_SECONDS

USERS = ("postgres", "nobody")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",  # it would change the files that tests search
    "log_min_messages": "fatal",
}


def find_binaries() -> Path | None:
    """Return the directory of the newest PostgreSQL that Debian's packages installed; None without one."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(re.sub(r"\D.*", "", path.parent.name) or 0), default=None)


class Postgres:
    """A server on a loopback port that accepts every user.

    Args:
        home: An empty directory, which *user* owns.
    """

    def __init__(self, binaries: Path, home: Path, user: str | None) -> None:
        self._binaries = binaries
        self._data = home / "data"
        self._log = home / "log"
        self._as = (
            {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": ()}
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_block(1)
        self._run(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    @property
    def data(self) -> Path:
        """The directory of its files."""
        return self._data

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(
        self, statement: str, *values: object, database: str = "postgres"
    ) -> list[tuple[object, ...]]:
        """Run SQL, each statement in its own transaction."""
        with psycopg.connect(
            self.url_of(database), autocommit=True, connect_timeout=round(PATIENCE_SECONDS)
        ) as link:
            cursor = link.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [self._binaries / "postgres", "-D", self._data, "-p", str(self.port), *settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._as)  # type: ignore[call-overload]
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                ((directory,),) = self.execute("SHOW data_directory")
                assert directory == str(self._data), "another server has the port"
                break
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise AssertionError(
                        f"PostgreSQL does not start: {self._log.read_text()[-2000:]}"
                    ) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server, and close its connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server and all its processes at once, as in a crash."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Freeze the server, with its connections open, until it is thawed."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after :meth:`freeze`."""
        self._signal(signal.SIGCONT)

    def _end(self, signum: signal.Signals) -> None:
        assert self._process is not None
        self._signal(signum)
        self._process.wait(PATIENCE_SECONDS)
        self._process = None

    def _signal(self, signum: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.send_signal(signum)
        if signum != signal.SIGINT:  # which the server passes on in its own way
            for child in map(int, children):
                with suppress(ProcessLookupError):
                    os.kill(child, signum)

    def _run(self, program: str, *words: str) -> None:
        command = [self._binaries / program, *words, self._data]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._as)  # type: ignore[call-overload]


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server inside the block.

    Raises:
        LookupError: PostgreSQL is not installed, or no user can run it.
    """
    binaries = find_binaries()
    if binaries is None:
        raise LookupError("Debian's package postgresql is not installed")
    user = _user() if os.geteuid() == 0 else None  # the server refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="vcpg"))
    try:
        if user is not None:
            os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        server = Postgres(binaries, home, user)
        server.start()
        try:
            yield server
        finally:
            with suppress(AssertionError):
                server.stop()
    finally:
        shutil.rmtree(home)


def _user() -> str:
    known = {each.pw_name for each in pwd.getpwall()}
    for user in USERS:
        if user in known:
            return user
    raise LookupError(f"no user of this system can run it: none is called {' or '.join(USERS)}")
