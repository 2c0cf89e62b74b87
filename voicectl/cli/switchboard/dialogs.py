"""The dialogs of the switchboard: a line of text to enter, a question to answer, and text to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from voicectl.cli.output.text import clean
from voicectl.errors import GuardError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult

T = TypeVar("T")
R = TypeVar("R")

MOST_LINES = 10
"""The greatest number of legs that a question lists."""


class Dialog(ModalScreen[R]):
    """A box at the bottom of the screen, above which the table stays visible."""

    DEFAULT_CSS = """
    Dialog { background: $background 0%; align: left bottom; }
    Dialog .box { height: auto; max-height: 100%; background: $surface; border-top: heavy $accent; padding: 0 1; }
    Dialog.-production .box { border-top: heavy $error; }
    Dialog .title { text-style: bold; }
    Dialog .hint { text-style: dim; }
    Dialog .hint.error { color: $error; text-style: bold; }
    Dialog .text { height: auto; max-height: 12; }
    """


class LineDialog(Dialog[T | None]):
    """Asks for a line of text. The result is the value that *take* makes of it, or None if the user has given up.

    Args:
        title: The question.
        hint: The form of the answer.
        take: A function that returns the result for the text, or raises an error, which is shown.
        suggestions: The answers that the key Tab completes.
        is_production: True to mark the dialog as one about a production profile.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Give up"),
        Binding("tab", "complete", "Complete", priority=True),
    ]

    def __init__(
        self,
        title: str,
        *,
        hint: str,
        take: Callable[[str], T],
        suggestions: Sequence[str] = (),
        is_production: bool = False,
    ) -> None:
        super().__init__(classes="-production" if is_production else None)
        self._title = title
        self._hint = hint
        self._take = take
        self._suggestions = [each for each in dict.fromkeys(suggestions) if each == clean(each)]

    def compose(self) -> ComposeResult:
        """Lay out the question, the input, and the line for errors."""
        suggester = SuggestFromList(self._suggestions, case_sensitive=False) if self._suggestions else None
        with Vertical(classes="box"):
            yield Static(Content(clean(self._title)), classes="title")
            yield Input(suggester=suggester, select_on_focus=False, compact=True)
            yield Static(Content(clean(self._hint)), classes="hint")

    def action_complete(self) -> None:
        """Accept the suggestion."""
        line = self.query_one(Input)
        line.action_end()
        line.action_cursor_right()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the result, or show why the text is refused."""
        try:
            result = self._take(event.value)
        except (InputError, GuardError) as exc:
            self._show_error(exc.message)
        else:
            self.dismiss(result)

    def on_input_changed(self) -> None:
        """Show the hint again in place of an error."""
        hint = self.query_one(".hint", Static)
        hint.remove_class("error")
        hint.update(Content(clean(self._hint)))

    def _show_error(self, message: str) -> None:
        hint = self.query_one(".hint", Static)
        hint.add_class("error")
        hint.update(Content("\n".join(map(clean, message.split("\n")))))


class Question(Dialog[bool]):
    """Asks for confirmation. Only ``y`` means yes.

    Args:
        question: The question.
        lines: The legs that it is about.
        is_production: True to mark the question as one about a production profile.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,N,escape,enter,q", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, lines: Sequence[str], *, is_production: bool) -> None:
        super().__init__(classes="-production" if is_production else None)
        self._question = question
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Lay out the question, and the legs below it, where a low terminal cuts them off."""
        shown = [f"  {clean(line)}" for line in self._lines[:MOST_LINES]]
        if len(self._lines) > MOST_LINES:
            shown.append(f"  and {len(self._lines) - MOST_LINES} more")
        with Vertical(classes="box"):
            yield Static(Content(f"{clean(self._question)} [y/N]"), classes="title")
            with VerticalScroll(classes="text"):
                yield Static(Content("\n".join(shown)))


class Reading(Dialog[None]):
    """Shows text until a key is pressed.

    Args:
        title: The line above the text.
        text: The text.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss(None)", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay out the title and the text."""
        with Vertical(classes="box"):
            yield Static(Content(clean(self._title)), classes="title")
            with VerticalScroll(classes="text"):
                yield Static(Content("\n".join(map(clean, self._text.split("\n")))))
            yield Static(Content("y copy   escape close"), classes="hint")

    def action_copy(self) -> None:
        """Copy the text to the clipboard of the terminal."""
        self.app.copy_to_clipboard(self._text)
