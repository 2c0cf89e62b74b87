"""Packages of Node for tests, installed once for all processes that run tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SDK = tuple(f"@vonage/{name}@1" for name in ("auth", "conversations", "numbers", "users", "voice"))
"""The parts of the platform's official SDK that the sandbox serves."""

INSTALL_SECONDS = 180


def installed(tmp_path_factory: pytest.TempPathFactory, name: str, *packages: str) -> Path:
    """Return the directory ``node_modules`` that has *packages*, or skip the test if they cannot be installed.

    Args:
        name: The name of the installation.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home = shared / f"node-{name}"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = home / "outcome"
        if not outcome.exists():
            outcome.write_text(_install(home, packages))
    if problem := outcome.read_text():
        pytest.skip(f"npm could not install {', '.join(packages)}: {problem}")
    return home / "node_modules"


def _install(home: Path, packages: tuple[str, ...]) -> str:
    """Install *packages* in *home*. Return an empty string, or the reason why they could not be installed."""
    words = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", *packages]
    (home / "package.json").write_text('{"private": true}')
    try:
        ran = subprocess.run(words, cwd=home, capture_output=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "it took too long"
    return ran.stderr.decode(errors="replace")[-300:] if ran.returncode else ""
