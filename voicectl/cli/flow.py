"""Reading an NCCO that a user wrote."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from voicectl.errors import InputError

if TYPE_CHECKING:
    from voicectl.cli.context import App
    from voicectl.voice.ncco import Ncco


def read_ncco(app: App, name: str) -> Ncco:
    """The NCCO in the file *name*, or on standard input where it is ``-``.

    Raises:
        InputError: It is not JSON, or not an array of actions; says where.
    """
    where = "Standard input" if name == "-" else name
    content = app.read_input(name, "an NCCO")
    try:
        flow = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as exc:
        raise InputError(f"{where} is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}.") from exc
    except (ValueError, RecursionError) as exc:
        raise InputError(
            f"{where} is not JSON that can be sent.", hint="It must be UTF-8, without NaN."
        ) from exc
    hint = 'An NCCO is an array of actions: [{"action": "talk", "text": "Hello"}]'
    if not isinstance(flow, list) or not flow:
        raise InputError(f"{where} is not an NCCO: it is not an array with actions in it.", hint=hint)
    for index, action in enumerate(flow):
        if not isinstance(action, dict) or not isinstance(action.get("action"), str):
            raise InputError(f"{where} is not an NCCO: $[{index}] names no action.", hint=hint)
    return flow


def _finite(text: str) -> float:
    """The number *text*; ``1e999`` would be read as an infinite one, which JSON cannot say."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
