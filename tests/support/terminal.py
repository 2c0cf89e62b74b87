"""Commands on a real terminal."""

from __future__ import annotations

import os
import pty
import select
import shlex

from .room import Room
from .waiting import PATIENCE_SECONDS

END_OF_INPUT = "\x04"


def converse(room: Room, line: str, answers: list[tuple[str, str]]) -> tuple[int, str, str]:
    """Run a command with standard input and error at a terminal and standard output in a pipe.

    Args:
        answers: Texts to type, each after the prompt that it answers: ``("[y/N]", "y\\n")``.

    Returns:
        The exit status, standard output, and all that the terminal showed.
    """
    ours, theirs = pty.openpty()
    shown = ""
    with room.spawn(shlex.split(line), stdin=theirs, stderr=theirs, start_new_session=True) as child:
        os.close(theirs)
        try:
            for awaited, typed in answers:
                while awaited not in shown:
                    more = _read(ours, PATIENCE_SECONDS)
                    assert more, f"{awaited!r} was never shown: {shown!r}"
                    shown += more
                os.write(ours, typed.encode())
            out, _ = child.communicate(timeout=PATIENCE_SECONDS)
            while more := _read(ours, 0):
                shown += more
        finally:
            os.close(ours)  # otherwise this would wait for a child that still reads
    return child.returncode, out.decode(), shown


def _read(terminal: int, seconds: float) -> str:
    """Return the next output; empty if none comes in time or the command has ended."""
    if not select.select([terminal], [], [], seconds)[0]:
        return ""
    try:
        return os.read(terminal, 4096).decode()
    except OSError:  # the other end is closed
        return ""
