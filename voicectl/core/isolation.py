"""A network of its own for a rehearsal: a Linux network namespace, whose only interface is loopback.

Source: the Linux manual pages network_namespaces(7) and user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def _unshare(flags: int) -> None:
    # os.unshare needs Python 3.12
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter(unshare: Callable[[int], None] = _unshare) -> None:
    """Move this process to a new network, where it and the processes that it starts reach only each other.

    The process must have no other threads yet: they would stay where they are. It cannot return to its old network.

    Args:
        unshare: The system call ``unshare``, which takes flags and raises :class:`OSError`.

    Raises:
        InputError: The system does not permit this.
    """
    if sys.platform != "linux":
        raise InputError(
            "--isolate needs Linux, which can give a command a network of its own.",
            hint="Without --isolate, voicectl's commands still reach only the sandbox; other programs can"
            " reach any host.",
        )
    try:
        _leave(unshare)
        _bring_up_loopback()
    except OSError as exc:
        raise InputError(
            f"--isolate cannot be used: this system does not permit network namespaces ({exc.strerror}).",
            hint="--isolate needs root or unprivileged user namespaces, which sysctl and containers can forbid: see"
            " user.max_user_namespaces, user.max_net_namespaces and kernel.apparmor_restrict_unprivileged_userns.",
        ) from exc


def _leave(unshare: Callable[[int], None]) -> None:
    """Leave the old network. Users other than root need a user namespace for this, in which they keep their ids."""
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(_CLONE_NEWNET)
    except PermissionError:
        unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        process = Path("/proc/self")
        (process / "setgroups").write_text("deny")  # otherwise, the kernel refuses gid_map
        (process / "uid_map").write_text(f"{user} {user} 1")
        (process / "gid_map").write_text(f"{group} {group} 1")


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
