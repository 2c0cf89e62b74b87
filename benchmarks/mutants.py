"""Measure whether the tests notice small changes to the code that must not be wrong.

Each change alters one place: a comparison, a condition, a number, a word of an SQL statement, a result, a statement.
The tests that run the changed line are run on it; a change that no test notices is printed, for a person to judge:
it may be equivalent to the code, harmless, or a hole in the tests.

The tests run in checkouts of the project, one for each job, where this script changes one file at a time and
restores it. Each needs a ``.venv`` in which it is installed as editable with ``[dev]`` and ``pytest-cov``::

    python benchmarks/mutants.py --map tests.json CHECKOUT              # once: the tests that run each line
    python benchmarks/mutants.py --with tests.json CHECKOUT CHECKOUT    # 500 changes, in two jobs
"""

import argparse
import ast
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

MODULES = [
    *("store/journal", "store/journal_file", "store/rate_limiter", "store/action_log"),
    *("api/session", "api/repetition", "api/refusals", "api/replies", "api/chunked", "api/connection"),
    *("core/hosts", "core/identity/policy", "core/calls/create", "core/calls/in_doubt"),
    *("cli/output/text", "cli/output/writer", "webhook/signature", "webhook/verify", "tokens"),
]
"""The modules in which a fault could ring a phone twice, lose a call, send a secret astray or show false output."""
TESTS = ["tests/api", "tests/cli", "tests/core", "tests/store", "tests/webhook", "tests/test_tokens.py"]
LONGEST_RUN_SECONDS = 120
MOST_TESTS = 120

COMPARISONS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
SIGNS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
SQL = {"ASC": "DESC", "DESC": "ASC", "AND": "OR", "OR": "AND", "IMMEDIATE": "", "NOT": ""}
SQL |= {">": ">=", "<": "<=", "=": "<>"}


class Change(NamedTuple):
    """One small change: in the file *path*, the text from *start* to *end* becomes *text*."""

    path: str
    line: int
    start: int
    end: int
    text: str


class Place:
    """Positions of the nodes of a module's syntax tree in its source text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where *node* starts and ends, in characters."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._offset(node.lineno, node.col_offset)
        return start, self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        start = self.starts[line - 1]
        text = self.source[start : self.starts[line]]
        return start + len(text.encode()[:column].decode())


def changes(path: str, source: str) -> Iterator[Change]:
    """Yield each small change to the module *source*."""
    place = Place(source)
    tree = ast.parse(source)
    prose = [
        each for each in ast.walk(tree) if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
    ]
    skipped = {id(node) for each in prose for node in (each, each.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt) and id(node) not in skipped:
            for start, end, text in _edits(node, place):
                if _is_python(source[:start] + text + source[end:]):
                    yield Change(path, source.count("\n", 0, start) + 1, start, end, text)


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _edits(node: ast.expr | ast.stmt, place: Place) -> Iterator[tuple[int, int, str]]:
    """Yield the small changes to *node*, as the start and the end of a text and its replacement."""
    start, end = place.span(node)
    match node:
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in COMPARISONS:
            yield place.span(left)[1], place.span(right)[0], f" {COMPARISONS[type(sign)]} "
        case ast.BoolOp(op=sign, values=[first, second, *_]):
            yield (
                place.span(first)[1],
                place.span(second)[0],
                " or " if isinstance(sign, ast.And) else " and ",
            )
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in SIGNS:
            yield place.span(left)[1], place.span(right)[0], f" {SIGNS[type(sign)]} "
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield start, end, place.source[slice(*place.span(operand))]
        case ast.Constant(value=value):
            yield from _other_values(value, place.source[start:end], start)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            condition = place.source[slice(*place.span(test))]
            yield *place.span(test), f"not ({condition})"
        case ast.Return(value=ast.expr()):
            yield start, end, "return None"
        case ast.Raise() | ast.Expr() | ast.AugAssign() | ast.Delete():
            yield start, end, "pass"
        case ast.Break():
            yield start, end, "continue"
        case ast.Continue():
            yield start, end, "break"
        case ast.Call(keywords=[*_, ast.keyword(arg=str(name), value=value)]) if name != "hint":
            begins, ends = place.span(value)
            yield place.source.rindex(name, start, begins), ends, ""


def _other_values(value: object, text: str, start: int) -> Iterator[tuple[int, int, str]]:
    """Yield other values for the constant *value*, which is written as *text* and starts at *start*.

    Of strings, only those that look like SQL or like a single word are changed, since others are messages.
    """
    end = start + len(text)
    match value:
        case bool():
            yield start, end, str(not value)
        case int() | float():
            yield start, end, repr(value + 1)
        case str() if re.search(r"\b(SELECT|UPDATE|INSERT|DELETE|BEGIN)\b", value):
            words = "|".join(rf"(?<![<>=\w]){re.escape(word)}(?![<>=\w])" for word in SQL)
            for found in re.finditer(words, text):
                yield start + found.start(), start + found.end(), SQL[found[0]]
        case str() if value and " " not in value and text[0] in "'\"" and text[-1] == text[0]:
            yield end - 1, end - 1, "x"


def record(checkout: Path, to: Path) -> None:
    """Run the tests in *checkout* and write to *to* which tests run which line of the modules."""
    from coverage import CoverageData  # noqa: PLC0415 (only this mode needs it)

    command = [".venv/bin/pytest", "-q", *TESTS, "--cov=voicectl", "--cov-context=test", "--cov-report="]
    subprocess.run(command, cwd=checkout, check=True)
    covered = CoverageData(str(checkout / ".coverage"))
    covered.read()
    lines = {}
    for module in MODULES:
        contexts = covered.contexts_by_lineno(str(checkout / f"voicectl/{module}.py"))
        lines[module] = {
            line: sorted({name.split("|")[0] for name in names if name}) for line, names in contexts.items()
        }
    to.write_text(json.dumps(lines), encoding="utf-8")


def chosen(change: Change, lines: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return the tests to run on *change*: those that run its line, the nearest first.

    The nearest are those named after its module, then those in the directory of its layer.
    """
    module = change.path.removeprefix("voicectl/").removesuffix(".py")
    tests = lines[module].get(str(change.line), [])
    if not tests:
        tests = sorted({test for names in lines[module].values() for test in names})
    own, layer = Path(module).name, f"tests/{module.partition('/')[0]}/"
    mixed = random.Random(change.start).sample(tests, len(tests))
    return sorted(mixed, key=lambda test: (own not in test, layer not in test))[:MOST_TESTS]


