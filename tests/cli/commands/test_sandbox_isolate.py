"""``sandbox exec --isolate``: a command that reaches only its sandbox, wherever the system permits it.

These tests run the command as a process of its own: in this process, it would take the network away from all tests.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from tests.support.room import PERSON, Ran, Room
from tests.support.servers import LOOPBACK
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.core import isolation
from voicectl.errors import InputError

UNSHARE = "import ctypes; unshare = ctypes.CDLL(None).unshare; "
PROBE = UNSHARE + "raise SystemExit(unshare(1 << 30) and unshare(1 << 30 | 1 << 28))"
"""Exits with 0 if this user can leave the network: as root, or in a user namespace."""

LOSE_ROOTS_RIGHT = "import ctypes; ctypes.CDLL(None).prctl(24, 21, 0, 0, 0)"
"""Drops CAP_SYS_ADMIN from what the next program may get; does nothing if the user is not root."""

CANNOT_FORBID = 77
FORBID = f"""
import os
from pathlib import Path
{UNSHARE}
user = os.geteuid()
assert unshare(1 << 28) == 0
Path("/proc/self/uid_map").write_text(f"0 {{user}} 1")
try:
    Path("/proc/sys/user/max_net_namespaces").write_text("0")
except OSError:
    raise SystemExit({CANNOT_FORBID})
"""
"""Lets neither this process nor those that it starts create another network."""

THEN_RUN = "\nimport os, sys; os.execv(sys.argv[1], sys.argv[1:])"

REACH = """
import socket, sys
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 30).close()
        print("reached")
    except OSError as exc:
        print(exc.strerror)
"""


@pytest.fixture(autouse=True)
def permitted() -> None:
    """Skip the tests where the system forbids namespaces."""
    if subprocess.run([sys.executable, "-c", PROBE], check=False).returncode != 0:
        pytest.skip("this system does not permit network namespaces")


Isolated = Callable[..., Ran]


@pytest.fixture(params=["the user's own rights", "a user namespace"])
def isolated(bare: Room, request: pytest.FixtureRequest) -> Isolated:
    """Runs a command with ``--isolate``, as this user and, if this user is root, without root's rights, too."""
    before = LOSE_ROOTS_RIGHT if request.param == "a user namespace" else ""

    def run(*command: str, options: Sequence[str] = ()) -> Ran:
        return after(bare, before, ["--isolate", *options, "--", *command])

    return run


def after(room: Room, code: str, words: list[str]) -> Ran:
    """Run ``sandbox exec`` with *words* in a process in which *code* has run before."""
    program = [sys.executable, "-m", "voicectl", "sandbox", "exec", *words]
    ran = subprocess.run(
        [sys.executable, "-c", code + THEN_RUN, *program],
        env=room.environ,
        cwd=room.home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def address_of_this_machine() -> str | None:
    """Return an address of this machine that is not loopback, or None if it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing: it only chooses an address
        except OSError:
            return None
        return str(sock.getsockname()[0])


def test_the_command_reaches_neither_the_machine_nor_a_server_outside(bare: Room, isolated: Isolated) -> None:
    outside = address_of_this_machine()
    if outside is None:
        pytest.skip("this machine has no address but loopback")
    with socket.create_server((outside, 0)) as network, socket.create_server((LOOPBACK, 0)) as local:
        places = [f"{host}:{port}" for host, port in (network.getsockname(), local.getsockname())]
        reach = [sys.executable, "-c", REACH, *places]

        free, held = bare.process(["sandbox", "exec", "--", *reach]), isolated(*reach)

    assert free.stdout.splitlines() == ["reached", "reached"]
    assert held.stdout.splitlines() == ["Network is unreachable", "Connection refused"]


def test_the_sandbox_is_reached(isolated: Isolated) -> None:
    ran = isolated(
        sys.executable, "-m", "voicectl", "call", "create", "--to", PERSON, "--talk", "Hello", "-q"
    )

    assert ran.exit_code == 0, ran.stderr
    assert len(ran.stdout.strip()) == 36


def test_programs_of_the_command_reach_each_other_and_the_sandbox_reaches_them(isolated: Isolated) -> None:
    flow = '[{"action": "talk", "text": "Welcome"}]'
    script = f"""
        set -e
        v() {{ {sys.executable} -m voicectl "$@" 2>/dev/null; }}
        echo '{flow}' > answer.json
        {sys.executable} -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 &
        trap "kill $!" EXIT
        until (exec 3<>/dev/tcp/127.0.0.1/8000) 2>/dev/null; do :; done
        v app urls --answer http://127.0.0.1:8000/answer.json -q >/dev/null
        LEG=$(v sandbox ring --to 442079460000 -q)
        v sandbox advance 10s >/dev/null
        v sandbox hear "$LEG" --fields text
    """

    ran = isolated("bash", "-c", script, options=["--frozen"])

    assert (ran.exit_code, ran.stdout) == (0, "Welcome\n"), ran.stderr


def test_a_program_that_ignores_the_proxy_is_held_too(isolated: Isolated) -> None:
    ask = """
import urllib.error, urllib.request
for opener in urllib.request.build_opener(), urllib.request.build_opener(urllib.request.ProxyHandler({})):
    try:
        opener.open("https://api.nexmo.com/v1/calls", timeout=30)
    except urllib.error.HTTPError as exc:
        print(exc.code)
    except urllib.error.URLError:
        print("not reached")
"""

    ran = isolated(sys.executable, "-c", ask, options=["--intercept"])

    assert ran.stdout.splitlines() == ["401", "not reached"], ran.stderr


def test_the_command_keeps_its_user_and_its_status(isolated: Isolated) -> None:
    ran = isolated("bash", "-c", "id -u; kill -9 $$")

    assert (ran.exit_code, ran.stdout) == (137, f"{os.geteuid()}\n")


def test_a_system_that_permits_no_network_is_refused(bare: Room) -> None:
    marker = bare.home / "has-run"

    ran = after(bare, FORBID, ["--isolate", "--", "touch", str(marker)])

    if ran.exit_code == CANNOT_FORBID:
        pytest.skip("the settings of this system cannot be changed")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "does not permit network namespaces" in ran.stderr
    assert "unprivileged user namespaces" in ran.stderr
    assert not marker.exists()


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(InputError, match="Linux"):
        isolation.enter(unshare=lambda _flags: pytest.fail("left the network"))


def test_allowed_hosts_are_refused(bare: Room) -> None:
    ran = bare.process("sandbox exec --isolate --allow-host example.org -- true")

    assert ran.exit_code == 2
    assert "--isolate and --allow-host cannot be used together" in ran.stderr
