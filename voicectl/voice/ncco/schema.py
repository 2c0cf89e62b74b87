"""Conversion of the NCCO model to a JSON Schema (2020-12) for editors.

The schema covers types, ranges, choices, and rules within one object. The linter reports an error for every
value that the schema rejects. Rules about the order of actions are checked only by the linter.
"""

from __future__ import annotations

from typing import Any

from voicectl.voice.ncco import shapes
from voicectl.voice.ncco.model import NCCO
from voicectl.voice.ncco.verdicts import VERDICTS, Severity

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_WORDS = ("description", "default", "deprecated", "examples")


def schema() -> Schema:
    """Return the JSON Schema for NCCOs."""
    definitions: dict[str, Schema] = {}
    root = _shape(NCCO, definitions)
    head = {"$schema": DIALECT, "title": "NCCO", "description": "The actions that a leg runs, in order."}
    return head | root | {"$defs": definitions}


def _shape(shape: shapes.Shape, definitions: dict[str, Schema]) -> Schema:
    match shape:
        case shapes.Text():
            return _text(shape)
        case shapes.Number():
            return _number(shape)
        case shapes.Flag():
            return {"anyOf": [{"type": "boolean"}, {"enum": list(shapes.FLAG_AS_TEXT)}]}
        case shapes.Choice():
            return {"enum": list(shape.values)}
        case shapes.Array():
            items = _shape(shape.item, definitions)
            bounds = {"minItems": None if shape.may_be_empty else shape.least or None, "maxItems": shape.most}
            return {"type": "array", "items": items} | _given(bounds)
        case shapes.Free():
            values = {} if shape.values is None else {"additionalProperties": _or_null(_text(shape.values))}
            return {"type": "object"} | values
        case shapes.Record():
            return _record(shape, definitions)
        case shapes.Variant():
            return _variant(shape, definitions)


def _text(shape: shapes.Text) -> Schema:
    pattern = None if shape.pattern is None else f"^(?:{shape.pattern})$"
    is_bound = VERDICTS[shape.too_long] is Severity.ERROR
    most = shape.most if is_bound else None
    keywords = {"pattern": pattern, "maxLength": most, "examples": list(shape.known) or None}
    text = {"type": "string"} | _given(keywords)
    if not shape.may_be_in_array:
        return text
    return {"anyOf": [text, {"type": "array", "items": text, "minItems": 1, "maxItems": 1}]}


def _or_null(schema: Schema) -> Schema:
    """Return *schema* changed to also allow null, which counts as absent. Descriptions remain at the top level."""
    words = {name: schema[name] for name in _WORDS if name in schema}
    rest = {name: value for name, value in schema.items() if name not in _WORDS}
    return words | {"anyOf": [rest, {"type": "null"}]}


def _number(shape: shapes.Number) -> Schema:
    bounds = {} if shape.is_clamped else _given({"minimum": shape.least, "maximum": shape.most})
    as_text = shapes.WHOLE_AS_TEXT if shape.whole else shapes.NUMBER_AS_TEXT
    return {
        "anyOf": [
            {"type": "integer" if shape.whole else "number"} | bounds,
            {"type": "string", "pattern": f"^{as_text}$"},
        ]
    }


def _variant(shape: shapes.Variant, definitions: dict[str, Schema]) -> Schema:
    """Return a schema that selects one record by its tag, so that editors report only the errors of that record."""
    for name, record in shape.records.items():
        definitions[f"{shape.what}.{name}"] = _record(record, definitions)
    return {
        "type": "object",
        "required": [shape.tag],
        "properties": {shape.tag: {"enum": list(shape.records)}},
        "allOf": [
            {
                "if": {"properties": {shape.tag: {"const": name}}, "required": [shape.tag]},
                "then": {"$ref": f"#/$defs/{shape.what}.{name}"},
            }
            for name in shape.records
        ],
    }


def _record(shape: shapes.Record, definitions: dict[str, Schema]) -> Schema:
    required = [name for name, option in shape.options.items() if option.required and not option.unless]
    either = [
        {"anyOf": [_has(each, shapes.GIVEN) for each in (name, *option.unless)]}
        for name, option in shape.options.items()
        if option.required and option.unless
    ]
    rules = either + [_rule(rule) for rule in shape.rules if VERDICTS[rule.fault] is Severity.ERROR]
    properties = {
        name: schema if name in required else _or_null(schema)
        for name, option in shape.options.items()
        for schema in [_option(option, definitions)]
    }
    keywords = {
        "description": shape.about or None,
        "deprecated": bool(shape.deprecated) or None,
        "required": required or None,
        "allOf": rules or None,
    }
    return {"type": "object", "properties": properties} | _given(keywords)


def _option(option: shapes.Option, definitions: dict[str, Schema]) -> Schema:
    words = [option.about, option.deprecated]
    if option.alias_of:
        words.append(f"Another spelling of {option.alias_of}.")
    keywords = {
        "description": " ".join(word for word in words if word) or None,
        "default": option.default,
        "deprecated": bool(option.deprecated or option.alias_of) or None,
    }
    return _given(keywords) | _shape(option.shape, definitions)


def _rule(rule: shapes.Rule) -> Schema:
    condition = _has(rule.option, rule.value)
    if not rule.forbids:
        return {"if": condition, "then": _has(rule.other, rule.other_value)}
    allowed: Schema = {"type": "null"}
    if rule.but_empty:
        allowed = {"type": ["object", "null"], "additionalProperties": {"type": "null"}}
    return {"if": condition, "then": {"properties": {rule.other: allowed}}}


def _has(name: str, value: object) -> Schema:
    required: Schema = {"required": [name]}
    if value is shapes.GIVEN:
        return required | {"properties": {name: {"not": {"type": "null"}}}}
    return required | {"properties": {name: {"enum": [True, "true"] if value is True else [value]}}}


def _given(keywords: dict[str, Any]) -> Schema:
    return {name: value for name, value in keywords.items() if value is not None}
