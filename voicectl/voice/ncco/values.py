"""Validation of a value against the NCCO model: types, ranges, option names, and rules within one object.

The depth of recursion depends on the model, not on the value, so deeply nested values cannot exhaust the stack.
"""

from __future__ import annotations

import json
import math
import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from voicectl.voice.ncco import shapes
from voicectl.voice.ncco.findings import Findings, kind, shown
from voicectl.voice.ncco.verdicts import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicectl.voice.json_places import Path

_MOST_COMPARED = 40

_spelt = lru_cache(512)(shapes.spelling)
"""A cached version of ``spelling`` for names in the model. User input may contain too many names to cache."""


def check(shape: shapes.Shape, value: Any, path: Path, found: Findings) -> None:
    """Add a finding to *found* for each place where *value* does not match *shape*."""
    match shape:
        case shapes.Text():
            _text(shape, value, path, found)
        case shapes.Number():
            _number(shape, value, path, found)
        case shapes.Flag():
            _flag(shape, value, path, found)
        case shapes.Choice():
            _choice(shape, value, path, found)
        case shapes.Array():
            _array(shape, value, path, found)
        case shapes.Free():
            _free(shape, value, path, found)
        case shapes.Record():
            if _is(dict, shape, value, path, found):
                _record(shape, value, path, found)
        case shapes.Variant():
            _variant(shape, value, path, found)


def given(value: dict[str, Any]) -> dict[str, Any]:
    """Return the options in *value*, an object of an NCCO, that are not null. A null option counts as absent."""
    return {name: each for name, each in value.items() if each is not None}


