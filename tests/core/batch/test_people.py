"""Reading the list of a batch: every row becomes a person, or a fault with its line and column."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.batch.people import BadRow, Columns, PeopleList, normal
from voicectl.errors import InputError
from voicectl.store.batches.records import Person
from voicectl.voice import endpoint

A, B = "447700900001", "447700900002"


def people(content: str | bytes, **columns: str) -> PeopleList:
    raw = content if isinstance(content, bytes) else content.encode()
    return PeopleList(io.BufferedReader(io.BytesIO(raw)), Columns(**columns), "list.csv")  # type: ignore[type-var]


def numbers(content: str | bytes, **columns: str) -> list[str]:
    found = list(people(content, **columns))
    assert all(isinstance(row, Person) for row in found), found
    return [row.to for row in found if isinstance(row, Person)]


def faults(content: str | bytes, **columns: str) -> list[tuple[int, str | None]]:
    return [(row.line, row.column) for row in people(content, **columns) if isinstance(row, BadRow)]


@pytest.mark.parametrize(
    "content",
    [
        f"to\n{A}\n{B}\n",
        f"name,to\nAnn,{A}\nBob,{B}",
        f"name;Phone\r\nAnn;{A}\r\n\r\nBob;{B}\r\n",
        f"name\tNumber\nAnn\t+{A}\nBob\t{B}\n",
        '"name","to"\n"Ann, the\nfirst","+44 7700 900001"\nBob,+44 (7700) 900-002\n',
        f'{{"to": "{A}", "name": "Ann"}}\n\n{{"to": {B}}}\n',
        b"\xef\xbb\xbf" + f"to\n{A}\n{B}\n".encode(),
        f"to\n{A}\n{B}\n".encode("utf-16"),
    ],
    ids=["plain", "columns", "semicolons", "tabs", "quotes", "json lines", "utf-8 bom", "utf-16"],
)
def test_a_list_is_read_in_the_ways_in_which_people_save_it(content: str | bytes) -> None:
    assert numbers(content) == [A, B]


def test_rows_keep_their_values_and_the_line_on_which_they_begin() -> None:
    first, second = people(f'name,to\n"Ann\nLee",{A}\nBob,{B}\n')

    assert isinstance(first, Person)
    assert isinstance(second, Person)
    assert (first.line, dict(first.fields)) == (2, {"name": "Ann\nLee", "to": A})
    assert second.line == 4


def test_columns_can_be_chosen() -> None:
    (row,) = people(
        f"to,home,mobile,ok,language\nx,{A},{B},Yes,de-DE\n", to="home", second="mobile", consent="ok"
    )

    assert isinstance(row, Person)
    assert (row.to, row.second, row.refusal) == (A, B, None)


def test_a_person_without_consent_is_kept_but_not_called() -> None:
    found = list(people(f"to,ok\n{A},no\n{B},\n", consent="ok"))

    assert [row.refusal for row in found if isinstance(row, Person)] == [("refused", "no consent")] * 2


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("Ann,4.47701E+11,en-GB,UTC,yes", "to"),
        ("Ann,,en-GB,UTC,yes", "to"),
        ("Ann,07700900001,en-GB,UTC,yes", "to"),
        ("Ann,0044770090000,en-GB,UTC,yes", "to"),
        ("Ann,٤٤٧٧٠٠٩٠٠٠٠١,en-GB,UTC,yes", "to"),
        ("Ann,=cmd(),en-GB,UTC,yes", "to"),
        (f"Ann,{A},Klingon,UTC,yes", "language"),
        (f"Ann,{A},en-GB,Mars/Base,yes", "tz"),
        (f"Ann,{A},en-GB,../../etc/passwd,yes", "tz"),
        (f"Ann,{A},en-GB,UTC,perhaps", "ok"),
        (f"Ann,{A},en-GB,UTC", None),
        (f"Ann,{A},en-GB,UTC,yes,more", None),
        (f"An\0n,{A},en-GB,UTC,yes", "name"),
    ],
)
def test_a_bad_row_is_reported_with_line_and_column_and_the_others_are_read(
    row: str, column: str | None
) -> None:
    content = f"name,to,language,tz,ok\nBob,{B},,UTC,yes\n{row}\n{row}\nBob,{B},,UTC,yes\n"

    assert faults(content, timezone="tz", consent="ok") == [(3, column), (4, column)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f'to\n{A}\n"{B}\n{B}\n', 3),
        (f"to\n{A}\n{'9' * 200_000}\n", 3),
        (f"to\n{A}\n{'9' * 2_000_000}\n", 3),
        (f"to\n{A}\n".encode() + b"\xff\xfe\xfd\n", 3),
        (f'{{"to": "{A}"}}\nnot json\n', 2),
        (f'{{"to": "{A}"}}\n[1]\n', 2),
        (f'{{"to": "{A}"}}\n{{"to": 4.47e11}}\n', 2),
    ],
    ids=["unclosed quote", "long field", "long line", "bytes", "no json", "no object", "a float"],
)
def test_what_cannot_be_read_is_a_fault_with_its_line(content: str | bytes, line: int) -> None:
    assert [at for at, _ in faults(content)] == [line]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("name,city\nAnn,Leeds\n", "no column to, number or phone"),
        (f"{A}\n{B}\n", "no column"),
        (f"to,to\n{A},{B}\n", "two columns called 'to'"),
        (f"to\n{A}\n".encode("utf-16-le"), "NUL"),
    ],
    ids=["nothing", "blank", "no number column", "no header", "a column twice", "utf-16 without mark"],
)
def test_a_list_that_cannot_be_used_is_refused(content: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        people(content)


def test_a_chosen_column_must_exist() -> None:
    with pytest.raises(InputError, match="--second-column"):
        people(f"to\n{A}\n", second="mobile")


@given(st.text(max_size=30))
def test_a_normal_number_is_normal_and_can_be_dialled(text: str) -> None:
    try:
        found = normal(text)
    except InputError:
        return
    assert normal(found) == found
    assert endpoint.parse(found)
    if endpoint.parse(found)["type"] == "phone":
        assert found.isascii()
        assert found.isdigit()


@pytest.mark.parametrize("written", [f"+{A}", "+44 7700 900001", f" {A} ", "+44-7700-900001"])
def test_every_way_of_writing_a_number_is_one_person(written: str) -> None:
    assert normal(written) == A


@given(st.lists(st.binary(max_size=40), max_size=8).map(b"\n".join))
def test_no_bytes_raise_anything_but_our_own_errors(content: bytes) -> None:
    try:
        rows = list(people(b"to\n" + content))
    except InputError:
        return
    assert all(isinstance(row, (Person, BadRow)) for row in rows)
