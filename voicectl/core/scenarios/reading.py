"""Reading scenario files: includes, variables, tables of inputs, and all mistakes of a file with their places."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from voicectl.core.sandbox_faults import parse_fault
from voicectl.core.scenarios.kinds import (
    Anything,
    Many,
    Named,
    Problems,
    Table,
    Text,
    nearest,
)
from voicectl.core.scenarios.matching import BadPattern, pattern
from voicectl.core.scenarios.model import DIALECT, Application, Defaults, Scenario, Test
from voicectl.core.scenarios.places import places
from voicectl.core.scenarios.steps import ENDPOINT, Fault, HearMatching, Include, Step, StepKind
from voicectl.errors import InputError, VoicectlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from voicectl.core.scenarios.kinds import Kind, Schema
    from voicectl.core.scenarios.kinds import Path as Place

SUFFIX = ".call.toml"
MAX_BYTES = 1 << 20
MAX_TESTS = 10_000

RUNTIME = ("leg", "port", "url")
"""The names in braces that are not variables, because their values are known only when a test runs."""

_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_]*)\}", re.IGNORECASE)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

_SEQUENCE = Many(item=StepKind())
_ROWS = Many(item=Named(value=Anything()), least=1)
_SECTIONS: dict[str, tuple[Kind, str]] = {
    "include": (
        Many(item=Text()),
        "Files from which this file inherits app, defaults, variables and sequences.",
    ),
    "app": (Table(record=Application), "The application under test."),
    "defaults": (Table(record=Defaults), "Settings for all tests."),
    "variables": (Named(value=Anything()), "Variables: {name} in this file stands for the value of name."),
    "sequences": (Named(value=_SEQUENCE), "Steps that tests insert with include."),
    "test": (Many(item=Table(record=Test)), "The tests."),
}


class ScenarioError(InputError):
    """Raised if scenario files contain mistakes.

    Attributes:
        mistakes: All mistakes, each as ``FILE:LINE:COLUMN: MESSAGE``.
    """

    def __init__(self, mistakes: list[str]) -> None:
        count = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "1 mistake"
        super().__init__(f"The scenarios have {count}, so no test was run.", hint="See the lines above.")
        self.mistakes = mistakes


@dataclass(slots=True, kw_only=True)
class _File:
    """A file, and the mistakes found in it."""

    path: Path
    raw: dict[str, Any] = field(default_factory=dict)
    places: dict[Place, tuple[int, int]] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)

    def mistakes(self) -> Iterator[str]:
        for problem in sorted(dict.fromkeys(self.problems), key=lambda each: self._place(each.path)):
            line, column = self._place(problem.path)
            yield f"{self.path}:{line}:{column}: {problem.message} {problem.hint}".rstrip()

    def _place(self, path: Place) -> tuple[int, int]:
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def where(self, path: Place) -> str:
        return f"{self.path}:{self._place(path)[0]}"

    def section(self, name: str) -> dict[str, Any]:
        found = self.raw.get(name)
        return found if isinstance(found, dict) else {}


def read_all(paths: list[Path]) -> list[Scenario]:
    """Read scenario files.

    Args:
        paths: Files, and directories in which all files with the suffix :data:`SUFFIX` are read.

    Raises:
        InputError: A file cannot be read, or no file was found.
        ScenarioError: The files contain mistakes.
    """
    mistakes: list[str] = []
    scenarios = []
    for path in dict.fromkeys(found for each in paths for found in _files(each)):
        try:
            scenarios.append(read(path))
        except ScenarioError as exc:
            mistakes += exc.mistakes
    if mistakes:
        raise ScenarioError(list(dict.fromkeys(mistakes)))
    return scenarios


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob(f"*{SUFFIX}"))
    if not found:
        raise InputError(
            f"{path} contains no scenario.", hint=f"The name of a scenario file ends in {SUFFIX}."
        )
    return found


def read(path: Path, *, needs_tests: bool = True) -> Scenario:
    """Read one scenario file.

    Args:
        needs_tests: False to accept a file that only describes the application.

    Raises:
        InputError: The file, or one that it includes, cannot be read.
        ScenarioError: The file contains mistakes.
    """
    files = _with_included(path)
    own = files[-1]
    reader = _Reader(files)
    scenario = reader.scenario(own, needs_tests=needs_tests)
    if mistakes := [mistake for file in files for mistake in file.mistakes()]:
        raise ScenarioError(mistakes)
    return scenario


def schema() -> Schema:
    """Return the JSON Schema for scenario files."""
    definitions: dict[str, Schema] = {}
    properties = {
        name: {"description": about} | kind.schema(definitions) for name, (kind, about) in _SECTIONS.items()
    }
    definitions["Test"]["properties"]["each"] = {
        "description": "Run the test once for each of these tables, whose keys are variables."
    } | _ROWS.schema(definitions)
    return {
        "$schema": DIALECT,
        "title": "voicectl scenario",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _with_included(path: Path, chain: tuple[Path, ...] = ()) -> list[_File]:
    """Return the file *path*, after the files that it includes."""
    file = _parse(path)
    chain = (*chain, path.resolve())
    files: list[_File] = []
    for at, name in enumerate(_names(file)):
        inner = path.parent / name
        if inner.resolve() in chain:
            file.problems.add(
                ("include", at), f"Including {name} forms a cycle.", "Remove one of the includes."
            )
            continue
        try:
            files += _with_included(inner, chain)
        except VoicectlError as exc:
            file.problems.add(("include", at), exc.message)
    for inner_file in files:
        if "test" in inner_file.raw:
            inner_file.problems.add(("test",), "An included file cannot contain tests.")
    return [*files, file]


def _names(file: _File) -> tuple[str, ...]:
    found: tuple[str, ...] = _SECTIONS["include"][0].read(
        file.raw.get("include", []), ("include",), file.problems
    )
    return found


def _parse(path: Path) -> _File:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}.", hint="Check the path.") from exc
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} is over 1 MiB.", hint="Split it, and give the names of all the parts.")
    try:
        text = content.decode()
        raw = tomllib.loads(text)
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is not UTF-8.", hint="Save the file as UTF-8.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ScenarioError([_syntax(path, text, str(exc))]) from exc
    except RecursionError as exc:
        raise InputError(f"{path} is nested too deeply.") from exc
    file = _File(path=path, raw=raw, places=places(text.replace("\r\n", "\n")))
    for name in raw:
        if name not in _SECTIONS:
            file.problems.add((name,), f"Unknown key {name!r}.", nearest(name, _SECTIONS))
    return file


def _syntax(path: Path, text: str, message: str) -> str:
    found = _AT.search(message)
    end = text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1
    line, column = (found[1] or end[0], found[2] or end[1]) if found else (1, 1)
    return f"{path}:{line}:{column}: {_AT.sub('', message)}."


class _Reader:
    """Reads a file together with those that it includes, of which later ones have precedence."""

    def __init__(self, files: list[_File]) -> None:
        self._files = files
        self._variables: dict[str, Any] = {}
        for file in files:
            self._variables |= file.section("variables")

    def scenario(self, own: _File, *, needs_tests: bool) -> Scenario:
        app = self._merged("app", Table(record=Application))
        defaults = self._merged("defaults", Table(record=Defaults)) or Defaults()
        for file in self._files:
            for name in file.section("sequences"):
                self._steps(file, ("sequences", name), self._variables, chain=(name,))
        tests = [
            test for at in range(self._count(own, needs_tests)) for test in self._tests(own, at, defaults)
        ]
        self._refuse_twins(own, tests)
        given = {name for file in self._files for name in file.section("app")}
        if len(given & {"run", "url"}) != 1:
            own.problems.add(("app",), "The application needs either run or url, but not both.")
        return Scenario(path=own.path, app=app or Application(), tests=tuple(tests))

    def _count(self, own: _File, needs_tests: bool) -> int:
        found = own.raw.get("test", [])
        if not isinstance(found, list) or (needs_tests and not found):
            own.problems.add(("test",), "There is no test.", "Add one that begins with [[test]].")
            return 0
        return len(found)

    def _merged(self, name: str, kind: Table) -> Any:
        """Read the section *name* of each file, and return one record for all of them."""
        merged: dict[str, Any] = {}
        for file in self._files:
            problems = Problems()
            filled = _filled(file.raw.get(name, {}), self._variables, (name,), problems)
            kind.read(filled, (name,), problems)
            file.problems += problems
            merged |= filled if isinstance(filled, dict) and not problems else {}
        return kind.read(merged, (name,), Problems())

    def _tests(self, own: _File, at: int, defaults: Defaults) -> Iterator[Test]:
        raw = own.raw["test"][at]
        place = ("test", at)
        if not isinstance(raw, dict):
            own.problems.add(place, "A test must be a table.")
            return
        rows: tuple[Mapping[str, Any], ...] = ({},)
        if "each" in raw:
            rows = _ROWS.read(raw["each"], (*place, "each"), own.problems)
        for number, row in enumerate(rows, 1):
            test = self._test(own, at, dict(row), defaults)
            if test is None:
                continue
            same = len(rows) > 1 and test.name == raw.get("name")
            yield replace(test, name=f"{test.name} [{number}]") if same else test

    def _test(self, own: _File, at: int, row: dict[str, Any], defaults: Defaults) -> Test | None:
        place: Place = ("test", at)
        variables = self._variables | row
        raw = {name: value for name, value in own.raw["test"][at].items() if name not in ("each", "steps")}
        problems = Problems()
        filled = _filled(raw, variables, place, problems)
        test: Test | None = Table(record=Test).read(filled, place, problems)
        steps = self._steps(own, (*place, "steps"), variables)
        own.problems += problems
        if test is None:
            return None
        if sum((test.call is not None, bool(test.callers), test.create is not None)) != 1:
            own.problems.add(place, "A test must have exactly one of call, callers and create.")
        self._check_parties(own, test, steps)
        return replace(test, steps=tuple(steps), defaults=test.defaults or defaults)

    def _check_parties(self, own: _File, test: Test, steps: list[Step]) -> None:
        for step in steps:
            name = step.as_
            if name is not None and name not in test.callers and not re.fullmatch(ENDPOINT, name):
                own.problems.add((*step.at, "as"), f"There is no caller {name!r}.", "Add it to callers.")

    def _steps(
        self, file: _File, place: Place, variables: dict[str, Any], chain: tuple[str, ...] = ()
    ) -> list[Step]:
        """Read the steps at *place*, with the sequences that they include."""
        raw: Any = file.raw
        for key in place:
            raw = raw.get(key, []) if isinstance(raw, dict) else raw[key]
        if not isinstance(raw, list):
            file.problems.add(place, "Expected an array of steps.")
            return []
        steps: list[Step] = []
        for at, each in enumerate(raw):
            step = self._step(file, each, (*place, at), variables)
            if isinstance(step, Include):
                steps += self._sequence(file, step, variables, chain)
            elif step is not None:
                steps.append(step)
        return steps

    def _step(self, file: _File, raw: Any, place: Place, variables: dict[str, Any]) -> Step | None:
        problems = Problems()
        step: Step | None = StepKind().read(_filled(raw, variables, place, problems), place, problems)
        if isinstance(step, HearMatching):
            try:
                pattern(step.hear_matching)
            except BadPattern as exc:
                problems.add((*place, step.verb), str(exc))
        if isinstance(step, Fault):
            try:
                parse_fault(step.fault)
            except InputError as exc:
                problems.add((*place, step.verb), exc.message, exc.hint or "")
        file.problems += problems
        return None if step is None else replace(step, at=place, where=file.where(place))

    def _sequence(
        self, file: _File, step: Include, variables: dict[str, Any], chain: tuple[str, ...]
    ) -> list[Step]:
        name = step.include
        holder = next((each for each in reversed(self._files) if name in each.section("sequences")), None)
        if holder is None:
            known = tuple(name for each in self._files for name in each.section("sequences"))
            file.problems.add((*step.at, "include"), f"There is no sequence {name!r}.", nearest(name, known))
            return []
        if name in chain:
            file.problems.add((*step.at, "include"), f"The sequence {name!r} includes itself.")
            return []
        return self._steps(holder, ("sequences", name), variables, (*chain, name))

    def _refuse_twins(self, own: _File, tests: list[Test]) -> None:
        seen = set()
        for test in tests:
            if test.name in seen:
                own.problems.add(("test",), f"Two tests are named {test.name!r}.")
            seen.add(test.name)
        if len(tests) > MAX_TESTS:
            own.problems.add(("test",), f"There are more than {MAX_TESTS} tests.")


def _filled(value: Any, variables: Mapping[str, Any], place: Place, problems: Problems) -> Any:
    """Return *value* with the values of variables in place of their names in braces."""
    if isinstance(value, dict):
        return {name: _filled(each, variables, (*place, name), problems) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables, (*place, at), problems) for at, each in enumerate(value)]
    if not isinstance(value, str):
        return value
    if (whole := _VARIABLE.fullmatch(value)) and whole[1] in variables:
        return variables[whole[1]]
    return _VARIABLE.sub(partial(_value, variables=variables, place=place, problems=problems), value)


def _value(found: re.Match[str], *, variables: Mapping[str, Any], place: Place, problems: Problems) -> str:
    name = found[1]
    if name in variables:
        return str(variables[name])
    if name not in RUNTIME:
        known = (*variables, *RUNTIME)
        problems.add(place, f"There is no variable {name!r}.", nearest(name, known))
    return found[0]