def outcome(change: Change, checkout: Path, tests: list[str]) -> str:
    """Return how the tests met *change* in *checkout*: ``noticed``, ``unnoticed`` or ``too slow``."""
    path = checkout / change.path
    source = path.read_text(encoding="utf-8")
    path.write_text(source[: change.start] + change.text + source[change.end :], encoding="utf-8")
    arguments = checkout / ".mutant-tests"
    arguments.write_text("\n".join(tests), encoding="utf-8")
    command = [".venv/bin/pytest", "-xq", "-n0", "-pno:cacheprovider", "-pno:cov", f"@{arguments.name}"]
    quiet = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            command, cwd=checkout, stdout=quiet, stderr=quiet, start_new_session=True
        ) as run:
            try:
                return "noticed" if run.wait(LONGEST_RUN_SECONDS) else "unnoticed"
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                return "too slow"
    finally:
        path.write_text(source, encoding="utf-8")
        arguments.unlink()


def control(checkout: Path, lines: dict[str, dict[str, list[str]]]) -> None:
    """Exit if the tests in *checkout* fail without any change, or miss a change that breaks a module."""
    for module in MODULES:
        path = f"voicectl/{module}.py"
        for text, expected in (("", "unnoticed"), ("raise ValueError\n", "noticed")):
            change = Change(path, 0, 0, 0, text)
            if (found := outcome(change, checkout, chosen(change, lines)[:20])) != expected:
                sys.exit(f"{path}: a change that should have been {expected} was {found}: {text!r}")


def main() -> None:
    """Record what the tests run, or try the changes and print those that no test noticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT")
    parser.add_argument("--map", type=Path, metavar="FILE", help="Record there which tests run which line.")
    parser.add_argument(
        "--with", dest="lines", type=Path, metavar="FILE", help="Read from there which tests run which line."
    )
    parser.add_argument("--count", type=int, default=500, help="Changes to try (default 500).")
    parser.add_argument("--seed", type=int, default=1, help="Draw other changes (default 1).")
    options = parser.parse_args()
    if options.map:
        record(options.checkouts[0].absolute(), options.map)
        return
    lines = json.loads(options.lines.read_text(encoding="utf-8"))
    drawn: list[Change] = []
    for module in MODULES:
        path = f"voicectl/{module}.py"
        drawn += changes(path, (options.checkouts[0] / path).read_text(encoding="utf-8"))
    drawn = random.Random(options.seed).sample(drawn, min(options.count, len(drawn)))
    control(options.checkouts[0].absolute(), lines)
    free: Queue[Path] = Queue()
    for checkout in options.checkouts:
        free.put(checkout.absolute())
    counts = Counter[str]()

    def attempt(change: Change) -> None:
        checkout = free.get()
        try:
            source = (checkout / change.path).read_text(encoding="utf-8")
            result = outcome(change, checkout, chosen(change, lines))
        finally:
            free.put(checkout)
        counts[result] += 1
        if result != "noticed":
            start, end = source.rindex("\n", 0, change.start) + 1, source.find("\n", change.end)
            before = source[start:end]
            after = source[start : change.start] + change.text + source[change.end : end]
            print(f"{change.path}:{change.line}: {result}\n- {before}\n+ {after}", flush=True)

    with ThreadPoolExecutor(len(options.checkouts)) as jobs:
        for done, _ in enumerate(jobs.map(attempt, drawn), 1):
            if done % 25 == 0:
                print(f"# {done} of {len(drawn)}: {dict(counts)}", flush=True)
    print(f"# {sum(counts.values())} changes: {dict(counts)}")


if __name__ == "__main__":
    main()
