"""JSON that can be sent on as it was read: without ``NaN``, infinite numbers and, if wanted, keys given twice."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(content: bytes | str, *, has_unique_keys: bool = False, max_depth: int | None = None) -> Any:
    """The value of *content*; of bytes the encoding is found out.

    Args:
        max_depth: How deep it may be nested; None: as deep as Python reads it, which depends on who calls.

    Raises:
        ValueError: It is not JSON, or holds what JSON cannot say or what is refused here.
        RecursionError: It is nested too deep.
    """
    if isinstance(content, bytes):
        content = content.decode(json.detect_encoding(content), "surrogatepass")
    found = (_UNIQUE if has_unique_keys else DECODER).decode(content)
    if (
        max_depth is not None
        and content.count("{") + content.count("[") > max_depth
        and is_deeper(found, max_depth)
    ):
        raise ValueError(f"nested more than {max_depth} levels deep")
    return found


def fields(value: object) -> dict[str, Any]:
    """The object *value*; an empty one if it is something else."""
    return value if isinstance(value, dict) else {}


def is_deeper(value: Any, depth: int) -> bool:
    """Whether *value* is nested more than *depth* deep."""
    level = [value]
    for _ in range(depth + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return False
        level = [each for node in level for each in (node.values() if isinstance(node, dict) else node)]
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _finite(text: str) -> float:
    """The number *text*; ``1e999`` would be read as an infinite one."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# Made once: to make one takes as long as to read a small object.
DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_UNIQUE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
