"""Failures as pytest shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from voicectl.cli.output.text import clean
from voicectl.core.scenarios.kinds import Problems

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.core.scenarios.kinds import Kind


def printable(lines: Iterable[str]) -> str:
    """Return lines from outside as one text that is safe to show."""
    return "\n".join(clean(line) for line in lines)


def failure(message: str, *, pytrace: bool = False) -> BaseException:
    """Return the exception to raise so that the running test fails.

    Args:
        pytrace: True to show the line of the test. Functions that set ``__tracebackhide__`` are left out.
    """
    return pytest.fail.Exception(printable(message.splitlines()), pytrace=pytrace)


def read(kind: Kind, value: Any) -> Any:
    """Return *value* as *kind* reads it. If it has mistakes, fail the running test."""
    __tracebackhide__ = True
    problems = Problems()
    found = kind.read(value, (), problems)
    if problems:
        mistakes = (
            f"{'.'.join(map(str, each.path))}: {each.message} {each.hint}".strip(": ") for each in problems
        )
        raise failure("\n".join(mistakes), pytrace=True)
    return found
