"""Free ports of this machine."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

FIRST, COUNT = 20_000, 12_000
"""Highest port below those that the kernel assigns by itself."""

_given: set[int] = set()


def free_block(size: int) -> int:
    """Return the first of the given number of consecutive free ports.

    No test process gets one of them again while this process runs.
    """
    begin = secrets.randbelow(COUNT)
    for first in (FIRST + (begin + step) % COUNT for step in range(0, COUNT, size)):
        ports = range(first, first + size)
        if _given.isdisjoint(ports) and _is_ours(first, size) and _are_free(ports):
            _given.update(ports)
            return first
    raise AssertionError("no ports are free")


def _is_ours(first: int, size: int) -> bool:
    """Return True if this process could lock a byte for each port, until it ends, in a file that all tests share."""
    try:
        fcntl.lockf(_register(), fcntl.LOCK_EX | fcntl.LOCK_NB, size, first)
    except BlockingIOError:
        return False
    return True


@cache
def _register() -> int:
    path = Path(tempfile.gettempdir()) / f"voicectl-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _are_free(ports: range) -> bool:
    with ExitStack() as taken:
        try:
            for port in ports:
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        except OSError:
            return False
    return True
