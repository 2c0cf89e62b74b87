"""The kinds of values that a scenario file can hold: each reads a value, and describes itself as a JSON Schema."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from voicectl import times
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
"""The keys and indexes that lead from the root of a file to a value."""

Schema = dict[str, Any]

_TYPES = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    list: "an array",
    dict: "a table",
}


class Problem(NamedTuple):
    """A mistake in a scenario file, at the value that *path* leads to."""

    path: Path
    message: str
    hint: str = ""


class Problems(list[Problem]):
    """All mistakes found so far, in the order in which they were found."""

    def add(self, path: Path, message: str, hint: str = "") -> None:
        """Add a mistake."""
        self.append(Problem(path, message, hint))


class Kind(Protocol):
    """A kind of value.

    After a mistake, ``read`` returns any value, which is not used because the file is refused.
    """

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Convert *value*, as tomllib returns it, or add a problem."""
        ...

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the JSON Schema of the value. Schemas that others refer to are added to *definitions*."""
        ...


def _any_of(*schemas: Schema) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _or_variable(*schemas: Schema) -> Schema:
    """Return a schema that also accepts the name of a variable in braces."""
    return _any_of(*schemas, {"type": "string", "pattern": r"\{[A-Za-z_][A-Za-z0-9_]*\}"})


def _wrong_type(value: Any, path: Path, problems: Problems, expected: str) -> None:
    found = _TYPES.get(type(value), "a date or time")
    problems.add(path, f"Expected {expected}, not {found}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text, which must match *pattern* if there is one.

    Attributes:
        right: A description of right values.
        values: The only values, or an empty tuple.
        may_be_number: True if digits may also be written as a number.
        may_be_empty: True if the text may be empty.
    """

    pattern: str | None = None
    right: str = "text"
    values: tuple[str, ...] = ()
    may_be_number: bool = False
    may_be_empty: bool = False

    def read(self, value: Any, path: Path, problems: Problems) -> str:
        """Return *value* if it is such a text."""
        if self.may_be_number and type(value) is int:
            value = str(value)
        if not isinstance(value, str):
            _wrong_type(value, path, problems, self.right)
        elif not value.strip() and not self.may_be_empty:
            problems.add(path, "The text is empty.")
        elif self.values and value not in self.values:
            problems.add(path, f"{value!r} is not allowed here.", f"Use one of {', '.join(self.values)}.")
        elif self.pattern is not None and not re.fullmatch(self.pattern, value):
            problems.add(path, f"{value!r} is not {self.right}.")
        return str(value)

    def schema(self, definitions: dict[str, Schema]) -> Schema:  # noqa: ARG002 (as the protocol requires)
        """Return the schema of the text."""
        enum = {"enum": list(self.values)} if self.values else {}
        pattern = {} if self.pattern is None else {"pattern": f"^(?:{self.pattern})$"}
        length = {} if self.may_be_empty else {"minLength": 1}
        text = {"type": "string"} | length | enum | pattern
        kinds = [text, {"type": "integer", "minimum": 0}] if self.may_be_number else [text]
        return _or_variable(*kinds) if enum or pattern else _any_of(*kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false."""

    only: bool | None = None

    def read(self, value: Any, path: Path, problems: Problems) -> bool:
        """Return *value* if it is a boolean."""
        if not isinstance(value, bool):
            _wrong_type(value, path, problems, "true" if self.only else "true or false")
        elif self.only is not None and value is not self.only:
            problems.add(path, f"Only {str(self.only).lower()} is allowed here.")
        return bool(value)

    def schema(self, definitions: dict[str, Schema]) -> Schema:  # noqa: ARG002 (as the protocol requires)
        """Return the schema of the flag."""
        return _or_variable({"type": "boolean"} if self.only is None else {"const": self.only})


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number within bounds."""

    least: int = 0
    most: int = 1_000_000

    def read(self, value: Any, path: Path, problems: Problems) -> int:
        """Return *value* if it is such a number."""
        if isinstance(value, bool) or not isinstance(value, int):
            _wrong_type(value, path, problems, "a whole number")
            return 0
        if not self.least <= value <= self.most:
            problems.add(path, f"{value} is out of range.", f"Use {self.least} to {self.most}.")
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:  # noqa: ARG002 (as the protocol requires)
        """Return the schema of the number."""
        return _or_variable({"type": "integer", "minimum": self.least, "maximum": self.most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A duration: a number of seconds, or text such as ``1m30s`` or ``50ms``. It is read as seconds."""

    most: float = 86_400.0

    def read(self, value: Any, path: Path, problems: Problems) -> float:
        """Return *value* in seconds if it is a duration."""
        try:
            seconds = seconds_of(value)
        except InputError as exc:
            problems.add(path, exc.message, exc.hint or "")
            return 0.0
        if not 0 <= seconds <= self.most:
            problems.add(path, f"{value} is out of range.", f"Use at most {self.most:g} seconds.")
        return seconds

    def schema(self, definitions: dict[str, Schema]) -> Schema:  # noqa: ARG002 (as the protocol requires)
        """Return the schema of the duration."""
        text = {"type": "string", "pattern": "^[0-9.]+(ms|[smhd0-9.])*$"}
        return _or_variable({"type": "number", "minimum": 0}, text)


_MILLISECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)ms")


def seconds_of(value: Any) -> float:
    """Convert a duration in a scenario to seconds.

    Raises:
        InputError: *value* is not a duration.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError("This is not a duration.", hint='Write seconds, or text such as "4s" or "1m30s".')
    if isinstance(value, str):
        short = _MILLISECONDS.fullmatch(value)
        return float(short[1]) / 1000 if short else times.duration(value)
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A comparison with a duration or a number, such as ``<30s``; without an operator, the value itself."""

    operator: str
    value: float
    text: str

    def allows(self, found: float) -> bool:
        """Return True if *found* satisfies the comparison."""
        match self.operator:
            case "<":
                return found < self.value
            case "<=":
                return found <= self.value
            case ">":
                return found > self.value
            case ">=":
                return found >= self.value
            case _:
                return found == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison: a number, a duration, or either of them after ``<``, ``<=``, ``>`` or ``>=``."""

    def read(self, value: Any, path: Path, problems: Problems) -> Limit:
        """Return *value* as a :class:`Limit` if it is a comparison."""
        operator, rest = "", value
        if isinstance(value, str):
            found = re.fullmatch(r"\s*(<=|>=|<|>|=)?\s*(.+?)\s*", value)
            operator, rest = (found[1] or "", found[2]) if found else ("", value)
        try:
            return Limit(operator=operator, value=seconds_of(rest), text=str(value))
        except InputError:
            problems.add(
                path, f"{value!r} is not a comparison.", 'Write a number, "<30s" or ">=2", for example.'
            )
            return Limit(operator="", value=0, text="")

    def schema(self, definitions: dict[str, Schema]) -> Schema:  # noqa: ARG002 (as the protocol requires)
        """Return the schema of the comparison."""
        text = {"type": "string", "pattern": "^ *(<=|>=|<|>|=)? *[0-9].*$"}
        return _or_variable({"type": "number"}, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """An array whose items are all of one kind. It is read as a tuple."""

    item: Kind
    least: int = 0

    def read(self, value: Any, path: Path, problems: Problems) -> tuple[Any, ...]:
        """Return the items of *value* if it is such an array."""
        if not isinstance(value, list):
            _wrong_type(value, path, problems, "an array")
            return ()
        if len(value) < self.least:
            problems.add(path, "The array is empty.")
        return tuple(self.item.read(each, (*path, at), problems) for at, each in enumerate(value))

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the schema of the array."""
        return {"type": "array", "items": self.item.schema(definitions), "minItems": self.least}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A table with names of the user's choice, whose values are all of one kind."""

    value: Kind

    def read(self, value: Any, path: Path, problems: Problems) -> dict[str, Any]:
        """Return the entries of *value* if it is such a table."""
        if not isinstance(value, dict):
            _wrong_type(value, path, problems, "a table")
            return {}
        return {name: self.value.read(each, (*path, name), problems) for name, each in value.items()}

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the schema of the table."""
        return {"type": "object", "additionalProperties": self.value.schema(definitions)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything:
    """Any value."""

    def read(self, value: Any, path: Path, problems: Problems) -> Any:  # noqa: ARG002 (as the protocol requires)
        """Return *value*."""
        return value

    def schema(self, definitions: dict[str, Schema]) -> Schema:  # noqa: ARG002 (as the protocol requires)
        """Return a schema that every value fulfils."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """A value of one of several kinds, which is chosen by the type of the value."""

    kinds: Mapping[type, Kind]

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return *value*, as its kind reads it."""
        if (kind := self.kinds.get(type(value))) is not None:
            return kind.read(value, path, problems)
        _wrong_type(value, path, problems, " or ".join(_TYPES[each] for each in self.kinds))
        return None

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return the schema of the value."""
        return _any_of(*(kind.schema(definitions) for kind in self.kinds.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that is read as a record of the class *record*, whose fields :func:`.model.option` describes."""

    record: type

    def read(self, value: Any, path: Path, problems: Problems) -> Any:
        """Return *value* as a record if it is such a table."""
        if not isinstance(value, dict):
            _wrong_type(value, path, problems, "a table")
            return None
        options = dict(options_of(self.record))
        for name in value:
            if name not in options:
                problems.add((*path, name), f"Unknown key {name!r}.", nearest(name, options))
        given = {}
        for name, each in options.items():
            if name in value:
                given[each.attribute] = each.kind.read(value[name], (*path, name), problems)
            elif each.is_required:
                problems.add(path, f"The key {name!r} is missing.")
        return None if problems else self.record(**given)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Return a reference to the schema of the table."""
        name = self.record.__name__
        if name not in definitions:
            definitions[name] = {}  # a table may contain itself
            options = dict(options_of(self.record))
            required = [each for each, option in options.items() if option.is_required]
            definitions[name] = {
                "type": "object",
                "description": (self.record.__doc__ or "").partition("\n")[0],
                "properties": {
                    each: {"description": option.about} | option.kind.schema(definitions)
                    for each, option in options.items()
                },
                "additionalProperties": False,
            } | ({"required": required} if required else {})
        return {"$ref": f"#/$defs/{name}"}


class Option(NamedTuple):
    """A key of a table: its kind, its description, and the attribute of the record that holds its value."""

    kind: Kind
    about: str
    attribute: str
    is_required: bool


def options_of(record: type) -> Iterator[tuple[str, Option]]:
    """Yield each key of the tables that are read as *record*, with its :class:`Option`."""
    for each in fields(record):
        if "kind" in each.metadata:
            is_required = each.default is MISSING and each.default_factory is MISSING
            option = Option(each.metadata["kind"], each.metadata["about"], each.name, is_required)
            yield each.name.rstrip("_"), option


def nearest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Return advice on what to write instead of the unknown key *name*."""
    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}."
