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
    found.error(path, f"This is {kind(value)}.", f"Write {shape.right}.")
    return False


def _text(shape: shapes.Text, value: Any, path: Path, found: Findings) -> None:
    if not _is(str, shape, value, path, found):
        return
    if shape.pattern is not None and not re.fullmatch(shape.pattern, value):
        found.error(path, f"This is {shown(value)}.", f"Write {shape.right}.")
    elif shape.tolerated and value.startswith(shape.tolerated):
        bare = value.removeprefix(shape.tolerated)
        found.warn(path, f"The {shape.tolerated} does not belong here.", f"Write {bare}.")
    if shape.most is not None and len(value) > shape.most:
        found.error(path, f"This has {len(value)} characters.", f"Write {shape.right}.")
    if shape.known and value.lower() not in map(str.lower, shape.known):
        near = _meant(value, shape.known, found)
        hint = f'Did you mean "{near}"?' if near else f"Write {shape.right}."
        found.warn(path, f"{shown(value)} is not a documented language code.", hint)


def _number(shape: shapes.Number, value: Any, path: Path, found: Findings) -> None:
    number = value
    if isinstance(value, str) and re.fullmatch(
        shapes.WHOLE_AS_TEXT if shape.whole else shapes.NUMBER_AS_TEXT, value
    ):
        found.warn(path, f"This number is written as a string: {shown(value)}.", "Write it without quotes.")
        number = float(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        found.error(path, f"This is {kind(value)}.", f"Write {shape.right}.")
        return
    elif isinstance(value, float) and not (value.is_integer() if shape.whole else math.isfinite(value)):
        found.error(path, f"This is {shown(value)}.", f"Write {shape.right}.")
        return
    is_low = shape.least is not None and number < shape.least
    if is_low or (shape.most is not None and number > shape.most):
        bound = f"less than {shape.least}" if is_low else f"more than {shape.most}"
        note = found.warn if shape.is_clamped else found.error
        cut = f"; the platform uses {shape.least if is_low else shape.most}" if shape.is_clamped else ""
        note(path, f"{shown(value)} is {bound}{cut}.", f"Write {shape.right}.")
    elif shape.step is not None and not math.isclose(
        number / shape.step, round(number / shape.step), abs_tol=1e-9
    ):
        found.warn(
            path, f"{shown(value)} is not a multiple of {shape.step}.", f"Write a multiple of {shape.step}."
        )


def _flag(shape: shapes.Flag, value: Any, path: Path, found: Findings) -> None:
    if isinstance(value, str) and value in shapes.FLAG_AS_TEXT:
        found.warn(path, f"This is written as a string: {shown(value)}.", f"Write {value}, without quotes.")
    else:
        _is(bool, shape, value, path, found)


def _choice(shape: shapes.Choice, value: Any, path: Path, found: Findings) -> None:
    if _is(str, shape, value, path, found) and value not in shape.values:
        near = _meant(value, shape.values, found) if len(shape.values) > 1 else None
        hint = f'Did you mean "{near}"?' if near else f"Write {shape.right}."
        found.error(path, f"This is {shown(value)}.", hint)


def _array(shape: shapes.Array, value: Any, path: Path, found: Findings) -> None:
    if not _is(list, shape, value, path, found):
        return
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        items = f"{len(value) or 'no'} item{'s' * (len(value) != 1)}"
        found.error(path, f"This array has {items}.", f"Write {shape.right}.")
    for index, item in enumerate(value):
        check(shape.item, item, (*path, index), found)


def _free(shape: shapes.Free, value: Any, path: Path, found: Findings) -> None:
    if not _is(dict, shape, value, path, found):
        return
    if shape.values is not None:
        for name, each in value.items():
            check(shape.values, each, (*path, name), found)
    if shape.most_bytes is not None:
        size = _size(value)
        if size is None or size > shape.most_bytes:
            found.error(
                path,
                f"This takes {'far too many' if size is None else size} bytes as JSON.",
                f"Shorten it to at most {shape.most_bytes} bytes.",
            )


def _size(value: Any) -> int | None:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return len(text.encode("utf-8", "surrogatepass"))


def _variant(shape: shapes.Variant, value: Any, path: Path, found: Findings) -> None:
    if not _is(dict, shape, value, path, found):
        return
    if shape.tag not in value:
        found.error(path, f"This {shape.what} has no {shape.tag}.", f"Write {shape.right}.")
        return
    name = value[shape.tag]
    record = shape.records.get(name) if isinstance(name, str) else None
    if record is not None:
        _record(record, value, path, found, tag=shape.tag)
        return
    near = _meant(name, shape.records, found) if isinstance(name, str) else None
    hint = f'Did you mean "{near}"?' if near else f"Write one of {', '.join(shape.records)}."
    found.error((*path, shape.tag), f"{shown(name)} is not a known {shape.what}.", hint)


def _record(
    shape: shapes.Record, value: dict[str, Any], path: Path, found: Findings, tag: str | None = None
) -> None:
    if shape.deprecated:
        found.warn(path, f"{shape.name} is deprecated.", shape.deprecated)
    for name, each in value.items():
        if name == tag:
            continue
        option = shape.options.get(name)
        if option is None:
            _unknown(shape, name, value, path, found)
        else:
            _option(option, name, each, path, found)
    for name, option in shape.options.items():
        if option.required and not {name, *option.unless} & value.keys():
            hint = f'Add "{name}": {option.shape.right}.'
            found.error(path, f"This {shape.name} has no {name}.", hint)
    for rule in shape.rules:
        if _is_broken(rule, value):
            note = found.warn if rule.is_doubt else found.error
            note((*path, rule.other if rule.forbids else rule.option), rule.message, rule.hint)


def _option(option: shapes.Option, name: str, value: Any, path: Path, found: Findings) -> None:
    here = (*path, name)
    if option.deprecated:
        found.warn(here, f"{name} is deprecated.", option.deprecated)
    if option.newer:
        found.warn(
            here,
            f"{name} is not in the public documentation: {option.newer}.",
            "Test it before you rely on it.",
        )
    if option.alias_of:
        found.warn(here, f"{name} is another spelling of {option.alias_of}.", f"Write {option.alias_of}.")
    check(option.shape, value, here, found)


def _unknown(shape: shapes.Record, name: str, value: dict[str, Any], path: Path, found: Findings) -> None:
    """Report an unknown option: an error if its name is misspelt, otherwise a warning, as the option may be new."""
    here = (*path, name)
    spelt = shapes.spelling(name)
    same = next((each for each in shape.options if _spelt(each) == spelt), None)
    if same is not None:
        hint = shape.options[same].deprecated or f"Write {same}."
        found.error(here, f"{shape.name} has no option {shown(name)}.", hint)
        return
    names = [each for each, option in shape.options.items() if not option.alias_of and not option.deprecated]
    near = _meant(name, (each for each in names if each not in value), found)
    hint = f"Did you mean {near}?" if near else f"Its options are {', '.join(names)}."
    found.warn(here, f"{shape.name} has no option {shown(name)}.", hint)


def _is_broken(rule: shapes.Rule, value: dict[str, Any]) -> bool:
    if rule.option not in value or not _has(value[rule.option], rule.value):
        return False
    is_there = rule.other in value and _has(value[rule.other], rule.other_value)
    if rule.forbids:
        return is_there and not (rule.but_empty and value[rule.other] == {})
    return not is_there


def _has(value: object, wanted: object) -> bool:
    if wanted is shapes.GIVEN:
        return True
    return is_true(value) if wanted is True else value == wanted
