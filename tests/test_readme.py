"""The README's console blocks, typed from top to bottom into one terminal, print what the README shows."""

from __future__ import annotations

from pathlib import Path

from .support.console import ROOT, Shell, steady, steps


def test_the_tour_prints_what_the_readme_says(tmp_path: Path) -> None:
    tour = list(steps((ROOT / "README.md").read_text()))

    assert len(tour) > 10
    with Shell(tmp_path) as shell:
        for step in tour:
            # the default port may be in use
            output, status = shell.run(step.command.replace("start --detach", "start --detach --port 0"))
            assert status == 0, f"{step.command}\n{output}"
            assert steady(output) == steady(step.output), step.command
