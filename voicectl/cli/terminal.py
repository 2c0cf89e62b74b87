"""The standard streams of a command: reading input, asking questions, writing results."""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import typer

from voicectl import times
from voicectl.cli.output.fields import parse_fields
from voicectl.cli.output.text import clean, cut_for, has_screen, is_terminal, may_color, remark
from voicectl.cli.output.writer import Format, View, Writer
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_INPUT_BYTES = 1 << 20

_PHONE_NUMBER = re.compile(r"(?<![0-9a-f-])\+?[1-9][0-9]{6,14}(?![0-9a-f-])")


@dataclass(slots=True)
class Options:
    """The options that every command takes, before or after its name.

    Attributes:
        template: The text of the template, if *output* is ``TEMPLATE``.
    """

    profile: str | None = None
    output: Format | None = None
    template: str | None = None
    quiet: bool = False
    fields: str | None = None
    request_timeout: str | None = None
    ca_file: str | None = None
    dry_run: bool = False
    yes: bool = False
    debug: bool = False
    utc: bool = False


class Terminal:
    """Reads standard input, asks questions, and writes results and remarks.

    Args:
        environ: The environment variables.
        read_hidden: A function that asks a question and returns the answer without echoing it.
        now: A function that returns the current time in Unix seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        options: Options,
        read_hidden: Callable[[str], str],
        now: Callable[[], float],
    ) -> None:
        self._environ = environ
        self._options = options
        self._read_hidden = read_hidden
        self._now = now
        self._stdin_user = ""

    @property
    def can_ask(self) -> bool:
        """True if the user can see a question and answer it."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)

    @property
    def may_color(self) -> bool:
        """True if colors and styles such as bold may be written to standard output."""
        return may_color(self._environ, sys.stdout)

    @property
    def has_screen(self) -> bool:
        """True if standard output is a terminal on which the cursor can be moved."""
        return has_screen(self._environ, sys.stdout)

    @property
    def is_local(self) -> bool:
        """True if times are shown in the local time zone, as they are on a terminal unless ``--utc`` is given."""
        return is_terminal(sys.stdout) and not self._options.utc

    @property
    def cut(self) -> str:
        """The character that marks where text was cut off, in a form that standard output can encode."""
        return cut_for(sys.stdout)

    def ask(self, question: str, *, is_hidden: bool = False) -> str:
        """Ask a question on standard error, because standard output is for results, and return the answer.

        The question ends with a mark such as ``:``, unless the answer is hidden.

        Args:
            is_hidden: True if the answer should not be echoed.
        """
        if is_hidden:
            with suppress(EOFError):
                return self._read_hidden(f"{question}: ").strip()
            return ""
        sys.stderr.write(f"{clean(question)} ")
        sys.stderr.flush()
        line = ""
        try:
            line = sys.stdin.readline()
        finally:
            if not line.endswith("\n"):  # let the next remark start on a new line
                sys.stderr.write("\n")
        return line.strip()

    def read_stdin(self, what: str) -> bytes:
        """Read and return all of standard input. A command can call this method only once.

        Args:
            what: A description of the expected content, for error messages.

        Raises:
            InputError: Standard input has already been read, is closed, or is larger than 1 MiB.
        """
        self._claim_stdin(what)
        content = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        if len(content) > MAX_INPUT_BYTES:
            raise InputError(f"Standard input is over 1 MiB; it should contain {what}.")
        return content

    def open_stdin(self, what: str) -> IO[bytes]:
        """Return standard input as a stream of bytes, which may be of any length. Like :meth:`read_stdin`, only once.

        Raises:
            InputError: Standard input has already been read, or is closed.
        """
        self._claim_stdin(what)
        return sys.stdin.buffer

    def read_input(self, name: str, what: str) -> bytes:
        """Return the content of the file *name*, or of standard input if *name* is ``-``.

        Raises:
            InputError: The input cannot be read, or is larger than 1 MiB.
        """
        if name == "-":
            return self.read_stdin(what)
        if not name:
            raise InputError(f"The name of the file that should contain {what} is empty.")
        try:
            with Path(name).open("rb") as file:
                content = file.read(MAX_INPUT_BYTES + 1)
        except OSError as exc:
            raise InputError(f"{name} cannot be read: {exc.strerror}.", hint="Check the path.") from exc
        if len(content) > MAX_INPUT_BYTES:
            raise InputError(f"{name} is over 1 MiB.", hint=f"It should contain {what}.")
        return content

    def _claim_stdin(self, what: str) -> None:
        if self._stdin_user:
            raise InputError(
                f"Standard input cannot hold both {self._stdin_user} and {what}.", hint="Use - only once."
            )
        self._stdin_user = what
        if sys.stdin is None:
            raise InputError(f"Standard input is closed; it should contain {what}.")

    def write(self, text: str) -> None:
        """Write plain *text* to standard output and flush it."""
        if sys.stdout is None:
            raise OSError("standard output is closed")
        sys.stdout.write(text)
        sys.stdout.flush()

    def debug(self, line: str) -> None:
        """Write *line* to standard error, with telephone numbers masked, if ``--debug`` was given."""
        if self._options.debug:
            remark("debug: " + _PHONE_NUMBER.sub("<number>", line))

    def writer(self, view: View, *, is_many: bool, is_open: bool = False) -> Writer:
        """Return a writer for the command's records. With ``--fields help``, print the fields and exit instead.

        Args:
            is_open: True if records may have fields that *view* does not list, as for :class:`.Writer`.

        Raises:
            InputError: ``--fields`` or the template is malformed, or names an unknown field.
        """
        options = self._options
        if options.fields == "help":
            self.write("\n".join(view.fields) + "\n")
            raise typer.Exit
        if options.fields is not None and options.template is not None:
            raise InputError(
                "--fields and -o template= cannot be used together.", hint="Give only one of them."
            )
        template = None
        if options.template is not None:
            from voicectl.cli.output.template import Template  # noqa: PLC0415 (for this format only)

            template = Template(options.template)
        is_seen = self._is_for_people
        return Writer(
            sys.stdout,
            view,
            self.format,
            is_many=is_many,
            fields=None if options.fields is None else parse_fields(options.fields),
            is_quiet=options.quiet,
            is_colored=self.may_color,
            template=template,
            width=shutil.get_terminal_size().columns if is_seen else None,
            show_time=self.local_time if is_seen and not options.utc else None,
            is_open=is_open,
        )

    def local_time(self, moment: str | float) -> str:
        """Return a time as it is shown: short and local on a terminal, and in UTC elsewhere or with ``--utc``.

        Args:
            moment: An RFC 3339 date-time, or Unix seconds. Other texts are returned unchanged.
        """
        text = moment if isinstance(moment, str) else times.utc(moment)
        is_local = self._is_for_people and not self._options.utc
        return times.local(text, now=self._now()) if is_local else text

    @property
    def has_table(self) -> bool:
        """True if several records are drawn as a table on a terminal."""
        return self.format.is_table and is_terminal(sys.stdout) and not self._options.quiet

    @property
    def _is_for_people(self) -> bool:
        """True if values are shortened, because the output is drawn on a terminal and not ``wide``."""
        return self.format is Format.TABLE and is_terminal(sys.stdout)

    def stream_records(self) -> None:
        """Choose a format that shows each record immediately, for a command that runs until it is stopped."""
        if self.format is Format.JSON:
            self._options.output = Format.JSONL
        elif self.format.is_table and self._options.fields:
            self._options.output = Format.TSV

    @property
    def format(self) -> Format:
        """The output format, from ``--output`` or, on a terminal, from ``VOICECTL_OUTPUT``.

        The default is a table on a terminal, and TSV elsewhere.
        """
        chosen = self._options.output
        is_read_by_people = is_terminal(sys.stdout)
        if chosen is None and is_read_by_people and self._environ.get("VOICECTL_OUTPUT"):
            names = [each for each in Format if each is not Format.TEMPLATE]
            if self._environ["VOICECTL_OUTPUT"] not in names:
                raise InputError(
                    "The value of VOICECTL_OUTPUT is not an output format.",
                    hint=f"Use one of {', '.join(names)}.",
                )
            chosen = Format(self._environ["VOICECTL_OUTPUT"])
        if chosen is None or chosen is Format.AUTO:
            return Format.TABLE if is_read_by_people else Format.TSV
        return chosen

    @property
    def has_json_errors(self) -> bool:
        """True if errors are written as JSON."""
        return self._options.output in (Format.JSON, Format.JSONL)
