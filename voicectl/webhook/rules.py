"""Reads the answers to calls from a file, which contains one NCCO for all calls, or rules.

A call is answered with the NCCO of the first rule that matches the call. The answers are checked and prepared when
the file is read, so that a call can be answered in microseconds. Values from a request are inserted only into the
texts of ``talk`` actions, and all actions are written by a JSON serializer. So a caller cannot change which actions
are run.
"""

from __future__ import annotations

import fnmatch
import json
import math
import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from datetime import date, time
from typing import TYPE_CHECKING, Any

from voicectl.errors import InputError
from voicectl.voice import json_places, templates
from voicectl.voice.json_places import Lines, show
from voicectl.voice.ncco.endpoints import ENDPOINT
from voicectl.voice.ncco.lint import lint, lint_file
from voicectl.voice.ncco.values import nearest
from voicectl.voice.templates import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from voicectl.voice.ncco import Action, Ncco
    from voicectl.voice.ncco.findings import Finding
    from voicectl.voice.templates import Template

MAX_BYTES = 1 << 20
"""The maximum total size of the file of answers and the files that it names, in bytes."""

MAX_RULES = 500
MAX_PATTERN = 256
MAX_LISTED = 10

Stamp = tuple[int, int, int, int]
"""The version of a file: its modification time, metadata change time, size and inode number.

The times are in nanoseconds, and the size is in bytes.
"""