def is_true(value: object) -> bool:
    """Return True if *value* is True or the string ``"true"``."""
    return value is True or value == "true"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the element of *words* that is most similar to *word*, or None if no element is similar enough."""
    if len(word) > _MOST_COMPARED:
        return None
    meant = {shapes.spelling(each): each for each in words}
    near = get_close_matches(shapes.spelling(word), meant, n=1)
    return meant[near[0]] if near else None


def _meant(word: str, words: Iterable[str], found: Findings) -> str | None:
    return nearest(word, words) if found.may_guess() else None


def _is(type_: type, shape: shapes.Shape, value: Any, path: Path, found: Findings) -> bool:
    if isinstance(value, type_):
        return True
    found.add(Fault.WRONG_TYPE, path, f"This is {kind(value)}.", f"Write {shape.right}.")
    return False


def _text(shape: shapes.Text, value: Any, path: Path, found: Findings) -> None:
    if shape.may_be_in_array and isinstance(value, list) and len(value) == 1:
        found.add(Fault.IN_ARRAY, path, "This is an array.", f"Write {shape.right}, not in an array.")
        value, path = value[0], (*path, 0)
    if not _is(str, shape, value, path, found):
        return
    if not shape.allows(value):
        found.add(Fault.MALFORMED, path, f"This is {shown(value)}.", f"Write {shape.right}.")
    elif shape.usual is not None and not re.fullmatch(shape.usual, value):
        found.add(shape.doubt, path, f"This is {shown(value)}{shape.effect}.", f"Write {shape.right}.")
    elif shape.tolerated and value.startswith(shape.tolerated):
        bare = value.removeprefix(shape.tolerated)
        found.add(Fault.PLUS, path, f"The {shape.tolerated} does not belong here.", f"Write {bare}.")
    if shape.most is not None and len(value) > shape.most:
        hint = f"Write {shape.right}, of at most {shape.most} characters."
        found.add(shape.too_long, path, f"This has {len(value)} characters.", hint)
    if shape.known and value.lower() not in map(str.lower, shape.known):
        near = _meant(value, shape.known, found)
        hint = f'Did you mean "{near}"?' if near else f"Write {shape.right}."
        found.add(Fault.UNKNOWN_LANGUAGE, path, f"{shown(value)} is not a documented language code.", hint)


def _number(shape: shapes.Number, value: Any, path: Path, found: Findings) -> None:
    number = _as_number(shape, value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        found.add(Fault.WRONG_TYPE, path, f"This is {kind(value)}.", f"Write {shape.right}.")
        return
    if isinstance(number, float) and not (number.is_integer() if shape.whole else math.isfinite(number)):
        found.add(Fault.WRONG_TYPE, path, f"This is {shown(value)}.", f"Write {shape.right}.")
        return
    if isinstance(value, str):
        message = f"This number is written as a string: {shown(value)}."
        found.add(Fault.AS_TEXT, path, message, "Write it without quotes.")
    is_low = shape.least is not None and number < shape.least
    if is_low or (shape.most is not None and number > shape.most):
        bound = f"less than {shape.least}" if is_low else f"more than {shape.most}"
        fault = Fault.CLAMPED if shape.is_clamped else Fault.OUT_OF_RANGE
        cut = f"; the platform uses {shape.least if is_low else shape.most}" if shape.is_clamped else ""
        found.add(fault, path, f"{shown(value)} is {bound}{cut}.", f"Write {shape.right}.")
    elif shape.step is not None and not _is_multiple(number, shape.step):
        message, hint = f"{shown(value)} is not a multiple of {shape.step}.", f"a multiple of {shape.step}"
        found.add(Fault.ODD_STEP, path, message, f"Write {hint}.")


def _as_number(shape: shapes.Number, text: str) -> float | None:
    """Return the number that is written as *text*, or None if *text* is not a number of this shape."""
    if not re.fullmatch(shapes.WHOLE_AS_TEXT if shape.whole else shapes.NUMBER_AS_TEXT, text):
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:  # thousands of digits, which Python refuses to convert
        return None


def _is_multiple(number: float, step: float) -> bool:
    return math.isclose(number / step, round(number / step), abs_tol=1e-9)


def _flag(shape: shapes.Flag, value: Any, path: Path, found: Findings) -> None:
    if isinstance(value, str) and value in shapes.FLAG_AS_TEXT:
        message = f"This is written as a string: {shown(value)}."
        found.add(Fault.AS_TEXT, path, message, f"Write {value}, without quotes.")
    else:
        _is(bool, shape, value, path, found)


def _choice(shape: shapes.Choice, value: Any, path: Path, found: Findings) -> None:
    if _is(str, shape, value, path, found) and value not in shape.values:
        near = _meant(value, shape.values, found) if len(shape.values) > 1 else None
        hint = f'Did you mean "{near}"?' if near else f"Write {shape.right}."
        found.add(Fault.NOT_A_CHOICE, path, f"This is {shown(value)}.", hint)


def _array(shape: shapes.Array, value: Any, path: Path, found: Findings) -> None:
    if not _is(list, shape, value, path, found):
        return
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        items = f"{len(value) or 'no'} item{'s' * (len(value) != 1)}"
        fault = Fault.NO_URL if shape.may_be_empty and not value else Fault.WRONG_COUNT
        found.add(fault, path, f"This array has {items}.", f"Write {shape.right}.")
    for index, item in enumerate(value):
        check(shape.item, item, (*path, index), found)


def _free(shape: shapes.Free, value: Any, path: Path, found: Findings) -> None:
    if not _is(dict, shape, value, path, found):
        return
    if shape.values is not None:
        for name, each in value.items():
            if each is None:
                _null(name, (*path, name), found)
            else:
                check(shape.values, each, (*path, name), found)
    if shape.most_bytes is not None:
        size = _size(value)
        if size is None or size > shape.most_bytes:
            message = f"This takes {'far too many' if size is None else size} bytes as JSON."
            hint = (
                f"Shorten it to the documented {shape.most_bytes} bytes, in case the platform truncates it."
            )
            found.add(Fault.BIG_HEADERS, path, message, hint)


def _null(name: str, path: Path, found: Findings) -> None:
    found.add(Fault.NULL, path, f"{name} is null, which counts as absent.", f"Remove {name}.")


def _size(value: Any) -> int | None:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return len(text.encode("utf-8", "surrogatepass"))


def _variant(shape: shapes.Variant, value: Any, path: Path, found: Findings) -> None:
    if not _is(dict, shape, value, path, found):
        return
    name = value.get(shape.tag)
    if name is None:
        found.add(
            Fault.NO_KIND, path, f'This {shape.what} has no "{shape.tag}" field.', f"Write {shape.right}."
        )
        return
    record = shape.records.get(name) if isinstance(name, str) else None
    if record is not None:
        _record(record, value, path, found, tag=shape.tag)
        return
    hint = shape.advice.get(shapes.spelling(name)) if isinstance(name, str) else None
    if hint is None:
        near = _meant(name, shape.records, found) if isinstance(name, str) else None
        hint = f'Did you mean "{near}"?' if near else f"Write one of {', '.join(shape.records)}."
    message = f"{shown(name)} is not a known {shape.what}."
    found.add(Fault.UNKNOWN_KIND, (*path, shape.tag), message, hint)


def _record(
    shape: shapes.Record, value: dict[str, Any], path: Path, found: Findings, tag: str | None = None
) -> None:
    if shape.deprecated:
        found.add(Fault.DEPRECATED, path, f"{shape.name} is deprecated.", shape.deprecated)
    there = given(value)
    missing = [
        name
        for name, option in shape.options.items()
        if option.required and not {name, *option.unless} & there.keys()
    ]
    for name, each in value.items():
        if name == tag:
            continue
        option = shape.options.get(name)
        if option is None:
            _unknown(shape, name, value, path, found)
        elif each is not None:
            _option(option, name, each, path, found)
        elif name not in missing:
            _null(name, (*path, name), found)
    for name in missing:
        hint = f'Add "{name}": {shape.options[name].shape.right}.'
        found.add(Fault.MISSING, path, f"This {shape.name} has no {name}.", hint)
    for rule in shape.rules:
        if _is_broken(rule, there):
            where = (*path, rule.other if rule.forbids else rule.option)
            found.add(rule.fault, where, rule.message, rule.hint)


def _option(option: shapes.Option, name: str, value: Any, path: Path, found: Findings) -> None:
    here = (*path, name)
    if option.deprecated:
        found.add(Fault.DEPRECATED, here, f"{name} is deprecated.", option.deprecated)
    if option.alias_of:
        message = f"{name} is another spelling of {option.alias_of}."
        found.add(Fault.OTHER_SPELLING, here, message, f"Write {option.alias_of}.")
    check(option.shape, value, here, found)


def _unknown(shape: shapes.Record, name: str, value: dict[str, Any], path: Path, found: Findings) -> None:
    """Warn about an unknown option, which the platform ignores. If the name is misspelt, the hint corrects it."""
    here = (*path, name)
    spelt = shapes.spelling(name)
    same = next((each for each in shape.options if _spelt(each) == spelt), None)
    message = f"{shape.name} has no option {shown(name)}."
    if same is not None:
        hint = shape.options[same].deprecated or f"Write {same}."
        found.add(Fault.MISSPELT_OPTION, here, message, hint)
        return
    names = [each for each, option in shape.options.items() if not option.alias_of and not option.deprecated]
    near = _meant(name, (each for each in names if each not in value), found)
    hint = f"Did you mean {near}?" if near else f"Its options are {', '.join(names)}."
    found.add(Fault.UNKNOWN_OPTION, here, message, hint)


def _is_broken(rule: shapes.Rule, value: dict[str, Any]) -> bool:
    """Return True if *value*, an object without null options, breaks *rule*."""
    if rule.option not in value or not _has(value[rule.option], rule.value):
        return False
    is_there = rule.other in value and _has(value[rule.other], rule.other_value)
    if rule.forbids:
        return is_there and not (rule.but_empty and _is_empty(value[rule.other]))
    return not is_there


def _is_empty(value: object) -> bool:
    return isinstance(value, dict) and not given(value)


def _has(value: object, wanted: object) -> bool:
    if wanted is shapes.GIVEN:
        return True
    return is_true(value) if wanted is True else value == wanted
