"""The pictures of the README match the output of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.support.waiting import PATIENCE_SECONDS

DOCS = Path(__file__).parent.parent / "docs"


def test_the_pictures_match_the_output_of_the_script(tmp_path: Path) -> None:
    script = [sys.executable, str(DOCS / "make_screens.py"), "--into", str(tmp_path)]

    subprocess.run(script, check=True, timeout=4 * PATIENCE_SECONDS, env={"PATH": "/usr/bin:/bin"})

    kept = {path.name: path.read_text() for path in DOCS.glob("*.svg")}
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made.keys() == kept.keys()
    for name, text in kept.items():
        assert words(text) == words(made[name]) != [], "run docs/make_screens.py"
        assert "url(http" not in text
        assert "5a4db0c5" not in text  # the id of an application differs each time


def words(svg: str) -> list[str]:
    """Return the texts in a picture, whose drawing differs between versions of rich."""
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    return [each.text or "" for each in root.iter() if each.tag.endswith("}text")]
