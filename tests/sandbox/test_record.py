"""Lists of calls contain the legs that a check of each leg finds, for any search."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.parts import APPLICATION, BUSY, MACHINE, PERSON, line, room
from voicectl.sandbox import record
from voicectl.sandbox.telephony.exchange import Exchange
from voicectl.sandbox.telephony.state import Leg
from voicectl.times import rfc3339
from voicectl.voice.call import CallStatus

OTHER = "5a4db0c5-0000-4000-8000-000000000001"
REGIONS = ("na-east", "eu-west")
DAY = 24 * 3600
HANGS_UP = "447700900503"


@dataclass
class Owner:
    """The parts of an application that a list depends on."""

    id: str
    capabilities: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module", name="exchange")
def legs_of_three_days() -> Exchange:
    """Live and ended legs of two applications in two regions, some alone and some in rooms."""
    its = line()
    for i in range(90):
        flow = (room(f"room {i % 4}"),) if i % 3 else (room(f"own {i}"),)
        number = (PERSON, BUSY, HANGS_UP, MACHINE)[i % 4]
        place = {"application_id": (APPLICATION, OTHER)[i % 5 == 0], "region": REGIONS[i % 7 == 0]}
        leg = its.call(number, flow, **place)
        leg.made_at = float(100 + i // 2)
        its.wait(1 if i % 30 else DAY)
    for i, leg in enumerate(each for each in its.exchange.legs.values() if each.is_up):
        if i % 2:
            its.exchange.transfer(leg, (room(f"room {i % 5}"),))
    return its.exchange


def finds(leg: Leg, query: dict[str, str], *, now: int, days: int, region: str | None) -> bool:
    """Check one leg by itself, as the reference describes each parameter."""
    made, kept_for = rfc3339(round(leg.made_at * 1000)), days * DAY * 1000
    return (
        leg.application_id == APPLICATION
        and region in (None, leg.region)
        and (leg.ended_at is None or now - leg.ended_at < kept_for)
        and query.get("status") in (None, leg.status)
        and query.get("conversation_uuid") in (None, leg.conversation.uuid)
        and query.get("date_start", "") <= made
        and ("date_end" not in query or made < query["date_end"])
    )


@given(st.data())
def test_a_page_contains_the_legs_that_a_check_of_each_leg_finds(exchange: Exchange, data: st.DataObject):
    legs = list(exchange.legs.values())
    moments = st.integers(99, 147).map(lambda second: rfc3339(second * 1000))
    filters = {
        "status": st.sampled_from([str(status) for status in CallStatus]),
        "conversation_uuid": st.sampled_from([leg.conversation.uuid for leg in legs]),
        "date_start": moments,
        "date_end": moments,
    }
    query = data.draw(st.fixed_dictionaries({}, optional=filters))
    size, index = data.draw(st.integers(1, 100)), data.draw(st.integers(0, 5))
    order = data.draw(st.sampled_from(["asc", "desc"]))
    days, region = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([None, *REGIONS]))
    ends = sorted({leg.ended_at for leg in legs if leg.ended_at is not None})
    latest = max(leg.created for leg in legs)
    now = max(latest, data.draw(st.sampled_from(ends)) + days * DAY * 1000 + data.draw(st.integers(-1, 1)))

    own = Owner(APPLICATION, {"voice": {"leg_persistence_time": days}})
    search = record.read_search(query | {"page_size": str(size), "record_index": str(index), "order": order})
    found = record.find(exchange.register, search, own, now, region=region)
    shown = record.page(found, search, "http://127.0.0.1:4010/v1/calls")

    expected = [leg.uuid for leg in legs if finds(leg, query, now=now, days=days, region=region)]
    in_order = expected if order == "asc" else expected[::-1]
    assert shown["count"] == len(expected)
    assert [each["uuid"] for each in shown["_embedded"]["calls"]] == in_order[index * size :][:size]


def test_the_legs_differ_in_every_search_parameter(exchange: Exchange):
    legs = exchange.legs.values()
    assert {leg.application_id for leg in legs} == {APPLICATION, OTHER}
    assert {leg.region for leg in legs} == set(REGIONS)
    assert {str(leg.status) for leg in legs} >= {"completed", "busy", "answered", "ringing"}
    assert len({leg.conversation.uuid for leg in legs}) > 10


def test_the_conversations_of_another_application_are_empty(exchange: Exchange):
    theirs = next(leg for leg in exchange.live.values() if leg.application_id == OTHER)
    search = record.read_search({"conversation_uuid": theirs.conversation.uuid})

    found = [
        [leg.uuid for leg in record.find(exchange.register, search, Owner(id_), exchange.now)]
        for id_ in (OTHER, APPLICATION)
    ]

    assert theirs.uuid in found[0]
    assert found[1] == []
