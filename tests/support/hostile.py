"""Texts that attackers can send, and the characters that must not remain when they are shown."""

from __future__ import annotations

import unicodedata

HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[H",
    "colours": "\x1b[31mred\x1b[0m",
    "sets the title": "\x1b]0;owned\x07",
    "copies to the clipboard": "\x1b]52;c;Y3VybA==\x07",
    "is a link to elsewhere": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "asks the terminal to answer": "\x1b[6n\x1b[c\x1bP$qm\x1b\\",
    "C1 control sequence": "\x9b31m\x9d0;x\x9c\x85",
    "goes back": "real\rfake\x08\x08\x7f",
    "is a new record": "x\n0ddc8343-1d1f-4495-96d9-6c55ef4dd5e2\tcompleted",
    "NUL and bell": "a\0b\x07c",
    "turns around": "\u202e10000907744\u202c\u2066x\u2069\u061c\u200f",
    "is not seen": "44\u200b77\u200c00\u200d90\u2060\ufeff00\u00ad0\u034f1\u3164\u115f\uffa0\ufe0f\u180e",
    "other line ends": "a\u2028b\u2029c\x0bd\x0ce\x1cf",
    "tags": "\U000e0001\U000e0041\U000e007f\U000e0100",
    "lone surrogates": "\ud800x\udfff",
    "formula": '=HYPERLINK("https://evil.example","x")',
    "other formulas": "+441@x",
    "full-width formula": "\uff1dcmd()",
    "markup": "[bold red]x[/] :smile: <b>&amp;",
    "template": "{uuid} %s ${x} $(touch /tmp/x) `x`",
    "a list of its own": "a,b;c\td\"e'f\\",
    "letters": "Zo\u00eb \u5c71\u7530 \u0645\u0631\u062d\u0628\u0627",
}
"""Hostile texts, by their effect or their attempt."""

_CONTROL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SHOWN_AS_NOTHING = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {
    chr(code)
    for start, end in ((0xFE00, 0xFE0F), (0x180B, 0x180F), (0xE0100, 0xE01EF))
    for code in range(start, end + 1)
}


def unsafe(text: str) -> set[str]:
    """Return characters of *text* that act on a terminal, reorder it or are invisible, except line ends and tabs."""
    return {
        character
        for character in text
        if character not in "\n\t"
        and (unicodedata.category(character) in _CONTROL or character in _SHOWN_AS_NOTHING)
    }
