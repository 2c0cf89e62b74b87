"""Audibility between the legs of a conversation, including cases that cannot be known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.calls.conversations import Hears, Participant, Participants, entered, grouped
from voicectl.core.calls.entry_terms import EntryTerms
from voicectl.core.calls.move import Surroundings, move_group
from voicectl.store.action_log import Note
from voicectl.voice.call import Call, is_conversation_id
from voicectl.voice.conversation import Conversation, Member

STATUSES = ("started", "ringing", "answered", "machine", "completed", "brand-new")
NAMES = [str(UUID(int=number)) for number in range(1, 5)]


def call(uuid: str, status: str = "answered", **raw: Any) -> Call:
    return Call.from_json({"uuid": uuid, "status": status, "conversation_uuid": "CON-1"} | raw)


def member(uuid: str, muted: bool | None, earmuffed: bool | None) -> Member:
    states = {"muted": muted, "earmuffed": earmuffed}
    settings = {name: value for name, value in states.items() if value is not None}
    return Member.from_json(
        {
            "id": f"MEM-{uuid}",
            "state": "JOINED",
            "channel": {"id": uuid},
            "media": {"audio_settings": settings},
        }
    )


def conversation(
    id_: str, name: str = "room", state: str = "ACTIVE", created: str | None = None
) -> Conversation:
    timestamp = {} if created is None else {"created": created}
    return Conversation.from_json({"id": id_, "name": name, "state": state, "timestamp": timestamp})


maybe = st.none() | st.booleans()
some = st.none() | st.frozensets(st.sampled_from(NAMES))
entries = st.none() | st.builds(EntryTerms, can_hear=some, can_speak=some, starts=st.booleans())


@st.composite
def participant_lists(draw: st.DrawFn) -> list[Participant]:
    count = draw(st.integers(2, len(NAMES)))
    return [
        Participant(
            call=call(name, draw(st.sampled_from(STATUSES))),
            member=draw(st.none() | st.builds(member, st.just(name), maybe, maybe)),
            entry=draw(entries),
        )
        for name in NAMES[:count]
    ]


def completions(leg: Participant) -> Sequence[Participant]:
    """A leg as it really is, though reports may be incomplete."""
    mutes = (True, False) if leg.muted is None else (leg.muted,)
    earmuffs = (True, False) if leg.earmuffed is None else (leg.earmuffed,)
    terms = (EntryTerms(), EntryTerms(can_hear=frozenset(), can_speak=frozenset(), starts=False))
    return [
        Participant(call=leg.call, member=member(leg.call.uuid, muted, earmuffed), entry=leg.entry or entry)
        for muted, earmuffed, entry in product(mutes, earmuffs, terms)
    ]


def truth(listener: Participant, speaker: Participant, *, is_room: bool, has_started: bool) -> bool:
    """The rule of the exchange itself, where all is known."""
    is_up = all(leg.call.status in ("answered", "machine") for leg in (listener, speaker))
    heard = is_up and not listener.earmuffed and not speaker.muted
    if not is_room:
        return heard
    assert listener.entry is not None
    assert speaker.entry is not None
    may_hear = listener.entry.can_hear is None or speaker.call.uuid in listener.entry.can_hear
    may_speak = speaker.entry.can_speak is None or listener.call.uuid in speaker.entry.can_speak
    return heard and may_hear and may_speak and has_started


@given(participant_lists(), st.sampled_from([True, False, None]))
def test_yes_and_no_hold_for_all_possible_worlds_and_everything_else_is_unknown(
    legs: list[Participant], is_room: bool | None
) -> None:
    participants = Participants(is_room=is_room, legs=legs)
    is_started = any(leg.entry is not None and leg.entry.starts for leg in legs)

    for listener, speaker in permutations(legs, 2):
        possible = {
            truth(one, other, is_room=room, has_started=started)
            for one in completions(listener)
            for other in completions(speaker)
            for room in ((True, False) if is_room is None else (is_room,))
            for started in ((True,) if is_started else (True, False))
        }
        heard = participants.hears(listener, speaker)
        expected = {frozenset({True}): Hears.YES, frozenset({False}): Hears.NO}.get(
            frozenset(possible), Hears.UNKNOWN
        )
        if is_room is None and heard.hears is Hears.NO and expected is Hears.UNKNOWN:
            continue  # terms of a room that we moved a leg into are its terms
        assert heard.hears is expected, heard.why
        assert bool(heard.why) == (heard.hears is not Hears.YES)


@given(participant_lists(), st.sampled_from([True, False, None]))
def test_the_matrix_has_each_pair_of_legs_in_both_directions(
    legs: list[Participant], is_room: bool | None
) -> None:
    participants = Participants(is_room=is_room, legs=legs)

    pairs = [(one.call.uuid, other.call.uuid) for one, other, _ in participants.matrix()]

    assert pairs == list(permutations([leg.call.uuid for leg in legs], 2))


@given(entries.filter(bool))
def test_a_note_keeps_the_terms_of_entry(entry: EntryTerms) -> None:
    assert EntryTerms.from_detail(entry.detail) == entry


def note(what: str, room: str = "support-17", outcome: str = "done", **detail: Any) -> Note:
    return Note(at=0.0, uuid=NAMES[0], what=what, outcome=outcome, detail={"room": room} | detail)


@pytest.mark.parametrize(
    ("notes", "is_known"),
    [
        ([note("move")], True),
        ([note("mute"), note("move"), note("mute")], True),
        ([note("move", "elsewhere"), note("move")], True),
        ([note("move"), note("move", outcome="failed")], True),
        ([], False),
        ([note("move", "elsewhere")], False),
        ([note("move"), note("move", "elsewhere")], False),
        ([note("move"), note("transfer")], False),
        ([note("move", outcome="unknown")], False),
        ([note("move"), note("move", outcome="unknown")], False),
    ],
)
def test_the_entry_of_a_leg_is_known_if_it_was_moved_from_here_and_not_changed_since(
    notes: list[Note], is_known: bool
) -> None:
    assert (NAMES[0] in entered(notes, "support-17")) is is_known


def test_live_legs_and_the_list_are_merged_and_no_more_pages_than_needed_are_read() -> None:
    read: list[str] = []

    def listed() -> Any:
        for number in range(9):
            read.append(f"CON-{number}")
            yield conversation(f"CON-{number}", f"room-{number}")

    live = [call("a", conversation_uuid="CON-2"), call("b", "ringing", conversation_uuid="CON-2")]
    (group,) = grouped([*live, call("c", conversation_uuid="")], listed())

    assert (group.id, len(group.calls), group.statuses) == ("CON-2", 2, "answered:1 ringing:1")
    assert read == ["CON-0", "CON-1", "CON-2"]


def test_conversations_without_legs_are_included_on_request_and_unlisted_ones_come_last() -> None:
    listed = [conversation("CON-1"), conversation("CON-2", state="DELETED"), conversation("CON-3")]
    live = [call("a", conversation_uuid="CON-9", start_time="2026-02-03T09:00:00Z")]

    groups = list(grouped(live, listed, with_empty=True))

    assert [(each.id, len(each.calls)) for each in groups] == [("CON-1", 0), ("CON-3", 0), ("CON-9", 1)]
    assert groups[-1].since == "2026-02-03T09:00:00Z"


@given(st.lists(st.sampled_from(["CON-1", "CON-2", "CON-3", ""]), max_size=8), st.booleans())
def test_no_live_leg_is_lost(places: list[str], with_empty: bool) -> None:
    live = [call(str(i), conversation_uuid=place) for i, place in enumerate(places)]
    listed = [conversation("CON-2"), conversation("CON-4")]

    groups = list(grouped(live, listed, with_empty=with_empty))

    assert sorted(each.uuid for group in groups for each in group.calls) == sorted(
        each.uuid for each in live if each.conversation_uuid
    )
    assert len({group.id for group in groups}) == len(groups)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("CON-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0", True),
        ("CON-6f1d2c3b4a5946879786a5b4c3d2e1f0", True),
        ("con-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0", False),
        ("CON-../../v1/calls", False),
        ("support-17", False),
    ],
)
def test_the_id_of_a_conversation_has_one_form(text: str, is_one: bool) -> None:
    assert is_conversation_id(text) is is_one


GENERATED = "NAM-6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0"


def around(*legs: Call, name: str = GENERATED, is_joined: bool = True) -> Surroundings:
    return Surroundings(
        call=legs[0], legs=legs, conversation=conversation("CON-1", name), is_joined=is_joined
    )


def test_a_leg_that_a_connect_would_leave_alone_is_named() -> None:
    one, other, third = (call(name) for name in NAMES[:3])

    assert around(one, other).left_alone is other
    assert around(one, other, third).left_alone is None
    assert around(one, is_joined=False).left_alone is None
    assert around(one, other, name="room", is_joined=False).left_alone is None


def test_a_party_is_all_live_legs_newest_first_and_without_duplicates() -> None:
    caller, callee = call(NAMES[0]), call(NAMES[1])
    rings = call(NAMES[2], "ringing")
    pair = [
        Surroundings(call=each, legs=[rings, callee, caller], conversation=conversation("CON-1", GENERATED))
        for each in (caller, callee)
    ]

    assert list(move_group(pair, "support-17").calls) == [callee, caller]


def test_a_leg_already_in_the_room_brings_no_partners() -> None:
    found = move_group([around(call(NAMES[0]), call(NAMES[1]), name="support-17")], "support-17")

    assert [each.uuid for each in found.calls] == [NAMES[0]]
    assert found.in_room == {NAMES[0]}
    assert found.joined is None


def test_of_several_pairs_one_can_become_the_room_and_the_others_are_reported() -> None:
    def pair(id_: str, *names: str) -> Surroundings:
        legs = [call(name, conversation_uuid=id_) for name in names]
        return Surroundings(
            call=legs[0], legs=legs, conversation=conversation(id_, GENERATED), is_joined=True
        )

    pairs = [pair("CON-1", *NAMES[:2]), pair("CON-2", *NAMES[2:])]

    found = move_group(pairs, "support-17")
    assert found.joined is pairs[0].conversation
    assert list(found.apart) == ["CON-2"]
    assert list(move_group(pairs, "support-17", may_become=False).apart) == ["CON-1", "CON-2"]
