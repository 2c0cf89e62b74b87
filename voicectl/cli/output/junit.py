"""The results of tests as JUnit XML, which CI systems read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from voicectl.cli.output.test_details import details
from voicectl.core.scenarios.results import Outcome
from voicectl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from voicectl.core.scenarios.results import Result
    from voicectl.core.scenarios.suite import Item

_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Outcome.FAILED: "failure", Outcome.ERROR: "error"}


def write(path: Path, results: Sequence[Result], items: Sequence[Item]) -> None:
    """Write results to *path*. Tests that were not run are reported as skipped.

    Args:
        items: All tests.

    Raises:
        InputError: The file cannot be written.
    """
    root = ET.Element("testsuites")
    done = {(result.file, result.name): result for result in results}
    for file in dict.fromkeys(item.scenario.path for item in items):
        names = [item.name for item in items if item.scenario.path == file]
        _add_suite(root, file, [done.get((file, name), name) for name in names])
    ET.indent(root)
    content = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    try:
        path.write_bytes(content + b"\n")
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc.strerror}.", hint="Name another file.") from exc


def _add_suite(root: ET.Element, file: Path, cases: Sequence[Result | str]) -> None:
    """Add the tests of a file. A test that was not run is given by its name."""
    done = [case for case in cases if not isinstance(case, str)]
    counts = {
        "tests": len(cases),
        "failures": sum(case.outcome is Outcome.FAILED for case in done),
        "errors": sum(case.outcome is Outcome.ERROR for case in done),
        "skipped": len(cases) - len(done),
        "time": round(sum(case.seconds for case in done), 3),
    }
    attributes = {name: str(value) for name, value in counts.items()}
    suite = ET.SubElement(root, "testsuite", {"name": _text(str(file))} | attributes)
    for case in cases:
        if isinstance(case, str):
            element = ET.SubElement(suite, "testcase", _named(file, case))
            ET.SubElement(element, "skipped", {"message": "not run"})
        else:
            _add_case(suite, file, case)


def _add_case(suite: ET.Element, file: Path, result: Result) -> None:
    element = ET.SubElement(suite, "testcase", _named(file, result.name) | {"time": f"{result.seconds:.3f}"})
    if result.has_failed:
        problem = ET.SubElement(element, _TAGS[result.outcome])
        problem.set("message", _text(result.failures[0].message))
        problem.text = _text("\n".join(details(result)))
    if result.output:
        ET.SubElement(element, "system-out").text = _text("\n".join(result.output))


def _named(file: Path, name: str) -> dict[str, str]:
    return {"classname": _text(file.name.partition(".")[0]), "name": _text(name), "file": _text(str(file))}


def _text(text: str) -> str:
    """Return *text* without the characters that XML cannot contain."""
    return _NO_XML.sub("?", text)
