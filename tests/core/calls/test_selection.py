"""The legs that a selection matches, and their minimum age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.machines import Application, client
from tests.support.servers import Canned, Request, page, reply
from voicectl.api.client import VoiceApi
from voicectl.core.calls.ages import Ages
from voicectl.core.calls.live import live_calls
from voicectl.core.calls.selection import Direction, Selection, find, is_like, matches
from voicectl.times import utc
from voicectl.voice.call import FINAL, LIVE, Call, CallStatus, hyphenated

NOW = FakeClock().time()
DAY = 86_400
CONVERSATIONS = [f"CON-1a2b3c4d-5e6f-4788-99aa-{n:012}" for n in range(2)]
IDS = [f"00000000-0000-4000-8000-{n:012}" for n in range(3)]
IDS += [IDS[0].replace("-", ""), "AA6BEC1F5C4A4BDC95AEE8A4C1B7A1F0"]
NUMBERS = ["447700900001", "447700900200", "12025550100", ""]
GLOBS = ["4477*", "+4477*", "*", "12025550100", "44770090020[0-9]", "4477"]

calls = st.builds(
    lambda uuid, status, direction, conversation, to, from_: Call.from_json(
        {
            "uuid": uuid,
            "status": status,
            "direction": direction,
            "conversation_uuid": conversation,
            "to": {"type": "phone", "number": to},
            "from": {"type": "phone", "number": from_},
        }
    ),
    st.sampled_from([*IDS, "../../v2/applications"]),
    st.sampled_from([*CallStatus, "on-hold"]),
    st.sampled_from([*Direction, "", "sideways"]),
    st.sampled_from([*CONVERSATIONS, ""]),
    st.sampled_from(NUMBERS),
    st.sampled_from(NUMBERS),
)
selections = st.builds(
    Selection,
    conversation=st.none() | st.sampled_from(CONVERSATIONS),
    status=st.none() | st.sampled_from(LIVE),
    direction=st.none() | st.sampled_from(Direction),
    match_to=st.none() | st.sampled_from(GLOBS),
    match_from=st.none() | st.sampled_from(GLOBS),
    except_=st.frozensets(st.sampled_from([hyphenated(each) for each in IDS])),
)


# Selection by the fields of a record


@given(calls, selections)
def test_a_leg_is_selected_if_each_selector_alone_selects_it(call: Call, selection: Selection) -> None:
    names = ("conversation", "status", "direction", "match_to", "match_from", "except_")
    alone = [Selection(**{name: getattr(selection, name)}) for name in names]

    assert matches(call, selection) == all(matches(call, each) for each in alone)


@given(calls, selections)
def test_ended_and_excepted_legs_and_those_without_an_id_are_never_selected(
    call: Call, selection: Selection
) -> None:
    if matches(call, selection):
        assert call.status not in FINAL
        assert hyphenated(call.uuid) not in selection.except_
        assert "/" not in call.uuid


@given(calls)
def test_no_selector_selects_every_leg_that_may_be_live(call: Call) -> None:
    assert matches(call, Selection()) == (call.status not in FINAL and "/" not in call.uuid)


@given(calls, selections, st.sampled_from(IDS))
def test_an_exception_excludes_one_leg_in_any_form_of_its_id(
    call: Call, selection: Selection, uuid: str
) -> None:
    but = replace(selection, except_=selection.except_ | {hyphenated(uuid)})
    is_it = call.uuid.replace("-", "").lower() == uuid.replace("-", "").lower()

    assert matches(call, but) == (matches(call, selection) and not is_it)


@pytest.mark.parametrize(
    ("shown", "glob", "is_so"),
    [
        ("447700900001", None, True),
        (None, None, True),
        ("447700900001", "4477*", True),
        ("447700900001", "+4477*", True),
        ("447700900001", "7700", False),
        ("447700900001", "*01", True),
        ("447700900001", "44770090000?", True),
        (None, "*", True),
        (None, "4*", False),
        ("sip:a@example.org", "sip:*@example.org", True),
    ],
)
def test_globs_are_those_of_call_list(shown: str | None, glob: str | None, is_so: bool) -> None:
    assert is_like(shown, glob) is is_so


# The age of a leg


class Dating(Enum):
    """The way a server dates a live leg in a search by time, which the documentation leaves open."""

    RIGHT = "by when it was made"
    IGNORED = "not at all: whatever is asked for, it is listed"
    NO_END = "date_end is ignored"
    NO_START = "date_start is ignored"
    NEVER = "no date fits a leg that has none"
    EPOCH = "a leg that has no date is of 1970"
    NOW = "a leg that has no date is of now"
    DAYS = "by the day alone: what was made today is before, and after, any time of today"
    LATE = "by when it was answered, a while after it was made"


@dataclass(frozen=True)
class Leg:
    uuid: str
    age: float
    dating: Dating

    def fits(self, query: dict[str, str]) -> bool:
        moment = NOW - self.age
        start, end = (_moment(query.get(name)) for name in ("date_start", "date_end"))
        match self.dating:
            case Dating.IGNORED:
                return True
            case Dating.NEVER:
                return start is None and end is None
            case Dating.NO_END:
                end = None
            case Dating.NO_START:
                start = None
            case Dating.DAYS:
                start = None if start is None else start - start % DAY
                end = None if end is None else end - end % DAY + DAY
            case Dating.EPOCH:
                moment = 0.0
            case Dating.NOW:
                moment = NOW
            case Dating.LATE:
                moment = min(NOW, moment + 60)
        return (start is None or moment >= start) and (end is None or moment < end)


def _moment(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


class Server:
    """Lists legs, all of them answered, by how it dates each."""

    def __init__(self) -> None:
        self.legs: list[Leg] = []

    def __call__(self, request: Request) -> bytes:
        shown = [self.record(leg) for leg in self.legs if leg.fits(request.query)]
        return reply(body=page(*(shown if request.query["status"] == "answered" else [])))

    @staticmethod
    def record(leg: Leg) -> dict[str, Any]:
        return {"uuid": leg.uuid, "status": "answered", "conversation_uuid": CONVERSATIONS[0]}


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.fixture(scope="module")
def api(server: Server, application: Application) -> Iterator[VoiceApi]:
    with Canned(server) as canned, client(canned.url, application, FakeClock()) as api:
        yield api


def nothing_known() -> Ages:
    return Ages(FakeClock(), 0.0, lambda: None, lambda: None, pytest.fail)


def older(api: VoiceApi, seconds: float) -> set[str]:
    found = find(api, Selection(older_than=seconds, conversation=CONVERSATIONS[0]), ages=nothing_known)
    return {call.uuid for call in found}


def naively_older(api: VoiceApi, seconds: float) -> set[str]:
    """Return the legs listed before the cut-off, without checking them."""
    return {call.uuid for call in live_calls(api, date_end=utc(NOW - seconds))}


legs = st.lists(
    st.builds(Leg, st.uuids().map(str), st.floats(0, 200_000), st.sampled_from(Dating)),
    max_size=8,
    unique_by=lambda leg: leg.uuid,
)


@settings(max_examples=150, deadline=None)
@given(legs=legs, seconds=st.floats(1, 100_000))
def test_no_young_leg_is_ever_taken_for_an_old_one_whatever_date_the_server_sends(
    api: VoiceApi, server: Server, legs: list[Leg], seconds: float
) -> None:
    server.legs = legs
    found = older(api, seconds)

    assert all(leg.age >= seconds for leg in legs if leg.uuid in found)
    assert found >= {leg.uuid for leg in legs if leg.dating is Dating.RIGHT and leg.age >= seconds + 1}


@pytest.mark.parametrize("dating", [Dating.IGNORED, Dating.NO_END, Dating.EPOCH, Dating.DAYS])
def test_a_server_whose_dates_are_trusted_would_end_the_youngest_leg(
    api: VoiceApi, server: Server, dating: Dating
) -> None:
    server.legs = [Leg(IDS[0], 1.0, dating)]

    assert naively_older(api, 7200) == {IDS[0]}, "otherwise these servers would test nothing"
    assert older(api, 7200) == set()


@pytest.mark.parametrize(("age", "is_older"), [(7199.5, False), (7200.0, False), (7201.0, True)])
def test_the_cut_off_is_a_whole_second_and_never_too_late(
    api: VoiceApi, server: Server, age: float, is_older: bool
) -> None:
    server.legs = [Leg(IDS[0], age, Dating.RIGHT)]

    assert (IDS[0] in older(api, 7200)) is is_older


def test_a_server_that_ignores_every_filter_adds_no_leg_to_the_selection(
    api: VoiceApi, server: Server
) -> None:
    server.legs = [Leg(IDS[0], 9000, Dating.RIGHT)]

    def found(selection: Selection) -> int:
        return len(find(api, selection, ages=nothing_known))

    assert found(Selection(conversation=CONVERSATIONS[0])) == 1
    assert found(Selection(conversation=CONVERSATIONS[1])) == 0
    assert found(Selection(status=CallStatus.RINGING)) == 0
