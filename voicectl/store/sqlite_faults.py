"""The reasons why an SQLite database cannot be used, in words for the user."""

from __future__ import annotations

import errno
import os
import sqlite3
from typing import TYPE_CHECKING

from voicectl.store import files

if TYPE_CHECKING:
    from pathlib import Path

FAULTS = (OSError, sqlite3.Error, UnicodeDecodeError)
"""The exceptions that using a database may raise. For the last one, see :func:`code_of`."""

DAMAGED = "it is damaged"
NO_SPACE = "no space left on the disk"

PROBE_BYTES = 65_536


def code_of(exc: Exception) -> str:
    """Return SQLite's name for the error *exc*, such as ``SQLITE_FULL``, or an empty string if it has no name.

    Damage is not always reported as such: if SQLite's message quotes a damaged name, reading the message fails, and a
    value that is not UTF-8 is reported without a code.
    """
    if isinstance(exc, UnicodeDecodeError) or str(exc).startswith("Could not decode"):
        return "SQLITE_CORRUPT"
    code: str = getattr(exc, "sqlite_errorname", "")
    return code


def reason(exc: Exception, path: Path) -> str:
    """Return the reason for *exc*, one of :data:`FAULTS`, which was raised for the database *path*."""
    if isinstance(exc, OSError):
        return NO_SPACE if exc.errno == errno.ENOSPC else exc.strerror or str(exc)
    code = code_of(exc)
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return DAMAGED
    if code.startswith("SQLITE_FULL"):
        return NO_SPACE
    if code.startswith("SQLITE_IOERR"):
        return _write_fault(path.parent) or str(exc)
    return str(exc)


def _write_fault(directory: Path) -> str | None:
    """Return the reason why nothing can be written to *directory*, or None if something can.

    SQLite says only "disk I/O error", also if the disk is full.
    """
    path = directory / f".probe.{os.getpid()}{files.NEW}"
    try:
        with files.opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW) as handle:
            path.unlink()
            files.write_whole(handle, bytes(PROBE_BYTES))
            os.fsync(handle)
    except OSError as exc:
        return reason(exc, directory)
    return None
