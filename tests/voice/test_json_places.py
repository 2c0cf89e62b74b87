"""JSON with places: the same values as ``json`` reads, the place of each, and clear errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.flows import JSON
from voicectl.voice.json_places import MAX_DEPTH, BadJson, Lines, Path, read, show

SPACE = st.text(alphabet=" \t\n\r", max_size=4)


@st.composite
def spaced(draw: st.DrawFn) -> tuple[str, Any, dict[Path, int]]:
    """A JSON text with any white space, its value, and where each value in it begins."""
    parts: list[str] = []
    places: dict[Path, int] = {}

    def put(text: str) -> None:
        parts.extend((draw(SPACE), text))

    def write(value: Any, path: Path) -> None:
        parts.append(draw(SPACE))
        places[path] = sum(map(len, parts))
        if isinstance(value, list):
            parts.append("[")
            for index, item in enumerate(value):
                if index:
                    put(",")
                write(item, (*path, index))
            put("]")
        elif isinstance(value, dict):
            parts.append("{")
            for index, (name, item) in enumerate(value.items()):
                put("," if index else "")
                put(json.dumps(name, ensure_ascii=draw(st.booleans())))
                put(":")
                write(item, (*path, name))
            put("}")
        else:
            parts.append(json.dumps(value, ensure_ascii=draw(st.booleans())))

    value = draw(JSON)
    write(value, ())
    parts.append(draw(SPACE))
    return "".join(parts), value, places


@given(spaced())
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_every_value_is_found_at_its_place(case: tuple[str, Any, dict[Path, int]]) -> None:
    text, value, places = case

    document = read(text)

    assert document.value == value
    assert document.offsets == places
    assert document.repeated == []


@given(st.text(alphabet='[]{}",:0123456789.eE-+truefalsn\\u \n', max_size=30) | st.text(max_size=20))
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_it_accepts_and_refuses_the_same_texts_as_json(text: str) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        expected = json.loads(text, parse_constant=refuse)
    except ValueError:
        with pytest.raises(BadJson) as caught:
            read(text)
        assert 0 <= caught.value.offset <= len(text)
    else:
        assert read(text).value == expected


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "ends"),
        ("  \n", 3, "ends"),
        ("[1, 2", 5, "comma or ]"),
        ("[1 2]", 3, "comma or ]"),
        ("[1,]", 2, "extra comma"),
        ('{"a":1,}', 6, "extra comma"),
        ("{a: 1}", 1, "double quotes"),
        ("{'a': 1}", 1, "double quotes"),
        ('{"a" 1}', 5, "colon"),
        ('{"a": }', 6, "not a JSON value"),
        ("[nan]", 1, "not a JSON value"),
        ("[NaN]", 1, "number"),
        ("[-Infinity]", 1, "number"),
        ("[1e999]", 1, "number"),
        (f"[{'9' * 5000}]", 1, "number"),
        ('["a\nb"]', 3, "control character"),
        ('["abc', 1, "Unterminated"),
        ("[] []", 3, "after the end"),
        ("[01]", 2, "comma or ]"),
        ("[" * 100_000, MAX_DEPTH, "deep"),
        ('{"a":' * 100_000, MAX_DEPTH * 5, "deep"),
    ],
)
def test_a_syntax_error_is_reported_with_its_place(text: str, offset: int, words: str) -> None:
    with pytest.raises(BadJson) as caught:
        read(text)

    assert caught.value.offset == offset
    assert words in caught.value.message


def test_a_repeated_key_is_reported_at_its_second_place() -> None:
    document = read('{"a": 1, "b": {"a": 2, "a": 3}, "a": 4}')

    assert document.value == {"a": 4, "b": {"a": 3}}
    assert document.repeated == [(("b", "a"), 23), (("a",), 32)]
    assert document.offsets["a",] == 37


def test_nesting_is_read_up_to_the_bound() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert read(text).value == json.loads(text)


def test_lines_and_columns_count_from_one_and_in_characters() -> None:
    lines = Lines("ab\r\n\n\u00e9\U0001f600x")

    assert [lines.place(offset) for offset in range(8)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 1),
        (3, 1),
        (3, 2),
        (3, 3),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "$"),
        ((2, "dtmf", "timeOut"), "$[2].dtmf.timeOut"),
        ((0, "endpoint", 0, "content-type"), "$[0].endpoint[0]['content-type']"),
        (("it's", "a\\b", "\u00e9", ""), "$['it\\'s']['a\\\\b']['\u00e9']['']"),
    ],
)
def test_paths_are_shown_as_jsonpath(path: Path, text: str) -> None:
    assert show(path) == text
