"""Scenario files that test the application in ``menu.py``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

MENU = Path(__file__).with_name("menu.py")

APP = f"""\
[app]
run = ["{sys.executable}", "menu.py", "{{port}}"]
answer_url = "/answer"
event_url = "/event"
"""
SALES = """
[[test]]
name = "sales"
call = { from = "447700900001", to = "442079460000" }
steps = [
  { hear = "welcome to acme", within = "4s" },
  { press = "1" },
  { hear = "connecting you" },
  { connected = "447700900002", within = "10s" },
  { hangup = true },
]
expect = { duration = "<30s", events = ["answered", "completed"], recordings = 0, webhooks_failed = 0 }
"""


def one_test(
    *steps: str, name: str = "a test", call: str = 'call = { from = "447700900001" }', more: str = ""
) -> str:
    """Return a test with these steps, whose caller stays silent."""
    lines = "".join(f"  {step},\n" for step in steps)
    return f'\n[[test]]\nname = "{name}"\n{call}\nsteps = [\n{lines}]\n{more}\n'


def write(directory: Path, *tests: str, app: str = APP, name: str = "menu.call.toml") -> Path:
    """Write a scenario file with *tests* beside the application, and return its path."""
    shutil.copy(MENU, directory / MENU.name)
    path = directory / name
    path.write_text(app + "".join(tests))
    return path
