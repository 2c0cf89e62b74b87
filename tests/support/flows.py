"""Call flows for tests: examples and tables of the NCCO reference, and JSON that resembles them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

LEG = "6e0b9a4c-1f2d-4c3b-8a59-0c1d2e3f4a5b"
OTHER = "2b3c4d5e-6f70-4812-93a4-b5c6d7e8f901"
CON = "CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"
APP = "https://app.example.org"
CDN = "https://cdn.example.org"
PHONE = {"type": "phone", "number": "447700900123"}


def _reference(name: str) -> Any:
    return json.loads((Path(__file__).parents[1] / "reference" / f"{name}.json").read_text())


EXAMPLES: dict[str, list[dict[str, Any]]] = _reference("ncco_examples")["flows"]

TOLERATED: dict[str, list[dict[str, Any]]] = _reference("ncco_tolerated")["flows"]

_OPTIONS = _reference("ncco_options")
RANGES: list[tuple[dict[str, Any], str, float, float | None]] = [
    (each["action"], each["option"], each["least"], each["most"]) for each in _OPTIONS["ranges"]
]
FLAGS: list[tuple[dict[str, Any], str]] = [(each["action"], each["option"]) for each in _OPTIONS["flags"]]
CHOICES: list[tuple[dict[str, Any], str, list[str]]] = [
    (each["action"], each["option"], each["values"]) for each in _OPTIONS["choices"]
]
"""An option that an action lacks (dotted if it is inside another), and the values that it can have."""

NAMES = sorted(
    {
        name
        for flow in EXAMPLES.values()
        for action in flow
        for part in (action, *action.get("endpoint", []), action.get("dtmf", {}), action.get("speech", {}))
        for name in part
    }
    | {
        "mute",
        "randomFromNumber",
        "machineDetection",
        "event_url",
        "max_digits",
        "txet",
        "ringback",
        "voiceName",
    }
)
WORDS = [
    "talk",
    "input",
    "connect",
    "pay",
    "phone",
    "sip",
    "POST",
    "true",
    "45",
    "+447700900001",
    "en-gb",
    "<speak>",
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 130)
    | st.integers()
    | st.floats(-2, 12, width=16)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=12)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), inner, max_size=5)
    ),
    max_leaves=15,
)


def with_(action: dict[str, Any], dotted: str, value: object) -> list[dict[str, Any]]:
    """Return a flow of *action* with *value* at *dotted*."""
    action = copy.deepcopy(action)
    *way, last = dotted.split(".")
    holder = action
    for step in way:
        holder = holder[step]
    holder[last] = value
    return [action]


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values in *value*."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path] + [found for step, each in inner for found in paths(each, (*path, step))]


@st.composite
def altered(draw: st.DrawFn) -> Any:
    """Return a flow of the reference with some values replaced, removed or added."""
    flow: Any = copy.deepcopy(draw(st.sampled_from(list(EXAMPLES.values()))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(paths(flow)))
        if not at:
            continue
        holder = flow
        for step in at[:-1]:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "drop", "add"])):
            case "replace":
                holder[at[-1]] = draw(JSON)
            case "drop":
                del holder[at[-1]]
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = draw(JSON)
            case _:
                holder.append(draw(JSON))
    return flow


FLOWS = (
    altered()
    | JSON
    | st.lists(st.fixed_dictionaries({"action": st.sampled_from(WORDS)}, optional={}), max_size=3)
)
