"""The line in which the filter is typed, and the list of the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from textual.app import ComposeResult


class FilterLine(Input):
    """The line in which the filter is typed. It is hidden until the key ``/`` is pressed."""

    DEFAULT_CSS = """
    FilterLine { display: none; height: 1; border: none; padding: 0; }
    FilterLine:focus { border: none; }
    """

    def __init__(self) -> None:
        super().__init__(placeholder="Words, or to: from: status: direction: room: age:", compact=True)
        self._before = ""

    def open(self, text: str) -> None:
        """Show the line, to change the filter *text*."""
        self._before = text
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        self.focus()

    def close(self) -> str:
        """Hide the line, and return the filter that there was when it was opened."""
        self.display = False
        return self._before


class KeyList(ModalScreen[None]):
    """The list of the keys.

    Args:
        groups: Pairs of a key and what it does, by the title of their group.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Close")]

    DEFAULT_CSS = """
    KeyList { align: center middle; }
    KeyList > VerticalScroll { width: auto; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        border: round $primary; background: $surface; }
    KeyList Static { width: auto; }
    """

    def __init__(self, groups: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        super().__init__()
        self._groups = groups

    def compose(self) -> ComposeResult:
        """Yield the list."""
        width = max(len(key) for group in self._groups.values() for key, _ in group)
        lines: list[str] = []
        for title, group in self._groups.items():
            if group:
                lines += ["", title] if lines else [title]
                lines += [f"  {key:{width}}  {what}" for key, what in group]
        with VerticalScroll():
            yield Static("\n".join(lines), markup=False)


def shown_keys(bindings: Iterable[BindingType]) -> list[tuple[str, str]]:
    """Return pairs of the keys of a binding, as they are printed on a keyboard, and what they do."""
    return [(_displayed(each.key), each.description) for each in bindings if isinstance(each, Binding)]


def _displayed(keys: str) -> str:
    """Return the names of keys as they are printed on a keyboard."""
    names = {
        "question_mark": "?",
        "slash": "/",
        "asterisk": "*",
        "minus": "-",
        "pageup": "PgUp",
        "pagedown": "PgDn",
    }
    arrows = {"up": "↑", "down": "↓", "left": "←", "right": "→"}
    return " ".join((names | arrows).get(key, key) for key in keys.split(","))
