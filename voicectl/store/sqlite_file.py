"""Opening SQLite files whose transactions must survive a crash and a power cut."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from voicectl.store import files

if TYPE_CHECKING:
    from pathlib import Path


class Damaged(Exception):
    """A part of the database is damaged."""


def connect(path: Path, version: int) -> sqlite3.Connection:
    """Open the database at *path*, which must exist and have the schema *version*.

    The caller must keep other processes out, since SQLite does not wait for one that is switching to WAL. This may
    raise ``Damaged``, ``OSError`` and ``sqlite3.Error``.
    """
    with files.opened(path, os.O_RDWR | os.O_NOFOLLOW):
        pass
    db = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        _check_version(db, version)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


def _check_version(db: sqlite3.Connection, version: int) -> None:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > version:
        raise sqlite3.DatabaseError("it was written by a newer version of voicectl")
    if found < version:
        raise Damaged
