"""Handling of private files. Directories are created with mode 0700, and files with mode 0600."""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW = ".new"
"""The suffix of a file that is being written. Such a file is left on disk if the process that writes it is killed."""

OWN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
"""The flags for opening a file that only voicectl writes. A missing file is created; a symbolic link is refused."""

MAX_SECRET_BYTES = 65_536
MAX_SETTINGS_BYTES = 1 << 20


def user_path(text: str) -> Path:
    """Return *text* as a path, in which a leading ``~`` or ``~USER`` is expanded if the user exists."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 (Path.expanduser may raise RuntimeError)


def private_directory(path: Path) -> Path:
    """Create the directory *path* and its missing parents with mode 0700 if necessary, and return *path*.

    Raises:
        ConfigError: The directory cannot be created.
    """
    missing = [each for each in (path, *path.parents) if not os.path.isdir(each)]  # noqa: PTH112 (see user_path)
    try:
        for each in reversed(missing):  # Path.mkdir would create the parents with the default mode
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"The directory {path} cannot be created: {exc.strerror}.",
            hint="Set VOICECTL_CONFIG_DIR or VOICECTL_STATE_DIR to another directory.",
        ) from exc
    return path


def check_directory(directory: Path, *, what: str) -> None:
    """Check that no other user can replace files in *directory*.

    Args:
        what: The name of the files for error messages, such as "keys".

    Raises:
        ConfigError: Another user owns the directory or can write to it. The hint says how to correct the problem.
    """
    found = directory.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"Another user owns {directory}, and can therefore replace the {what}.",
            hint=f"Move the {what} to a directory that you own.",
        )
    _check_mode(directory, found.st_mode, 0o022, what)


def check_parents(directory: Path, *, what: str) -> None:
    """Check that no directory above *directory* lets all users replace *directory* itself, files and all.

    A directory that only a group can write to is accepted, since many systems give each user a group of their own.

    Args:
        what: The name of the files for error messages, such as "keys".

    Raises:
        ConfigError: All users can write to a directory above *directory*. The hint says how to correct the problem.
    """
    ways = directory.absolute(), Path(os.path.realpath(directory))
    for each in dict.fromkeys(chain.from_iterable(way.parents for way in ways)):
        _check_mode(each, each.stat().st_mode, 0o002, what)


def _check_mode(directory: Path, mode: int, forbidden: int, what: str) -> None:
    """Raise :exc:`ConfigError` if *mode* has *forbidden* bits, unless users can replace only their own files."""
    if mode & forbidden and not mode & stat.S_ISVTX:
        raise ConfigError(
            f"Others can replace the {what}: they can write to {directory}.",
            hint=f"Restrict access: chmod go-w {shlex.quote(str(directory))}",
        )


def write_private(path: Path, content: bytes) -> None:
    """Write *content* to *path*. Even after a crash, the file has either the old or the new content.

    The content is written to a temporary file, which is created in the same directory with ``O_EXCL`` and mode 0600.
    This file is then flushed to disk and renamed. A symbolic link at *path* is replaced, not followed.

    Raises:
        ConfigError: The file cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}{NEW}")
    try:
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror}.") from exc


def read_private(path: Path, *, what: str) -> bytes:
    """Return the content of a secret file, after checking that no other user can read or replace the file.

    The checks are made on the open file. It must be a regular file of at most 64 KiB, not a symbolic link, and must
    belong to this user or to root. Other users must not have access to the file, or write access to the directory.

    Args:
        what: The name of the secret for error messages, such as "private key".

    Raises:
        ConfigError: The file is missing or fails a check. The hint says how to correct the problem.
    """
    try:
        content = _read_judged(path, what, os.O_NOFOLLOW, MAX_SECRET_BYTES, is_secret=True)
    except FileNotFoundError as exc:
        raise ConfigError(f"The {what} {path} does not exist.", hint="Check the path.") from exc
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigError(f"The {what} {path} is over 64 KiB.", hint="Check the path.")
    return content


def read_own(path: Path, *, what: str) -> bytes:
    """Return the content of a settings file, after checking that no other user can change the file.

    Raises:
        FileNotFoundError: The file is missing.
        ConfigError: The file cannot be read, or other users can change it. The hint says how to correct the problem.
    """
    return _read_judged(path, what, 0, MAX_SETTINGS_BYTES, is_secret=False)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold an exclusive lock on *directory* for the duration of the ``with`` block. May raise ``OSError``."""
    with opened(directory, os.O_RDONLY | os.O_DIRECTORY) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sync_directory(directory: Path) -> None:
    """Flush the entries of *directory* to disk. May raise ``OSError``."""
    with opened(directory, os.O_RDONLY | os.O_DIRECTORY) as handle:
        os.fsync(handle)


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open *path* with ``os.open``, yield the file descriptor, and close it at the end of the ``with`` block."""
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Try to lock an open file. Return False if another process holds the lock. May raise ``OSError``."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_whole(handle: int, content: bytes) -> None:
    """Write all of *content* to an open file. May raise ``OSError``."""
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _read_judged(path: Path, what: str, flags: int, most: int, *, is_secret: bool) -> bytes:
    """Open *path* without blocking, check the open file, and return up to *most* + 1 bytes of its content."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except FileNotFoundError:
        raise
    except OSError as exc:
        if flags & os.O_NOFOLLOW and os.path.islink(path):  # noqa: PTH114 (Path.is_symlink may raise)
            raise ConfigError(
                f"The {what} {path} is a symbolic link.",
                hint=f"Use the file itself: {os.path.realpath(path)}",
            ) from exc
        raise ConfigError(f"The {what} {path} cannot be read: {exc.strerror}.") from exc
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(
                f"The {what} {path} is not a file.", hint="Give a file, or - for standard input."
            )
        if found.st_uid not in (os.geteuid(), 0):
            raise ConfigError(
                f"The {what} {path} belongs to another user.",
                hint=f"Become its owner: sudo chown $(id -u) {shlex.quote(str(path))}",
            )
        if found.st_mode & (0o077 if is_secret else 0o022):
            may = "read" if is_secret else "change"
            raise ConfigError(
                f"Others can {may} the {what} {path} (mode {stat.S_IMODE(found.st_mode):04o}).",
                hint=f"Restrict access: chmod 600 {shlex.quote(str(path))}",
            )
        check_directory(path.absolute().parent, what=what)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most + 1)
    finally:
        os.close(handle)
