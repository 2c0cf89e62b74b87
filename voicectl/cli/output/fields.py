"""The fields of records: their paths, and the values at these paths as text."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from voicectl import times
from voicectl.cli.output.text import clean, to_json
from voicectl.errors import InputError
from voicectl.voice import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ABSENT = "-"
"""The text for a value that is absent."""


def find(record: Mapping[str, Any], path: str) -> Any:
    """Return the value at *path*, a dotted path such as ``to.number``, or None if there is no such value."""
    if "." not in path:
        return record.get(path)
    value: Any = record
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def text(value: Any, *, is_api_time: bool = False) -> str:
    """Return a value of a record as text, with everything that comes from outside escaped.

    Args:
        is_api_time: True if *value* is a time in the format of the API. It is then shown in UTC.
    """
    if isinstance(value, dict) and (not value or "type" in value or endpoint.label(value)):
        value = endpoint.label(value)
    if value is None or value == "":
        return ABSENT
    if is_api_time and isinstance(value, str):
        value = times.normal(value)
    if isinstance(value, str):
        return clean(value)
    if value is True or value is False:
        return "true" if value else "false"
    return str(value) if type(value) is int else clean(to_json(value))


def parse_fields(given: str) -> list[str]:
    """Split the value of ``--fields`` into paths.

    Raises:
        InputError: A path is empty, or contains characters that cannot be shown.
    """
    paths = [path.strip() for path in given.split(",")]
    if not all(path and path == clean(path) for path in paths):
        raise InputError(
            "--fields contains an empty or unprintable field name.",
            hint="Write it as --fields uuid,to.number",
        )
    return paths


def unlisted(paths: Iterable[str], listed: Iterable[str]) -> list[str]:
    """Return the *paths* whose first part is not the first part of any *listed* path.

    The rest of a path is not checked, because objects of the API may have more fields than are listed.
    """
    known = {path.partition(".")[0] for path in listed}
    return [path for path in paths if path.partition(".")[0] not in known]


def unknown_field(path: str, listed: Sequence[str]) -> InputError:
    """Return the error for a field that does not exist, with a hint that suggests similar fields."""
    near = [each for each in listed if each.rpartition(".")[2] == path] or get_close_matches(path, listed)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return InputError(f"No such field: {path}.", hint=f"{meant}'--fields help' lists all fields.")
