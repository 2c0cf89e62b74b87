"""Completion in real shells (bash, zsh and fish) on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import StartRoom
from tests.support.room import PERSON, Room
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.clock import SystemClock
from voicectl.core.identity.profiles import ProfileStore
from voicectl.store.action_log import ActionLog

COMPLETIONS = Path(__file__).parent.parent.parent / "completions"
OTHER = "447700900002"
OTHER_LEG = "11111111-5e6f-4788-99aa-bbccddeeff00"
TAB = "\t"
LINE_START = "\x01"
CUT = "\x0b"

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x07")

SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        "bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'; bind 'set page-completions off'"
        f"; source {COMPLETIONS}/voicectl.bash",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"unsetopt zle_bracketed_paste beep prompt_sp; LISTMAX=0; bindkey -e; fpath=({COMPLETIONS} $fpath)"
        "; autoload -Uz compinit; compinit -u -D",
    ),
}


class Terminal:
    """A shell at a terminal.

    Attributes:
        shown: The output since the last wait, without control sequences.
    """

    def __init__(self, descriptor: int) -> None:
        self.shown = ""
        self._descriptor = descriptor
        self._lines = 0

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def wait_for(self, text: str) -> str:
        """Read until *text* is shown, and return the output before it."""
        self._read_until(re.escape(text))
        before, _, self.shown = self.shown.partition(text)
        return before

    def _read_until(self, *patterns: str) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not all(re.search(each, self.shown) for each in patterns):
            left = give_up - time.monotonic()
            assert left > 0, f"{patterns} were never shown: {self.shown!r}"
            if select.select([self._descriptor], [], [], left)[0]:
                self.shown += _CONTROL.sub("", os.read(self._descriptor, 65_536).decode("utf-8", "replace"))

    def completed(self, line: str) -> list[str]:
        """The words that *line*, which ends with a TAB, has become: they are shown instead of run."""
        self._lines += 1
        self.type(f"{line}{LINE_START}print{self._lines} \r")
        self.wait_for(f"\nline {self._lines}")
        return self.wait_for("end\n").split("\n")[1:-1]

    def listed(self, line: str, *patterns: str) -> None:
        """Wait until all *patterns* are shown below *line*, once its words are listed; the line is then dropped."""
        self.shown = ""
        self.type(
            line + TAB * 3
        )  # the first may add to the line, and a list follows only where nothing was added
        self._read_until(*patterns)
        self.completed(LINE_START + CUT)


@contextmanager
def at(shell: str, room: Room) -> Iterator[Terminal]:
    command, setup = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    ours, theirs = pty.openpty()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = room.environ | {"PATH": path, "TERM": "xterm", "LANG": "C.UTF-8"}
    show = "print{0}() {{ echo line {0}; printf '%s\\n' \"$@\"; echo end; }}"
    shows = "; ".join(show.format(number) for number in range(10))
    (room.home / "setup").write_text(
        f"PS1='==> '; PS2=; stty cols 300 rows 50 -echo; {shows}; {setup}; stty echo\n"
    )
    with subprocess.Popen(
        command,
        env=environ,
        cwd=room.home,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as child:
        os.close(theirs)
        try:
            terminal = Terminal(ours)
            terminal.type(". ./setup; print0\r")
            terminal.wait_for("line 0")
            yield terminal
        finally:
            child.kill()
            os.close(ours)


@pytest.fixture
def legs(start_room: StartRoom) -> tuple[Room, list[str]]:
    """A machine with two live calls, on the real clock, which a shell uses."""
    room = start_room(clock=SystemClock())
    calls = [f"call create --to {number} --talk Hello -q" for number in (PERSON, OTHER)]
    return room, [room(call).stdout.strip() for call in calls]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_legs_profiles_and_numbers(
    shell: str, legs: tuple[Room, list[str]]
) -> None:
    room, (first, _) = legs
    with at(shell, room) as terminal:
        assert terminal.completed("voicectl earm" + TAB) == ["voicectl", "earmuff"]
        assert terminal.completed(f"voicectl mute {first[:6]}" + TAB) == ["voicectl", "mute", first]
        assert terminal.completed("voicectl -p te" + TAB) == ["voicectl", "-p", "test"]
        assert terminal.completed("voicectl call list --profile=te" + TAB)[-1] == "--profile=test"
        assert terminal.completed(f"voicectl hangup to:{OTHER[:-1]}2" + TAB)[-1] == f"to:{OTHER}"
        assert terminal.completed("X=1 voicectl wait --for bu" + TAB)[-1] == "busy"
        assert terminal.completed("voicectl talk --file set" + TAB)[-1] == "setup"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_shows_the_number_of_a_leg(shell: str, legs: tuple[Room, list[str]]) -> None:
    room, uuids = legs
    described = [
        rf"{uuid}  \(to {number}, ([a-z]+, )?[0-9]+[sm]"
        for uuid, number in zip(uuids, (PERSON, OTHER), strict=True)
    ]
    with at(shell, room) as terminal:
        terminal.listed("voicectl mute ", *described)


@pytest.mark.parametrize("shell", SHELLS)
def test_text_from_outside_is_never_run(shell: str, start_room: StartRoom) -> None:
    room = start_room(clock=SystemClock())
    evil = "a$(touch pwned)`touch pwned`;touch pwned;b"
    control = room.home / "control"
    control.mkdir()
    subprocess.run(["sh", "-c", f"echo {evil}"], cwd=control, check=False, capture_output=True)
    assert (control / "pwned").exists()

    calls = [["call", "create", "--to", f"app:{each}", "--talk", "Hi", "-q"] for each in (evil, "b", "c")]
    legs = [room(call).stdout.strip() for call in calls]
    ActionLog(room.state / ProfileStore(room.config).get("test").application_id).add(
        time.time(), legs[0], "move", detail={"room": evil}
    )
    with at(shell, room) as terminal:
        assert terminal.completed("voicectl call create --join a" + TAB)[-1] == evil
        terminal.listed("voicectl mute ", re.escape(f"(to {evil}, "))

    assert not (room.home / "pwned").exists()


def moved_to(room: Room, *names: str) -> None:
    """Note that a leg was moved to rooms of these names."""
    directory = room.state / ProfileStore(room.config).get("test").application_id
    directory.mkdir(parents=True)
    for name in names:
        ActionLog(directory).add(time.time(), OTHER_LEG, "move", detail={"room": name})


@pytest.mark.parametrize("shell", SHELLS)
def test_a_word_that_begins_with_a_quote_completes_correctly(shell: str, room: Room) -> None:
    moved_to(room, "z $(id)", "two words", "plain:17")
    with at(shell, room) as terminal:
        for quote in "'\"":
            show = f"voicectl conversation show {quote}"
            assert terminal.completed(f"{show}two w" + TAB) == [
                "voicectl",
                "conversation",
                "show",
                "two words",
            ]
            assert terminal.completed(f"{show}plain:1" + TAB)[-1] == "plain:17"
        assert terminal.completed("voicectl conversation show 'z" + TAB)[-1] == "z $(id)"
        assert terminal.completed("voicectl call create --join two" + TAB)[-1] == "two words"
        assert terminal.completed("voicectl call create --join='two" + TAB)[-1] == "--join=two words"


def test_bash_offers_no_word_that_double_quotes_would_change(room: Room) -> None:
    moved_to(room, "z$(id)", "z`id`", "zone")
    with at("bash", room) as terminal:
        assert terminal.completed('voicectl conversation show "z' + TAB)[-1] == "zone"


def fish(room: Room, line: str) -> dict[str, str]:
    """Return the words that fish offers at the end of *line*, with their descriptions."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    script = f"source {COMPLETIONS}/voicectl.fish; complete --do-complete (cat line)"
    (room.home / "line").write_text(line)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = room.environ | {"PATH": path, "LANG": "C.UTF-8"}
    ran = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environ,
        cwd=room.home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    pairs = (each.partition("\t") for each in ran.stdout.splitlines())
    return {word: about for word, _, about in pairs}


def test_fish_completes_and_describes(legs: tuple[Room, list[str]]) -> None:
    room, (first, last) = legs

    assert fish(room, "voicectl earm") == {"earmuff": "Keep a leg from hearing the other parties."}
    assert list(fish(room, "voicectl mute ")) == [last, first]
    assert fish(room, "voicectl mute ")[first].startswith(f"to {PERSON}, ")
    assert list(fish(room, "voicectl call list --profile=te")) == ["--profile=test"]
    assert list(fish(room, f"voicectl hangup to:{OTHER[:-1]}2")) == [f"to:{OTHER}"]
    assert "line" in fish(room, "voicectl talk --file li")
