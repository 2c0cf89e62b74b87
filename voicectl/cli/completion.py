"""``completion``: the scripts that make a shell complete voicectl's words. They are Typer's own."""

from __future__ import annotations

import typer
from typer._completion_shared import get_completion_script

from voicectl.cli.context import current
from voicectl.cli.tree import COMPLETION_VARIABLE, PROGRAM


def bash(ctx: typer.Context) -> None:
    """Print the completion script for bash.

    Example:
      $ voicectl completion bash
    """
    _print(ctx, "bash")


def zsh(ctx: typer.Context) -> None:
    """Print the completion script for zsh.

    Example:
      $ voicectl completion zsh
    """
    _print(ctx, "zsh")


def fish(ctx: typer.Context) -> None:
    """Print the completion script for fish.

    Example:
      $ voicectl completion fish
    """
    _print(ctx, "fish")


def script(shell: str) -> str:
    """The script for *shell*."""
    return get_completion_script(prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE, shell=shell) + "\n"


def _print(ctx: typer.Context, shell: str) -> None:
    current(ctx).write(script(shell))
