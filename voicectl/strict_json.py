"""A strict JSON decoder, which refuses ``NaN``, infinite numbers and, on request, duplicate keys."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(content: bytes | str, *, has_unique_keys: bool = False, max_depth: int | None = None) -> Any:
    """Decode the JSON document *content*, and return its value. If *content* is bytes, the encoding is detected.

    Args:
        has_unique_keys: True to refuse duplicate keys.
        max_depth: The maximum depth of nesting, or None for Python's own limit, which depends on the caller's stack.

    Raises:
        ValueError: *content* is not valid JSON, or contains something that this decoder refuses.
        RecursionError: *content* is nested too deeply for Python.
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
    """Return *value* if it is a JSON object (a dictionary), or an empty dictionary if it is not."""
    return value if isinstance(value, dict) else {}


def is_deeper(value: Any, depth: int) -> bool:
    """Return True if *value* is nested more than *depth* levels deep."""
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
    """Convert *text* to a number. Refuse numbers such as ``1e999``, which Python reads as infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


# The decoders are created only once, since creating a decoder takes as long as decoding a small object.
DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_UNIQUE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
