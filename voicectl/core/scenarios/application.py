"""The application under test: starting it, waiting until it is ready, keeping its output, and ending it."""

from __future__ import annotations

import http.client
import os
import random
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.errors import VoicectlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from voicectl.core.scenarios.model import Application

KEPT_LINES = 200
KEPT_COLUMNS = 2000
LOOK_SECONDS = 0.005
"""The time between two attempts to reach an application that is starting, in seconds."""

END_SECONDS = 2.0
"""How long an application may take to end after SIGTERM, in seconds. SIGKILL follows."""

PORTS = range(10_000, 20_000)
"""The ports to choose from. Clients on the same machine use higher ones, so none of them takes the port first."""

HOSTS = ("127.0.0.1", "::1")


class StartError(VoicectlError):
    """Raised if the application does not start, or has ended."""


def free_port() -> int:
    """Return a port on which no server listens.

    Raises:
        StartError: No port is free.
    """
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise StartError("No free port was found for the application.")


def words(command: str | Sequence[str]) -> list[str]:
    """Split *command* into its arguments, without a shell.

    Raises:
        StartError: A quotation mark is not closed.
    """
    if not isinstance(command, str):
        return list(command)
    try:
        return shlex.split(command)
    except ValueError as exc:
        raise StartError(f"The command {command!r} cannot be split into words: {exc}.") from exc


class Process:
    """A program in a process group of its own, whose latest output is kept.

    Args:
        arguments: The program and its arguments.

    Raises:
        StartError: The program cannot be run.
    """

    def __init__(self, arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> None:
        try:
            self._child = subprocess.Popen(  # noqa: S603 (a scenario file that the user named says what to run)
                arguments,
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise StartError(
                f"{arguments[0]} cannot be run in {cwd}: {reason}.", hint="Check run and cwd in [app]."
            ) from exc
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._count = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 (it is a pipe)
        with self._child.stdout:
            while part := self._child.stdout.readline(KEPT_COLUMNS):
                self._lines.append(part.decode(errors="replace").rstrip("\r\n"))
                self._count += 1

    def mark(self) -> int:
        """Return the number of lines that the program has written so far."""
        return self._count

    def output_since(self, mark: int = 0) -> list[str]:
        """Return the last lines that the program has written since :meth:`mark`."""
        count, lines = self._count, list(self._lines)
        return lines[-(count - mark) :] if count > mark else []

    @property
    def status(self) -> int | None:
        """The exit status, or None if the program runs."""
        return self._child.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait until the program has ended, at most *seconds*, and return its exit status or None."""
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(seconds)
        return None

    def kill(self) -> None:
        """Kill the program and everything that it started in its process group, from any thread."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def end(self) -> None:
        """End the program and everything that it started in its process group."""
        for signum, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, None)):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signum)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
                break
        self.kill()  # what the program left behind
        self._reader.join(LOOK_SECONDS * 20)


class Running:
    """The application while it runs.

    Attributes:
        url: Its base URL.
        process: Its process, or None if it was started by somebody else.
    """

    def __init__(self, url: str, process: Process | None) -> None:
        self.url = url
        self.process = process

    @property
    def has_ended(self) -> bool:
        """True if voicectl started the application, and it has ended."""
        return self.process is not None and self.process.status is not None

    def mark(self) -> int:
        """Return the number of lines that the application has written so far."""
        return 0 if self.process is None else self.process.mark()

    def output_since(self, mark: int) -> list[str]:
        """Return the last lines that the application has written since :meth:`mark`."""
        return [] if self.process is None else self.process.output_since(mark)

    def kill(self) -> None:
        """Kill the application, if voicectl started it."""
        if self.process is not None:
            self.process.kill()

    def check(self, *, in_doubt: bool = False) -> None:
        """Raise :class:`StartError` if the application has ended.

        Args:
            in_doubt: True if a webhook failed. An application that accepts no connections then is given a moment to
                end, because its connections are closed before its process is over.
        """
        if self.process is None:
            return
        is_ending = in_doubt and self.process.status is None and not _is_ready(self, None)
        status = self.process.wait(END_SECONDS) if is_ending else self.process.status
        if status is not None:
            raise StartError(f"The application has ended with {described(status)}.")


@contextmanager
def running(app: Application, *, port: int, directory: Path, environ: Mapping[str, str]) -> Iterator[Running]:
    """Run the application for the duration of the ``with`` block, which begins once it is ready.

    Args:
        port: The port on which the application should listen.
        directory: The directory of the scenario file.
        environ: The environment variables, to which those of the scenario are added.

    Raises:
        StartError: The application did not become ready.
    """
    if app.url is not None:
        found = Running(app.url.rstrip("/"), None)
        _await_ready(app, found, None)
        yield found
        return
    assert app.run is not None  # noqa: S101 (a scenario has run or url)
    own = {"PORT": str(port)} | {name: value.replace("{port}", str(port)) for name, value in app.env.items()}
    arguments = [each.replace("{port}", str(port)) for each in words(app.run)]
    process = Process(arguments, cwd=directory / app.cwd, environ={**environ, **own})
    try:
        found = Running(f"http://{HOSTS[0]}:{port}", process)
        _await_ready(app, found, port)
        yield found
    finally:
        process.end()


def _await_ready(app: Application, found: Running, port: int | None) -> None:
    deadline = time.monotonic() + app.start_within
    while not _is_ready(found, app.ready):
        if port is not None and _accepts(HOSTS[1], port):
            found.url = f"http://[{HOSTS[1]}]:{port}"
        _wait_a_little(found, deadline, app)


def _wait_a_little(found: Running, deadline: float, app: Application) -> None:
    """Wait until the application may be ready.

    Raises:
        StartError: It has ended, or the time is over.
    """
    process = found.process
    if process is not None and (status := process.wait(LOOK_SECONDS)) is not None:
        process.end()
        raise StartError(
            f"The application ended with {described(status)} before it was ready.{_said(process.output_since())}",
            hint="Check run, cwd and env in [app].",
        )
    if process is None:
        threading.Event().wait(LOOK_SECONDS)
    if time.monotonic() > deadline:
        what = f"{app.ready} did not answer with 2xx" if app.ready else f"nothing answered at {found.url}"
        said = "" if process is None else _said(process.output_since())
        raise StartError(
            f"The application was not ready after {app.start_within:g} s: {what}.{said}",
            hint="Check that it listens on {port}, which is also in the environment variable PORT; see also 'ready'"
            " and 'start_within' in [app].",
        )


def _said(output: list[str]) -> str:
    return "".join(f"\n  {line}" for line in output[-5:])


def _is_ready(found: Running, path: str | None) -> bool:
    parts = urlsplit(found.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if path is None:
        return _accepts(host, port)
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _accepts(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def described(status: int) -> str:
    """Return an exit status as text."""
    return f"exit status {status}" if status >= 0 else f"signal {-status}"
