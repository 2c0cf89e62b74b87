"""The structure of the code: imports point one way, and ARCHITECTURE.md names every package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules(package: Path) -> dict[str, Path]:
    """Every module of *package* by its dotted name."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules that a file imports: at its top, inside functions, and for type checkers alike."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in known:
                    yield submodule
                elif node.module in known:
                    yield str(node.module)


def graph(package: Path) -> dict[str, set[str]]:
    """Return the modules of *package* that each of them imports."""
    known = modules(package)
    return {name: set(imports(path, known)) for name, path in known.items()}


def test_no_modules_import_each_other_directly_or_around() -> None:
    found = graph(ROOT / "voicectl")

    assert found["voicectl.cli.app"] > {"voicectl.cli.context", "voicectl.errors"}  # it did read them
    TopologicalSorter(found).prepare()


@pytest.mark.parametrize(
    "closing",
    [
        "from pack.first import A",
        "import pack.first",
        "from pack import first",
        "def later():\n    from pack.first import A",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.first import A",
    ],
)
def test_a_cycle_of_three_is_found_however_it_is_closed(tmp_path: Path, closing: str) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    for name, content in {
        "__init__": "",
        "first": "from pack.second import B",
        "second": "from pack import third",
        "third": closing,
    }.items():
        (package / f"{name}.py").write_text(content)

    with pytest.raises(CycleError, match=r"pack\.third"):
        TopologicalSorter(graph(package)).prepare()


def test_errors_imports_no_other_module_of_ours() -> None:
    assert graph(ROOT / "voicectl")["voicectl.errors"] == set()


def test_architecture_names_every_package() -> None:
    described = re.findall(
        r"^\| `(voicectl/[\w/]+/)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE
    )
    packages = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "voicectl").rglob("__init__.py")}

    assert set(described) == {f"{each}/" for each in packages - {"voicectl"}}