_MAX_BITS = 1024  # in an integer; JSON readers that use floats accept no larger integers
_CONDITIONS = ("to", "from", "direction", "endpoint_type")
_NUMBERS = ("to", "from")
_VALUES = {"direction": ("inbound", "outbound"), "endpoint_type": tuple(ENDPOINT.records)}
_RESULTS = ("ncco", "answer")
_SHAPE = (
    "Write an NCCO as JSON, or [[rule]] tables with the conditions 'to', 'from', 'direction' and 'endpoint_type'"
    ' (all optional) and either ncco = "FILE" or answer = [...].'
)
_BEGINS_AS_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*[{\]])")  # no TOML document begins like this
_WRITTEN_NUMBER = re.compile(r"\+?[0-9][0-9*?]*(?:[ ()./-]+[0-9*?]+)+")  # a phone number as people write it
_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """An NCCO prepared for serving.

    Attributes:
        actions: The NCCO's actions. An action without variables is stored as JSON. An action with variables is stored
            as a pair: the action and the template for its text.
    """

    actions: tuple[bytes | tuple[Action, Template], ...]

    def fill(self, fields: Mapping[str, Any]) -> bytes:
        """Return the NCCO as JSON, with placeholders in its texts replaced by values from the request's *fields*."""
        return b"[%b]" % b",".join(
            each if isinstance(each, bytes) else _json(each[0] | {"text": each[1].fill(fields)})
            for each in self.actions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition on a field of a request.

    The condition is met if the field's value is one of *texts* or matches *patterns*. Case is ignored.

    Attributes:
        name: The name of the field.
        texts: The values that meet the condition.
        patterns: A regular expression that matches other values that meet the condition, or None for no others.
    """

    name: str
    texts: frozenset[str]
    patterns: re.Pattern[str] | None

    def fits(self, value: object) -> bool:
        """Return True if *value* meets the condition. A value that is not a string counts as an empty string."""
        text = _normal(self.name, value[: MAX_PATTERN * 2] if isinstance(value, str) else "")
        return text in self.texts or (self.patterns is not None and self.patterns.match(text) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: conditions, and the NCCO that answers the calls that meet all of them."""

    conditions: tuple[Condition, ...]
    flow: Flow

    def fits(self, fields: Mapping[str, Any], direction: str) -> bool:
        """Return True if a request with the fields *fields*, for a call in *direction*, meets all conditions."""
        return all(
            each.fits(direction if each.name == "direction" else fields.get(each.name))
            for each in self.conditions
        )


@dataclass(slots=True)
class Reading:
    """Reads a file of answers and the files that it names, once.

    Args:
        path: The path of the file of answers.
        allows: A function that is called with each NCCO, and raises an exception if the NCCO must not be used.

    Attributes:
        stamps: The versions of the files, by path. The version of a file that could not be opened is None. The
            versions are also recorded if reading fails.
        warnings: The linter's warnings, each as one line.
    """

    path: Path
    allows: Callable[[Ncco], None]
    stamps: dict[Path, Stamp | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _flows: dict[Path, Flow] = field(default_factory=dict, init=False)
    _size: int = field(default=0, init=False)

    def rules(self) -> tuple[Rule, ...]:
        """Read the files, and return the rules in order.

        Raises:
            VoicectlError: A file is invalid. The message says where the fault is.
        """
        content = self._read(self.path)
        if self.path.suffix.lower() == ".json" or _BEGINS_AS_JSON.match(content):
            return (Rule(conditions=(), flow=self._flow_in(content, str(self.path))),)
        try:
            text = content.decode()
            tables = tomllib.loads(text)
        except UnicodeDecodeError as exc:
            raise InputError(f"{self.path} is not UTF-8.", hint="Save it as UTF-8.") from exc
        except (ValueError, RecursionError) as exc:
            raise InputError(
                f"{self.path} is neither an NCCO nor TOML: {exc}.".replace("..", "."), hint=_SHAPE
            ) from exc
        return self._rules_in(tables, text)

    def _rules_in(self, tables: dict[str, Any], text: str) -> tuple[Rule, ...]:
        for name in tables:
            if name != "rule":
                raise InputError(f"{self.path} has an unknown key {name[:MAX_PATTERN]!r}.", hint=_SHAPE)
        given = tables.get("rule", [])
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise InputError(
                f"{self.path}: a rule must begin with [[rule]], in double brackets.", hint=_SHAPE
            )
        if not given:
            raise InputError(f"{self.path} has no rules.", hint=_SHAPE)
        if len(given) > MAX_RULES:
            raise InputError(f"{self.path} has {len(given)} rules; at most {MAX_RULES} are allowed.")
        lines = [text.count("\n", 0, found.start()) + 1 for found in _HEADER.finditer(text)]
        rules: list[Rule] = []
        for index, table in enumerate(given):
            line = f" (line {lines[index]})" if len(lines) == len(given) else ""
            where = f"{self.path}, rule {index + 1}{line}"
            if rules and not rules[-1].conditions:
                raise InputError(
                    f"{where} is never reached: rule {index} matches all calls.",
                    hint="Put the rule without conditions last.",
                )
            rules.append(self._rule(table, where))
        return tuple(rules)

    def _rule(self, table: dict[str, Any], where: str) -> Rule:
        for name in table:
            if name not in (*_CONDITIONS, *_RESULTS):
                near = nearest(name, (*_CONDITIONS, *_RESULTS))
                hint = f"Did you mean {near}?" if near else f"Keys: {', '.join((*_CONDITIONS, *_RESULTS))}."
                raise InputError(f"{where} has an unknown key {name[:MAX_PATTERN]!r}.", hint=hint)
        conditions = tuple(
            _condition(name, table[name], f"{where}: {name}") for name in _CONDITIONS if name in table
        )
        if len(table.keys() & set(_RESULTS)) != 1:
            fault = "both ncco and answer" if "ncco" in table else "neither ncco nor answer"
            raise InputError(
                f"{where} has {fault}.", hint='Give one: ncco = "welcome.json", or answer = [ ... ].'
            )
        if "answer" in table:
            return Rule(conditions=conditions, flow=self._flow(table["answer"], f"{where}: answer"))
        name = table["ncco"]
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: ncco is not a file name.", hint='Write ncco = "welcome.json".')
        path = self.path.parent / name
        if path not in self._flows:
            try:
                content = self._read(path)
            except InputError as exc:
                raise InputError(f"{where}: {exc.message}", hint=exc.hint) from exc
            self._flows[path] = self._flow_in(content, f"{where}: {path}")
        return Rule(conditions=conditions, flow=self._flows[path])

    def _flow_in(self, content: bytes, where: str) -> Flow:
        """Prepare and return the NCCO in *content*. Errors give the line and column: ``welcome.json:2:43: ...``."""
        before = f"{where}:"
        self._judge(
            before,
            [
                (finding.is_error, f"{line}:{column}: {_finding_line(finding)}")
                for finding, line, column in lint_file(content)
            ],
        )
        text = content.decode()
        document = json_places.read(text)
        lines = Lines(text)

        def place(path: json_places.Path) -> str:
            line, column = lines.place(document.offsets[path])
            return f"{before}{line}:{column}"

        return self._prepare(document.value, place)

    def _flow(self, value: Any, where: str) -> Flow:
        """Prepare and return the NCCO *value*, which is written in a rule itself rather than in a file of its own."""
        _check_is_json(value, where)
        self._judge(f"{where}: ", [(finding.is_error, _finding_line(finding)) for finding in lint(value)])
        return self._prepare(value, lambda _: where)

    def _judge(self, before: str, findings: list[tuple[bool, str]]) -> None:
        """Add the warnings among *findings* to :attr:`warnings`, and raise one exception for all the errors.

        Args:
            before: The text to put before the text of each finding.
            findings: The findings, as pairs of a flag and a text. The flag is True for an error.
        """
        self.warnings += [before + text for is_error, text in findings if not is_error]
        errors = [text for is_error, text in findings if is_error]
        if errors:
            more = len(errors) - MAX_LISTED
            text = "; ".join(errors[:MAX_LISTED]) + (f"; and {more} more" if more > 0 else "")
            raise InputError(before + text, hint="Correct the NCCO. To check it: voicectl ncco lint FILE")

    def _prepare(self, flow: Ncco, place: Callable[[json_places.Path], str]) -> Flow:
        """Return an NCCO prepared for serving.

        Args:
            flow: The NCCO, in which the linter has found no errors.
            place: A function that takes a path in the NCCO and returns a description of its position, for error
                messages.
        """
        self.allows(flow)
        actions: list[bytes | tuple[Action, Template]] = []
        for index, action in enumerate(flow):
            spoken = (index, "text") if action["action"] == "talk" else None
            for path, text in json_places.texts(action, (index,)):
                if path != spoken and templates.has_variable(text):
                    raise InputError(
                        f"{place(path)}: {show(path)} has a variable; only the text of a talk action may have one.",
                        hint="Callers control the values of variables, so variables are allowed only in spoken text.",
                    )
            if spoken is None:
                actions.append(_json(action))
                continue
            try:
                read = templates.read(action["text"])
            except TemplateError as exc:
                raise InputError(f"{place(spoken)}: {show(spoken)}: {exc.message}", hint=exc.hint) from exc
            actions.append((action, read) if read.names else _json(action | {"text": read.literals[0]}))
        return Flow(actions=tuple(actions))

    def _read(self, path: Path) -> bytes:
        """Return a file's content, and record its version. The file's size is limited, and reading does not block."""
        self.stamps[path] = None
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not a file name"
            raise InputError(f"{path} cannot be read: {why}.", hint="Check the path.") from exc
        try:
            found = os.fstat(handle)
            self.stamps[path] = _stamp(found)
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{path} is not a file.", hint="Check the path.")
            with os.fdopen(handle, "rb", closefd=False) as file:
                content = file.read(MAX_BYTES - self._size + 1)
        except OSError as exc:
            raise InputError(f"{path} cannot be read: {exc.strerror}.") from exc
        finally:
            os.close(handle)
        self._size += len(content)
        if self._size > MAX_BYTES:
            raise InputError(
                f"{path} is too large: the answers may be at most 1 MiB in total.",
                hint="Make the files smaller.",
            )
        return content


def stamp(path: Path) -> Stamp | None:
    """Return the version of the file at *path*, or None if there is no such file."""
    try:
        return _stamp(path.stat())
    except (OSError, ValueError):
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _condition(name: str, value: Any, where: str) -> Condition:
    given = value if isinstance(value, list) else [value]
    if not given or not all(isinstance(each, str) and len(each) <= MAX_PATTERN for each in given):
        raise InputError(
            f"{where} is not a string of at most {MAX_PATTERN} characters, or an array of such strings.",
            hint='Write it in quotes: "447700900001", or "4477*", or ["4420*", "4477*"].',
        )
    for each in given:
        if name in _NUMBERS and _WRITTEN_NUMBER.fullmatch(each):
            raise InputError(
                f"{where}: {each!r} matches no call: the platform sends numbers as digits only.",
                hint=f'Write it as "{re.sub(r"[^0-9*?]", "", each)}".',
            )
        known = _VALUES.get(name)
        if known and "*" not in each and "?" not in each and each.lower() not in known:
            near = nearest(each, known)
            hint = f'Did you mean "{near}"?' if near else f"Use one of: {', '.join(known)}."
            raise InputError(f"{where}: {each!r} is not a known value.", hint=hint)
    wild = [_normal(name, each) for each in given if "*" in each or "?" in each]
    joined = "|".join(fnmatch.translate(each.replace("[", "[[]")) for each in wild)
    return Condition(
        name=name,
        texts=frozenset(_normal(name, each) for each in given if "*" not in each and "?" not in each),
        patterns=re.compile(joined) if wild else None,
    )


def _normal(name: str, text: str) -> str:
    """Return *text* in the form used for comparisons: in lower case and, for a number, without a leading ``+``."""
    lowered = text.lower()
    return lowered.removeprefix("+") if name in _NUMBERS else lowered


def _check_is_json(value: Any, where: str) -> None:
    """Check that a TOML value can be sent as JSON.

    This is not always possible: TOML has dates, and does not limit the size of numbers or the depth of nesting.
    """
    level = [value]
    for _ in range(json_places.MAX_DEPTH + 1):
        for each in level:
            if isinstance(each, date | time) or (isinstance(each, float) and not math.isfinite(each)):
                raise InputError(
                    f"{where} has {each}, which JSON does not support.", hint="Put it in quotes."
                )
            if isinstance(each, int) and each.bit_length() > _MAX_BITS:
                raise InputError(
                    f"{where} has a number of {each.bit_length()} bits, which is too large.",
                    hint="Put it in quotes.",
                )
        level = [
            inside
            for each in level
            if isinstance(each, dict | list)
            for inside in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise InputError(
        f"{where} is nested more than {json_places.MAX_DEPTH} levels deep.", hint="Reduce the nesting."
    )


def _finding_line(finding: Finding) -> str:
    return f"{finding.severity}: {show(finding.path)}: {finding.message} {finding.hint}"


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
