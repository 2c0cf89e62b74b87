"""Secret files: only their owner can read or replace them, and a crash leaves the old content or the new."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import ending
from voicectl.errors import ConfigError
from voicectl.store import files

SECRET = b"correct horse battery staple"
NOBODY = 65_534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "a secret.pem"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o500, 0o4600])
def test_a_file_closed_to_others_is_read(secret: Path, mode: int) -> None:
    secret.chmod(mode)

    assert files.read_private(secret, what="key") == SECRET


@pytest.mark.parametrize("bit", [0o040, 0o020, 0o010, 0o004, 0o002, 0o001, 0o044, 0o066, 0o077])
def test_a_file_open_to_others_is_refused_with_the_command_that_fixes_it(secret: Path, bit: int) -> None:
    secret.chmod(0o600 | bit)

    with pytest.raises(ConfigError, match=rf"mode {0o600 | bit:04o}") as refused:
        files.read_private(secret, what="key")

    follow(refused.value.hint)
    assert files.read_private(secret, what="key") == SECRET


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702, 0o733])
def test_a_directory_that_others_can_write_to_is_refused_with_the_command_that_fixes_it(
    tmp_path: Path, mode: int
) -> None:
    directory = tmp_path / "open to all"
    directory.mkdir()
    path = directory / "key"
    files.write_private(path, SECRET)
    directory.chmod(mode)

    with pytest.raises(ConfigError, match="Others can replace the key") as refused:
        files.read_private(path, what="key")

    follow(refused.value.hint)
    assert files.read_private(path, what="key") == SECRET


def test_a_directory_such_as_tmp_keeps_others_from_replacing_a_file(secret: Path) -> None:
    secret.parent.chmod(0o1777)

    assert files.read_private(secret, what="key") == SECRET


@as_root
@pytest.mark.parametrize("what", ["the file", "its directory"])
def test_files_of_another_user_are_refused(secret: Path, what: str) -> None:
    os.chown(secret if what == "the file" else secret.parent, NOBODY, NOBODY)

    with pytest.raises(ConfigError, match=r"belongs to another user|can therefore replace"):
        files.read_private(secret, what="key")


@as_root
def test_a_user_reads_their_own_and_root_s_files_only() -> None:
    """The same rules under another uid, which root's privileges do not blur."""
    script = f"""
import os, tempfile
from pathlib import Path
from voicectl.errors import ConfigError
from voicectl.store import files

top = Path(tempfile.mkdtemp())
made = {{}}
for owner in (0, {NOBODY}, {NOBODY - 1}):
    for mode in (0o600, 0o644):
        path = top / f"{{owner}}-{{mode:o}}"
        path.write_bytes(b"x")
        path.chmod(mode)
        os.chown(path, owner, owner)
os.chown(top, {NOBODY}, {NOBODY})
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
for path in sorted(top.iterdir()):
    try:
        files.read_private(path, what="key")
        print(path.name, "read")
    except ConfigError as exc:
        print(path.name, exc.message.replace(str(path), "it"))
    path.unlink()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == [
        "0-600 The key it cannot be read: Permission denied.",
        "0-644 Others can read the key it (mode 0644).",
        f"{NOBODY - 1}-600 The key it cannot be read: Permission denied.",
        f"{NOBODY - 1}-644 The key it belongs to another user.",
        f"{NOBODY}-600 read",
        f"{NOBODY}-644 Others can read the key it (mode 0644).",
    ]


@pytest.mark.parametrize(
    "kind", ["link", "dangling link", "pipe", "socket", "directory", "device", "endless device"]
)
def test_other_kinds_of_file_are_refused_without_waiting(tmp_path: Path, secret: Path, kind: str) -> None:
    path = tmp_path / "other"
    match kind:
        case "link":
            path.symlink_to(secret)
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case "pipe":
            os.mkfifo(path, 0o600)
        case "directory":
            path.mkdir(0o700)
        case "device":
            path = Path(os.devnull)
        case "endless device":
            path = Path("/dev/zero")

    with bound(path if kind == "socket" else None), pytest.raises(ConfigError) as refused:
        ending(lambda: files.read_private(path, what="key"))

    assert str(path) in refused.value.message
    assert kind != "link" or str(secret) in (refused.value.hint or "")


def test_a_missing_or_overlong_file_is_reported(tmp_path: Path, secret: Path) -> None:
    secret.write_bytes(b"x" * (files.MAX_SECRET_BYTES + 1))

    with pytest.raises(ConfigError, match="over 64 KiB"):
        files.read_private(secret, what="key")
    with pytest.raises(ConfigError, match="does not exist"):
        files.read_private(tmp_path / "nowhere", what="key")
    with pytest.raises(ConfigError, match="File name too long"):
        files.read_private(tmp_path / ("x" * 300), what="key")


def test_settings_may_be_read_but_not_written_by_others(secret: Path) -> None:
    secret.chmod(0o644)
    assert files.read_own(secret, what="file") == SECRET

    secret.chmod(0o664)
    with pytest.raises(ConfigError, match="Others can change the file") as refused:
        files.read_own(secret, what="file")

    follow(refused.value.hint)
    assert files.read_own(secret, what="file") == SECRET


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_file_is_0600_and_its_directories_0700_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "one" / "two" / "key"

    with masked(umask & 0o077):
        files.private_directory(path.parent)
    with masked(umask):
        files.write_private(path, SECRET)

    assert mode(path) == 0o600
    assert [mode(path.parent), mode(path.parent.parent)] == [0o700, 0o700]


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    files.private_directory(tmp_path / "new")

    assert mode(tmp_path) == 0o755


def test_a_directory_that_cannot_be_made_is_reported(secret: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{secret}/keys cannot be created: File exists")):
        files.private_directory(secret / "keys")


def test_a_file_that_others_could_read_is_replaced_by_a_private_one(secret: Path) -> None:
    secret.chmod(0o644)
    with secret.open("rb") as before:
        files.write_private(secret, b"new")

        assert before.read() == SECRET  # a new file: a process that has the old one open learns nothing
    assert (secret.read_bytes(), mode(secret)) == (b"new", 0o600)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path, exists: bool) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    if exists:
        victim.write_bytes(b"precious")
        victim.chmod(0o644)
    link.symlink_to(victim)

    files.write_private(link, SECRET)

    assert not link.is_symlink()
    assert link.read_bytes() == SECRET
    assert victim.exists() == exists
    assert not exists or (victim.read_bytes(), mode(victim)) == (b"precious", 0o644)


def test_a_link_planted_at_the_name_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "key"
    victim.write_bytes(b"precious")
    (tmp_path / f".key.{os.getpid()}.new").symlink_to(victim)

    files.write_private(path, SECRET)

    assert (victim.read_bytes(), path.read_bytes()) == (b"precious", SECRET)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key", "victim"]


CRASHES = """
import os, random, signal, sys, time
from pathlib import Path
from voicectl.store import files

