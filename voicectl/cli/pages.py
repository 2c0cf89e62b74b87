"""Pages of the documentation that commands print: files of ``docs/``, in packages of ``voicectl/pages``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def read(name: str) -> str:
    """Return the page *name*, such as ``sandbox-choices``, as Markdown."""
    packaged = files("voicectl") / "pages" / f"{name}.md"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "docs" / f"{name}.md").read_text(encoding="utf-8")  # a clone
