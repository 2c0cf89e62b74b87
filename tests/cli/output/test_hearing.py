"""The table of who hears whom at several widths."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from voicectl.cli.output.fit import columns
from voicectl.cli.output.hearing import Party, draw
from voicectl.cli.output.text import cut_for

LEGS = [f"{digit * 8}-5e6f-4788-99aa-bbccddeeff00" for digit in "123"]
PARTIES = [
    Party(leg, name) for leg, name in zip(LEGS, ("447700900001", "442079460000", "sip:a@x.org"), strict=True)
]
VERDICTS = [[".", "yes", "?"], ["no", ".", "?"], ["?", "?", "."]]

WIDE = """\
hears                     1             2             3
                          11111111      22222222      33333333
                          447700900001  442079460000  sip:a@x.org
1 11111111  447700900001  .             yes           ?
2 22222222  442079460000  no            .             ?
3 33333333  sip:a@x.org   ?             ?             .

. the leg itself
? unknown; -o json shows why
"""
MIDDLE = """\
hears                     1         2         3
                          11111111  22222222  33333333
                          \u20260900001  \u20269460000  sip:a@x\u2026
1 11111111  447700900001  .         yes       ?
2 22222222  442079460000  no        .         ?
3 33333333  sip:a@x.org   ?         ?         .

. the leg itself
? unknown; -o json shows why
"""
NARROW = """\
hears                     1   2   3
1 11111111  447700900001  .   yes ?
2 22222222  442079460000  no  .   ?
3 33333333  sip:a@x.org   ?   ?   .

. the leg itself
? unknown; -o json shows why
"""


@pytest.mark.parametrize(
    ("width", "shown"), [(200, WIDE), (80, WIDE), (56, MIDDLE), (55, NARROW), (40, NARROW)]
)
def test_the_axes_show_numbers_and_short_ids_if_there_is_room(width: int, shown: str) -> None:
    assert draw(PARTIES, VERDICTS, width) == shown
    assert re.sub("\x1b\\[[0-9;]*m", "", draw(PARTIES, VERDICTS, width, is_colored=True)) == shown


@pytest.mark.parametrize("width", [0, 1, 20, 30, 60, 80])
def test_more_legs_than_fit_are_continued_below(width: int) -> None:
    many = [Party(f"{number:08x}-5e6f-4788-99aa-bbccddeeff00", "\u5c71" * 9) for number in range(30)]
    verdicts = [["." if one == other else "yes" for other in range(30)] for one in range(30)]
    lines = draw(many, verdicts, width).splitlines()

    assert sum(line.count("yes") for line in lines) == 30 * 29
    assert max(map(columns, lines)) <= max(width, 18)


def test_if_the_locale_has_no_ellipsis_another_character_replaces_it(tmp_path: Path) -> None:
    with (tmp_path / "latin").open("w", encoding="latin-1") as stream:
        cut = cut_for(stream)

    assert draw(PARTIES, VERDICTS, 56, cut=cut) == MIDDLE.replace("\u2026", "~")
    assert cut_for(sys.stdout) == "\u2026"


def test_no_entry_is_red() -> None:
    """A leg that does not hear another is not an error."""
    shown = draw(PARTIES, VERDICTS, 80, is_colored=True)

    assert "\x1b[32myes\x1b[0m" in shown
    assert "\x1b[33m?\x1b[0m" in shown
    assert "\x1b[31m" not in shown
