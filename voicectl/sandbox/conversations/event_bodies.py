"""Functions that build the bodies of conversation events from legs and from the exchange's reports of the events.

Most bodies are never read, so a body is usually built when it is first needed. However, if the data for a body could
change before then, the body is built when the event is recorded.

Source: webhook reference, "RTC event webhook".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicectl.sandbox.conversations import representations
from voicectl.sandbox.conversations.conversation_log import ConversationLog, Member, MemberState
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.events import NETWORK, RATE, duration, price
from voicectl.sandbox.telephony.state import Direction, Leg
from voicectl.times import rfc3339
from voicectl.voice.call import FINAL
from voicectl.voice.endpoint import label

PACKETS_PER_SECOND = 50
BYTES_PER_SECOND = 8000
"""The number of bytes per second of a phone call's audio in one direction (64 kbit/s)."""

RECORD = "audio:record"

CONFIDENCE = 100
"""The confidence that answering machine detection reports, in percent."""

AT_ONCE = ("conversation:updated", "member:media")
"""The types of events whose bodies are built when the events are recorded.

The data for these bodies could change later.
"""


def at_once(log: ConversationLog, note: Note, member: Member | None, leg: Leg | None) -> dict[str, Any]:
    """Return the body of an event whose type is in :data:`AT_ONCE`. See :func:`body` for the parameters."""
    if note.type == "conversation:updated":
        return representations.conversation_body(log)
    if member is None:
        return note.body
    return {"audio": True, "media": representations.media(member, leg), **_on(leg)}


def body(
    log: ConversationLog, number: int, note: Note, member: Member | None, leg: Leg | None
) -> dict[str, Any]:
    """Return the complete body of event *number*.

    Args:
        log: The log of the conversation.
        number: The number of the event.
        note: The event as the exchange reported it.
        member: The member who caused the event, or None if the platform caused it.
        leg: The leg of that member, or None if the member has no leg.
    """
    if note.type in ("conversation:created", "conversation:deleted"):
        deleted_at = note.at if note.type == "conversation:deleted" else None
        return representations.conversation_body(log, deleted_at=deleted_at)
    if number in (log.deleted or ()):
        return {}
    if note.type in _MEMBER and member is not None:
        return _member(log, note, member, leg)
    if note.type in _OPTIONS:
        return _OPTIONS[note.type](note.body) | (_on(leg) if note.type == RECORD else {})
    if leg is None or note.type not in _OF_LEGS:
        return note.body
    return _OF_LEGS[note.type](log, number, note, leg)


def _member(log: ConversationLog, note: Note, member: Member, leg: Leg | None) -> dict[str, Any]:
    state = _MEMBER[note.type]
    given = member.given or {}
    of = {
        "initiator": representations.initiators(member, state, is_system="isSystem"),
        "timestamp": representations.moments(member, state),
    }
    channel = given.get("channel", {"type": "app"}) if leg is None else representations.channel(leg)
    user = {**representations.person(member), "member_id": member.id}
    if state is not MemberState.INVITED:
        reason = {"reason": _reason(note, member)} if state is MemberState.LEFT else {}
        return {"member_id": member.id, "user": user, "channel": channel, **of, **reason}
    conversation = {
        "conversation_id": log.conversation.uuid,
        "name": log.name,
        **representations.settings(log, "display_name", "image_url"),
    }
    media = given.get("media", {"audio": leg is not None})
    inviter = {"invited_by": given["invited_by"]} if "invited_by" in given else {}
    return {
        "cname": log.name,
        "conversation": conversation,
        "user": {**user, "media": media},
        "channel": channel,
        "media": media,
        **inviter,
        **of,
    }


def _reason(note: Note, member: Member) -> dict[str, Any]:
    reason = member.reason or note.body.get("reason") or {}
    if isinstance(reason, dict):
        return reason
    return {"code": _CODES.get(reason, "ok"), "text": str(reason)}


def _leg_status(log: ConversationLog, number: int, note: Note, leg: Leg) -> dict[str, Any]:
    history = [
        {"conversation_id": log.conversation.uuid, "member_id": member.id, **_status(earlier)}
        for n, earlier in log.events(last=number)
        if earlier.type == note.type
        and earlier.uuid == note.uuid
        and (member := log.member(note.uuid, n)) is not None
    ]
    return {
        "leg_id": leg.uuid,
        "direction": leg.direction,
        "type": representations.party(leg)["type"],
        **_status(note),
        "statusHistory": history,
    }


def _status(note: Note) -> dict[str, Any]:
    status = note.body.get("status")
    return {"status": status, "state": "terminated" if status in FINAL else "active"}


def _ringing(_page: ConversationLog, _number: int, _note: Note, leg: Leg) -> dict[str, Any]:
    return {"direction": leg.direction, **_on(leg)}


