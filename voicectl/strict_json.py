"""JSON that can be sent on as it was read: without ``NaN``, infinite numbers and, if wanted, keys given twice."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(content: bytes | str, *, has_unique_keys: bool = False) -> Any:
    """The value of *content*; of bytes the encoding is found out.

    Raises:
        ValueError: It is not JSON, or holds what JSON cannot say or what is refused here.
        RecursionError: It is nested too deep.
    """
    return json.loads(
        content,
        object_pairs_hook=_unique if has_unique_keys else None,
        parse_constant=_refuse,
        parse_float=_finite,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    """The number *text*; ``1e999`` would be read as an infinite one."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
