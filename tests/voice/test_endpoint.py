"""Endpoints: one parser for user input, one label for records."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicectl.errors import InputError
from voicectl.voice import endpoint


@pytest.mark.parametrize("text", ["447700900001", "+447700900001", "1234567", "123456789012345", "+1234567"])
def test_a_number_is_e164_without_its_plus(text: str) -> None:
    assert endpoint.number(text) == text.removeprefix("+")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "123456",  # too short
        "1234567890123456",  # too long
        "00447700900001",
        "0447700900001",
        "++447700900001",
        "+ 447700900001",
        "447700900001+",
        "447700900001\n",
        "\n447700900001",
        " 447700900001",
        "44 7700 900001",
        "44-7700-900001",
        "(44)7700900001",
        "447700900001x12",
        "447700900001;ext=12",
        "447700900001,12",
        "447700900001#",
        "4.47701E+11",  # as a spreadsheet shows a number
        "447700900001.0",
        "4_4_7_7_0_0_9",  # int() takes it
        "0x1A2B3C4D",
        "-447700900001",
        "\u0664\u0664\u0667\u0667\u0660\u0660\u0669\u0660\u0660\u0660\u0660\u0661",  # str.isdigit() takes it
        "\uff14\uff14\uff17\uff17\uff10\uff10\uff19\uff10\uff10\uff10\uff10\uff11",
        "44770090000\u00b9",
        "44770090000\u2460",
        "44770090000\u0661",
        "\u200b447700900001",
        "447700900001\u202c",
        "\ufeff447700900001",
        "447700900001\0",
        "tel:447700900001",
        "alice",
    ],
)
def test_no_other_text_is_a_number(text: str) -> None:
    with pytest.raises(InputError, match="not a phone number"):
        endpoint.number(text)


@pytest.mark.parametrize(
    "text",
    [
        "+44 7700 900001",
        "44 7700 900001",
        "44.7700.900001",
        "44-7700-900-001",
        "+44 (7700) 900001",
        "(+44) 7700 - 900001",
        "+ 44 7700 900001",
        "+44.7700900001",  # the form of domain registries
        " 447700900001\n",
        "44\u00a07700\u202f900001",
        "44\u20107700\u2011900\u2013001",
    ],
)
def test_a_typed_number_may_contain_the_usual_separators(text: str) -> None:
    assert endpoint.typed(text) == "447700900001"
    assert endpoint.parse(text) == {"type": "phone", "number": "447700900001"}
    assert endpoint.typed_caller(text) == "447700900001"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("+44 (0)7700 900001", r"\+447700900001"),
        ("+44 ( 0 20 ) 7946 0000", r"\+442079460000"),
        ("00447700900001", r"\+447700900001"),
        ("00 44 7700 900001", r"\+447700900001"),
        ("07700 900001", "country code in place of the 0"),
        ("(0)7700 900001", "country code in place of the 0"),
        ("(020) 7946 0000", "country code in place of the 0"),
        ("(202) 555-0100", "country code first"),
        ("202-555-0100", "country code first"),
        ("202.555.0100", "country code first"),
    ],
)
def test_a_typed_number_without_its_country_code_is_refused_with_a_suggestion(text: str, form: str) -> None:
    with pytest.raises(InputError, match="not a phone number") as caught:
        endpoint.typed(text)

    assert re.search(form, caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    ["447700900001 447700900002", "447700900001x12", "447700900001,12", "4.47701E+11", "447700900001.0",
     "447700900001.00", "-447700900001", "++447700900001", "44(7700 900001", "44)7700(900001", "44 7700 90000\u0661",
     "\u200b447700900001", "447700900001\u202c", "44\n7700900001", "44    7700900001", "[44] 7700900001", "", "+",
     "0", "00", "alice"],
)  # fmt: skip
def test_no_other_text_is_a_typed_number(text: str) -> None:
    with pytest.raises(InputError, match="not a phone number"):
        endpoint.typed(text)


@given(st.text(max_size=40) | st.from_regex(r"\+?[\d ().-]{0,24}", fullmatch=True))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_a_typed_number_keeps_all_its_digits(text: str) -> None:
    try:
        number = endpoint.typed(text)
    except InputError:
        return
    assert number == "".join(filter(str.isdigit, text))


@given(st.text() | st.from_regex(r"\+?[\d\s_.,-]{0,20}", fullmatch=True))
@example("+447700900001")
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_accepted_input_is_already_ascii_and_normalized(text: str) -> None:
    try:
        number = endpoint.number(text)
    except InputError:
        return
    assert re.fullmatch("[1-9][0-9]{6,14}", number, re.ASCII)
    assert endpoint.number(number) == endpoint.number(f"+{number}") == number


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("447700900001", {"type": "phone", "number": "447700900001"}),
        ("+447700900001", {"type": "phone", "number": "447700900001"}),
        ("sip:alice@example.org", {"type": "sip", "uri": "sip:alice@example.org"}),
        ("sips:a@b;transport=tls", {"type": "sip", "uri": "sips:a@b;transport=tls"}),
        ("SIP:a@b", {"type": "sip", "uri": "SIP:a@b"}),
        ("sip:b.example.org;transport=tls", {"type": "sip", "uri": "sip:b.example.org;transport=tls"}),
        ("sip:a@" + "b" * 300, {"type": "sip", "uri": "sip:a@" + "b" * 300}),
        (
            "wss://example.org/socket",
            {"type": "websocket", "uri": "wss://example.org/socket", "content-type": "audio/l16;rate=16000"},
        ),
        (
            "ws://127.0.0.1:9",
            {"type": "websocket", "uri": "ws://127.0.0.1:9", "content-type": "audio/l16;rate=16000"},
        ),
        ("app:alice", {"type": "app", "user": "alice"}),
        ("app:alice smith", {"type": "app", "user": "alice smith"}),
        ("vbc:123", {"type": "vbc", "extension": "123"}),
    ],
)
def test_an_endpoint_is_typed_in_one_of_five_forms(text: str, parsed: dict[str, str]) -> None:
    assert endpoint.parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "alice", "app:", "app:a\nb", "app:\x1b", "vbc:", "vbc:12a", "vbc:\u0661", "sip:", "sip:a b@c", "sip:@b",
     "sip:alice@", "wss://", "wss://a b", "http://example.org", "tel:447700900001", "447700900001:", ":447700900001",
     "phone:447700900001", "sip:a@b\n", "wss://a:99999", "ws://[a"],
)  # fmt: skip
def test_no_other_text_is_an_endpoint(text: str) -> None:
    with pytest.raises(InputError):
        endpoint.parse(text)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_an_endpoint_never_holds_a_line_end_or_control_character(text: str) -> None:
    for each in (text, f"sip:{text}@example.org", f"app:{text}", f"wss://{text}", f"vbc:{text}"):
        try:
            parsed = endpoint.parse(each)
        except InputError:
            continue
        assert all(value.isprintable() for value in parsed.values())


@pytest.mark.parametrize(
    ("record", "label"),
    [
        ({"type": "phone", "number": "447700900001"}, "447700900001"),
        ({"type": "phone"}, None),  # a caller with a withheld number
        ({"type": "phone", "number": ""}, None),
        ({"number": 447700900001}, "447700900001"),
        ({"type": "sip", "uri": "sip:a@b"}, "sip:a@b"),
        ({"type": "app", "user": "alice"}, "alice"),
        ({"type": "vbc", "extension": "12"}, "12"),
        ({"type": "hologram", "beam": "x"}, None),
        ({}, None),
    ],
)
def test_the_endpoint_of_a_record_is_shown_by_the_fields_that_it_has(
    record: dict[str, object], label: str | None
) -> None:
    assert endpoint.label(record) == label