def _hangup(_page: ConversationLog, _number: int, note: Note, leg: Leg) -> dict[str, Any]:
    seconds = duration(leg)
    quality = {
        "mos_score": "4.50",
        "quality_percentage": "100.00",
        "jitter_burst_rate": "0",
        "jitter_loss_rate": "0",
        "jitter_max_var": "0.00",
        "jitter_min_var": "0.00",
        "flaw_total": "0",
        "packet_cnt": str(PACKETS_PER_SECOND * seconds),
        "packet_loss_perc": "0.00",
    }
    sent = str(BYTES_PER_SECOND * seconds)
    given = note.body.get("reason") or {}
    return {
        "direction": leg.direction,
        **_on(leg),
        "quality": quality,
        "bandwidth": {"byte_in": sent, "byte_out": sent},
        "reason": {name: value for name, value in given.items() if value is not None},
    }


def _sip_status(_page: ConversationLog, _number: int, note: Note, leg: Leg) -> dict[str, Any]:
    return {
        **_times_and_price(leg),
        "rate": str(RATE),
        "to": label(leg.to) or "Unknown",
        "from": label(leg.from_) or "Unknown",
        "network_code": NETWORK,
        "request_time": rfc3339(leg.created),
        **_status(note),
        "direction": "in" if leg.direction is Direction.INBOUND else "out",
        **_on(leg),
    }


def _rtc_status(_page: ConversationLog, _number: int, _note: Note, leg: Leg) -> dict[str, Any]:
    return {**_times_and_price(leg), "price_currency": "EUR", "mos": "4.50", **_on(leg)}


def _machine(_page: ConversationLog, _number: int, note: Note, leg: Leg) -> dict[str, Any]:
    return {**note.body, "confidence": CONFIDENCE, **_on(leg)}


def _transferred(log: ConversationLog, number: int, note: Note, leg: Leg) -> dict[str, Any]:
    member = log.member(note.uuid, number)
    user = {} if member is None else {"user_id": representations.person(member)["id"]}
    return {**user, **note.body, **_on(leg)}


def _digit(log: ConversationLog, number: int, note: Note, leg: Leg) -> dict[str, Any]:
    before = sum(
        1 for _, each in log.events(last=number) if each.type == note.type and each.uuid == note.uuid
    )
    return {**note.body, "dtmf_seq": before, **_on(leg)}


def _speech(_page: ConversationLog, _number: int, note: Note, leg: Leg) -> dict[str, Any]:
    return {**note.body, **_on(leg)}


def _recorded(log: ConversationLog, number: int, note: Note, leg: Leg) -> dict[str, Any]:
    begun = (
        earlier
        for earlier, each in log.events(last=number)
        if each.type == RECORD and each.body.get("recording_id") == note.body.get("recording_id")
    )
    return {"event_id": next(begun, None), **note.body, **_on(leg)}


def _say(given: dict[str, Any]) -> dict[str, Any]:
    usual = {"language": "en-US", "style": 0, "premium": False, "level": 0, "loop": 1, "queue": False}
    return {**usual, "ssml": "<speak" in given.get("text", ""), **given}


def _play(given: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in given.items() if name != "url"}
    url = {"stream_url": [given["url"]]} if "url" in given else {}
    return {"level": 0, "loop": 1, "queue": False, **url, **plain}


def _record(given: dict[str, Any]) -> dict[str, Any]:
    split = {"split": "conversation"} if given.get("split") else {}
    plain = {name: value for name, value in given.items() if name != "split"}
    return {"streamed": False, "beep_stop": False, "detect_speech": False, **plain, **split}


def _times_and_price(leg: Leg) -> dict[str, Any]:
    seconds = duration(leg)
    return {
        "price": price(seconds),
        "duration": str(seconds),
        "start_time": None if leg.answered_at is None else rfc3339(leg.answered_at),
        "end_time": None if leg.ended_at is None else rfc3339(leg.ended_at),
    }


def _on(leg: Leg | None) -> dict[str, Any]:
    return {} if leg is None else {"channel": representations.channel(leg)}


_MEMBER = {state.event: state for state in MemberState}

_CODES = {
    "busy": "busy",
    "cancelled": "cancelled",
    "rejected": "rejected",
    "timeout": "timeout",
    "unanswered": "temporarily_unavailable",
    "failed": "failed",
}
"""The reason codes of unanswered legs, keyed by the leg's final status.

All other legs have the reason code ``ok``.
"""

_OPTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "audio:say": _say,
    "audio:play": _play,
    RECORD: _record,
}

_OF_LEGS: dict[str, Callable[[ConversationLog, int, Note, Leg], dict[str, Any]]] = {
    "leg:status:update": _leg_status,
    "sip:ringing": _ringing,
    "sip:answered": _ringing,
    "sip:hangup": _hangup,
    "sip:status": _sip_status,
    "sip:machine": _machine,
    "sip:amd_machine": _machine,
    "audio:record:done": _recorded,
    "rtc:ringing": _ringing,
    "rtc:answered": _ringing,
    "rtc:hangup": _hangup,
    "rtc:status": _rtc_status,
    "rtc:transfer": _transferred,
    "audio:dtmf": _digit,
    "audio:asr:done": _speech,
    "audio:speaking:on": _speech,
    "audio:speaking:off": _speech,
}