def naive(path, content):
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        file.write(content[len(content) // 2 :])

write = {"files": files.write_private, "naive": naive}[sys.argv[1]]
path = Path(sys.argv[2])
old, new = b"old " * 5000, b"newer " * 5000
files.write_private(path, old)
rng = random.Random(20260202)
torn = 0
for _ in range(50):
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, b"!")
        while True:
            write(path, old)
            write(path, new)
    os.read(reads, 1)
    os.close(reads)
    os.close(writes)
    time.sleep(rng.uniform(0.0005, 0.008))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    torn += path.read_bytes() not in (old, new)
    files.write_private(path, old)
print(torn)
"""


def test_a_process_killed_while_saving_leaves_the_old_content_or_the_new(tmp_path: Path) -> None:
    assert crash("files", tmp_path) == 0
    assert {mode(each) for each in tmp_path.iterdir()} == {
        0o600
    }  # also of the file that a killed process left behind


def test_fifty_kills_are_enough_to_see_a_torn_file(tmp_path: Path) -> None:
    assert crash("naive", tmp_path) > 0


def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from voicectl.errors import ConfigError
from voicectl.store import files

path = Path(sys.argv[1])
files.write_private(path, b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_private(path, b"new" * 1000)
except ConfigError as exc:
    print(exc.message)
"""
    ran = subprocess.run(
        [sys.executable, "-B", "-c", script, tmp_path / "key"], capture_output=True, text=True, check=True
    )

    assert ran.stdout == f"{tmp_path / 'key'} cannot be written: File too large.\n"
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("key", b"old")]


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_the_content_is_on_disk_before_it_takes_the_name_and_the_name_after(tmp_path: Path) -> None:
    path, trace = tmp_path / "key", tmp_path / "trace"
    script = "from pathlib import Path; from voicectl.store import files;"
    script += f" files.write_private(Path({str(path)!r}), b'x')"
    calls = "trace=openat,write,fsync,rename,renameat,renameat2"
    ran = subprocess.run(
        ["strace", "-y", "-e", calls, "-o", trace, sys.executable, "-c", script],
        capture_output=True,
        check=False,
    )
    if ran.returncode or not path.exists():
        pytest.skip("strace may not trace here")

    about = [line for line in trace.read_text().splitlines() if str(tmp_path) in line]
    steps = [re.sub(r"at2?\(.*|\(.*", "", line) for line in about]
    assert steps == ["open", "write", "fsync", "rename", "open", "fsync"]
    assert all(flag in about[0] for flag in ("O_CREAT|O_EXCL", "O_NOFOLLOW", "O_CLOEXEC", "0600"))
    assert "O_DIRECTORY" in about[-2]
    assert f"{tmp_path}>" in about[-1]


def crash(writer: str, directory: Path) -> int:
    """Return the number of 50 kills during a save that left neither the old content nor the new."""
    ran = subprocess.run(
        [sys.executable, "-c", CRASHES, writer, directory / "key"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(ran.stdout)


def follow(hint: str | None) -> None:
    """Run the command of a hint."""
    command = shlex.split((hint or "").partition(": ")[2])
    assert command[0] == "chmod"
    subprocess.run(command, check=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def bound(path: Path | None) -> Iterator[None]:
    """A socket at *path*, if one is wanted."""
    with socket.socket(socket.AF_UNIX) as sock:
        if path:
            sock.bind(str(path))
        yield
