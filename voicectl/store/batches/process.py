"""Identifying processes, so that a lease whose process has ended is recognized.

A process id is soon used again. Together with the time at which the process started, it is unique until the next
boot, which has an id of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from zlib import crc32

from voicectl.store.batches.records import Holder

SECONDS_UNTIL_GONE = 60.0
"""How long a process of another host may be silent before its lease may be taken, in seconds."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of /proc/PID/stat, counted from the field after the name


def this_process(now: float) -> Holder:
    """Return this process as the holder of a new lease."""
    pid = os.getpid()
    return Holder(
        token=os.urandom(16).hex(),
        host=socket.gethostname(),
        boot=_boot(),
        pid=pid,
        started=_started(pid) or "",
        seen_at=now,
    )


def is_gone(holder: Holder, now: float) -> bool:
    """Return True if *holder* has ended or, if it ran on another host, has been silent for a minute."""
    if holder.host != socket.gethostname():
        return now - holder.seen_at > SECONDS_UNTIL_GONE
    return holder.boot != _boot() or _started(holder.pid) != holder.started


def mark() -> str:
    """Return a short text that names this process among all processes of this host, for use in a file name."""
    return _mark(os.getpid(), _started(os.getpid()) or "")


def is_running(text: str) -> bool:
    """Return True if the process that :func:`mark` named *text* is running."""
    pid = text.partition("-")[0]
    return pid.isdecimal() and (start := _started(int(pid))) is not None and _mark(int(pid), start) == text


def _mark(pid: int, started: str) -> str:
    return f"{pid}-{crc32(f'{_boot()} {started}'.encode()):08x}"


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:  # not on Linux; there, the start of a process is a date
        return ""


def _started(pid: int) -> str | None:
    """Return when the process *pid* started, or None if there is no such process."""
    if not _BOOT.exists():
        ran = subprocess.run(  # noqa: S603 (the arguments are a number and constants)
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return ran.stdout.strip() or None
    try:
        content = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = content.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[_START_FIELD]
