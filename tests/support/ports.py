"""Ports of this machine that are free."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack


def free_block(size: int) -> int:
    """The first of so many neighbouring ports that are free, below those that the kernel gives out by itself.

    Where it looks is up to chance: two test runs at once get different ones.
    """
    begin = secrets.randbelow(12_000)
    for first in (20_000 + (begin + step) % 12_000 for step in range(0, 12_000, size)):
        with ExitStack() as taken:
            try:
                for port in range(first, first + size):
                    taken.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")
