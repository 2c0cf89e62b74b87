"""Lists in pages: a cursor leads through them while rows are added and deleted."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.sandbox.conversations.paging import page_of, read_window
from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.problems import Problem

URL = "http://127.0.0.1:4010/v1/things"


def page(rows: list[int], **query: str) -> tuple[list[int], dict[str, str]]:
    """The rows of a page, and the URLs of its links."""
    fields = Fields(dict(query))
    window = read_window(fields, query)
    fields.done()
    shown, links = page_of(((("", row), row) for row in rows), window, URL)
    return shown, {name: link["href"] for name, link in links.items()}


def follow(rows: list[int], url: str) -> tuple[list[int], dict[str, str]]:
    return page(rows, **{name: values[0] for name, values in parse_qs(urlsplit(url).query).items()})


@given(st.sets(st.integers(1, 500)), st.integers(1, 20), st.sampled_from(["asc", "desc", "DESC"]))
def test_following_next_shows_every_row_once_and_prev_leads_back(rows, size, order):
    expected = sorted(rows, reverse=order != "asc")
    shown, links = page(list(rows), page_size=str(size), order=order)
    pages = [shown]
    while "next" in links:
        shown, links = follow(list(rows), links["next"])
        pages.append(shown)

    assert [row for each in pages for row in each] == expected
    assert all(len(each) == size for each in pages[:-1])

    backwards = [pages.pop()]
    while "prev" in links:
        shown, links = follow(list(rows), links["prev"])
        backwards.append(shown)
    assert backwards[1:] == pages[::-1]
    assert links["first"] == f"{URL}?page_size={size}&order={order}"


@given(st.lists(st.integers(1, 500), unique=True, min_size=4), st.data())
def test_rows_deleted_during_paging_hide_none_that_stay(rows, data):
    shown, links = page(rows, page_size="2")
    gone = data.draw(st.sets(st.sampled_from(rows), max_size=len(rows) - 1))
    left = [row for row in rows if row not in gone]

    seen = list(shown)
    while "next" in links:
        shown, links = follow(left, links["next"])
        seen += shown

    assert set(left) <= set(seen)
    assert len(seen) == len(set(seen))


def test_an_empty_list_has_no_other_pages():
    assert page([]) == ([], {"first": URL, "self": URL})


def test_an_empty_cursor_counts_as_absent():
    assert page([1, 2], cursor="", page_size="1")[0] == [1]


@pytest.mark.parametrize(
    "cursor", ["x", "abcd", "!!", "W10", "WzFd", "eyJhIjoxfQ", "W251bGwsMSwxXQ", "ä", "A" * 100_000]
)
def test_a_cursor_of_another_application_is_refused(cursor):
    with pytest.raises(Problem) as caught:
        page([1], cursor=cursor)

    assert caught.value.status == 400
    assert caught.value.body["code"] == "paginator-builder:error:invalid-cursor"
