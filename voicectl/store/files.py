"""Files that only this user may read: directories 0700, files 0600 from birth."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from voicectl.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECRET_BYTES = 65_536


def private_directory(path: Path) -> Path:
    """Make *path* and what is above it, 0700; an existing directory keeps its mode.

    Raises:
        ConfigError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"The directory {path} cannot be made: {exc.strerror}.",
            hint="Name another with VOICECTL_CONFIG_DIR or VOICECTL_STATE_DIR.",
        ) from exc
    return path


def write_private(path: Path, content: bytes) -> None:
    """Put *content* at *path* so that a crash leaves the old file or the new one, never a mixture.

    It is written to a new file in the same directory (``O_EXCL``, 0600 from birth), fsynced and renamed; a symbolic
    link at *path* is replaced, not followed.

    Raises:
        ConfigError: The file system refused.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
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
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror}.") from exc


def read_private(path: Path, *, what: str) -> bytes:
    """Read a secret that only this user may read or replace.

    The file is opened first and judged after, by its mode bits: not a link, a pipe or a device, ours, no access for
    group and others, at most 64 KiB, in a directory that others cannot write to.

    Args:
        what: Names it in the error: "private key".

    Raises:
        ConfigError: It is missing or fails one of these, with the command that puts it right.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except FileNotFoundError as exc:
        raise ConfigError(f"The {what} {path} does not exist.", hint="Check the path.") from exc
    except OSError as exc:
        if path.is_symlink():
            raise ConfigError(
                f"The {what} {path} is a symbolic link.",
                hint=f"Name the file itself: {os.path.realpath(path)}",
            ) from exc
        raise ConfigError(f"The {what} {path} cannot be read: {exc.strerror}.") from exc
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(
                f"The {what} {path} is not a file.", hint="Name a file, or - for standard input."
            )
        if found.st_uid not in (os.geteuid(), 0):
            raise ConfigError(
                f"The {what} {path} belongs to another user.",
                hint=f"Take it over: sudo chown $(id -u) {path}",
            )
        if found.st_mode & 0o077:
            raise ConfigError(
                f"Others can read the {what} {path} (mode {stat.S_IMODE(found.st_mode):04o}).",
                hint=f"Close it: chmod 600 {path}",
            )
        parent = path.absolute().parent
        above = parent.stat()
        if above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX:
            raise ConfigError(
                f"Others can replace the {what}: they can write to {parent}.",
                hint=f"Close it: chmod go-w {parent}",
            )
        content = file.read(MAX_SECRET_BYTES + 1)
    if len(content) > MAX_SECRET_BYTES:
        raise ConfigError(f"The {what} {path} is over 64 KiB.", hint="Name the right file.")
    return content
