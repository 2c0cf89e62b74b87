"""A call order: its request, the numbers it dials, and its fingerprint in older journals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from voicectl.core.calls.order import CallOrder, greeting

PERSON = {"type": "phone", "number": "447700900001"}
ORDER = CallOrder(to=PERSON, from_="442079460000", ncco=greeting("Hi", None, None))


def test_only_given_options_are_sent() -> None:
    assert ORDER.body == {
        "to": [PERSON],
        "from": {"type": "phone", "number": "442079460000"},
        "ncco": [{"action": "talk", "text": "Hi"}],
    }
    assert replace(ORDER, from_=None, ncco=None, answer_url="https://x.org/a").body == {
        "to": [PERSON],
        "random_from_number": True,
        "answer_url": ["https://x.org/a"],
    }


def test_its_hash_equals_the_one_in_existing_journals() -> None:
    """With another hash, a second attempt with an idempotency key would count as another call."""
    assert ORDER.body_hash == "4451e9f49c5f21d4504888ee9a291769ee54d157b5fe1af2a76d478d7225691a"


def test_it_dials_its_endpoint_and_then_the_endpoints_that_its_flow_connects() -> None:
    flow = [
        *greeting("Hi", None, "room"),
        {"action": "connect", "endpoint": [{"type": "sip", "uri": "sip:a@x.org"}]},
    ]
    order = replace(ORDER, ncco=flow)

    assert order.dialled == ("447700900001", "sip:a@x.org")
    assert order.label == "447700900001"


def test_the_shown_endpoints_contain_no_secret() -> None:
    assert replace(ORDER, to=PERSON | {"dtmfAnswer": "4711"}).shown_to == PERSON


@pytest.mark.parametrize(
    ("urls", "sent"),
    [
        ({}, None),
        ({"event_url": "https://x.org/e"}, ["https://x.org/e?vc=vc-1"]),
        ({"event_url": "https://x.org/e?a=b", "event_method": "POST"}, ["https://x.org/e?a=b&vc=vc-1"]),
        ({"event_url": "https://x.org/e", "event_method": "GET"}, ["https://x.org/e"]),
    ],
)
def test_the_reference_is_in_an_event_url_that_is_posted_to(
    urls: dict[str, Any], sent: list[str] | None
) -> None:
    order = replace(ORDER, **urls)

    assert order.body_with("vc-1").get("event_url") == sent
    assert "vc-1" not in str(order.body)
