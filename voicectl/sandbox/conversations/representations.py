"""The JSON objects that represent legs, members, users and conversations in responses and events.

The field names are those of the platform.

Source: Conversation API reference, "conversations", "members" and "users"; webhook reference, "RTC event webhook".
"""

from __future__ import annotations

from typing import Any

from voicectl.sandbox.conversations.conversation_log import ConversationLog, Member, MemberState, derived
from voicectl.sandbox.conversations.users import User
from voicectl.sandbox.telephony.state import Direction, Leg
from voicectl.times import rfc3339

SESSION_SECONDS = 86_400
"""The ``ttl`` of a session, in seconds."""


def party(leg: Leg) -> dict[str, Any]:
    """Return the endpoint of the party on *leg*: the caller of an inbound call, or the callee of an outbound call."""
    return leg.from_ if leg.direction is Direction.INBOUND else leg.to


def channel(leg: Leg) -> dict[str, Any]:
    """Return the ``channel`` object of a member whose leg is *leg*."""
    shown = {
        "id": leg.uuid,
        "type": party(leg)["type"],
        "from": _endpoint(leg.from_),
        "to": _endpoint(leg.to),
        "leg_ids": [leg.uuid],
        "legs": [{"leg_id": leg.uuid, "status": leg.status}],
        "leg_settings": {},
        "headers": leg.to.get("headers", {}) if leg.is_socket else {},
        "cpa": leg.detection is not None,
        "preanswer": False,
    }
    if leg.direction is Direction.OUTBOUND:
        shown |= {"ring_timeout": leg.order.ringing_timer * 1000, "max_length": leg.order.length_timer * 1000}
    return shown


def person(member: Member) -> dict[str, Any]:
    """Return the user of *member*, or a generated user if the member is not an app user."""
    if member.user is not None:
        return _known(member.user)
    leg_uuid = member.leg_uuid or ""
    return {"id": f"USR-{derived('user', leg_uuid)}", "name": f"vapi-user-{leg_uuid.replace('-', '')}"}


def media(member: Member, leg: Leg | None) -> dict[str, Any]:
    """Return the ``media`` object of *member*.

    The object describes the audio of *leg*, the member's leg. If *leg* is None, return the object that the client
    sent.
    """
    if leg is None:
        return dict((member.given or {}).get("media", {"audio": False}))
    is_here = member.state is not MemberState.LEFT
    return {
        "audio": True,
        "audio_settings": {
            "enabled": is_here and leg.is_up,
            "earmuffed": is_here and leg.is_earmuffed,
            "muted": is_here and leg.is_muted,
        },
    }


def initiators(
    member: Member, until: MemberState, *, is_system: str = "is_system"
) -> dict[str, dict[str, Any]]:
    """Return the ``initiator`` object of *member*, which shows who caused each change of state up to *until*.

    Changes made by the platform or with an admin token have only the field *is_system*, which is true. The API
    names it ``is_system``, and RTC events name it ``isSystem``.
    """
    by = member.initiators or {}
    return {state: {is_system: state not in by, **by.get(state, {})} for state in _happened(member, until)}


def moments(member: Member, until: MemberState) -> dict[str, str]:
    """Return the ``timestamp`` object of *member*, which contains the time of each change of state up to *until*."""
    return {state: rfc3339(member.times[state]) for state in _happened(member, until)}


def member_record(log: ConversationLog, member: Member, leg: Leg | None, base: str) -> dict[str, Any]:
    """Return *member* in the format of an API response about a single member."""
    given = member.given or {}
    return {
        "id": member.id,
        "conversation_id": log.conversation.uuid,
        "state": member.state,
        "timestamp": moments(member, member.state),
        "initiator": initiators(member, member.state),
        "channel": given.get("channel", {"type": "app"}) if leg is None else channel(leg),
        "media": media(member, leg),
        **{name: given[name] for name in ("knocking_id", "invited_by") if name in given},
        "_embedded": {"user": _linked(person(member), base)},
        "_links": _self(f"{base}/conversations/{log.conversation.uuid}/members/{member.id}"),
    }


def member_in_list(log: ConversationLog, member: Member, base: str) -> dict[str, Any]:
    """Return *member* in the format of an API response that lists members, without ``channel`` and ``media``."""
    return {
        "id": member.id,
        "state": member.state,
        "_embedded": {"user": _linked(person(member), base)},
        "_links": _self(f"{base}/conversations/{log.conversation.uuid}/members/{member.id}"),
    }


def leg_record(leg: Leg, url: str) -> dict[str, Any]:
    """Return *leg* in the format of a list of legs. *url* is the URL of that list."""
    return {
        "uuid": leg.uuid,
        "type": party(leg)["type"],
        "conversation_uuid": leg.conversation.uuid,
        "status": leg.status,
        "from": _endpoint(leg.from_),
        "to": _endpoint(leg.to),
        "start_time": None if leg.answered_at is None else rfc3339(leg.answered_at),
        "end_time": None if leg.ended_at is None else rfc3339(leg.ended_at),
        "rtc": {
            "session_id": session_id(leg),
            "state": "terminated" if leg.is_over else "active",
        },
        "_links": _self(f"{url}/{leg.uuid}"),
    }


def session_id(leg: Leg) -> str:
    """Return the id of the session of the call on *leg*."""
    return f"SES-{derived('session', leg.uuid)}"


def conversation_body(log: ConversationLog, *, deleted_at: int | None = None) -> dict[str, Any]:
    """Return the conversation of *log* in the format of ``conversation:...`` events."""
    timestamp = _conversation_times(log)
    if deleted_at is not None:
        timestamp["destroyed"] = rfc3339(deleted_at)
    return {
        "id": log.conversation.uuid,
        "name": log.name,
        **settings(log, "display_name", "image_url"),
        "state": "ACTIVE" if deleted_at is None else "DELETED",
        "timestamp": timestamp,
    }


def conversation_record(log: ConversationLog, base: str, *, with_custom_data: bool = True) -> dict[str, Any]:
    """Return the conversation of *log* in the format of API responses, with links that begin with *base*."""
    given = settings(log, "properties", "numbers", "callback")
    if not with_custom_data and "properties" in given:
        properties = given["properties"]
        given["properties"] = {name: properties[name] for name in properties if name != "custom_data"}
    return {
        **conversation_body(log),
        "sequence_number": log.last_id,
        **given,
        "_links": _self(f"{base}/conversations/{log.conversation.uuid}"),
    }


def settings(log: ConversationLog, *names: str) -> dict[str, Any]:
    """Return those settings of the conversation of *log* that are named in *names* and have been set."""
    return {name: log.settings[name] for name in names if name in log.settings}


def user_record(user: User, base: str) -> dict[str, Any]:
    """Return *user* in the format of an API response about a single user."""
    return {"id": user.id, "name": user.name, **user.details, "_links": _self(f"{base}/users/{user.id}")}


def user_in_list(user: User, base: str) -> dict[str, Any]:
    """Return *user* in the format of an API response that lists users."""
    return _linked(_known(user), base)


def session_record(user: User, leg: Leg, api_key: str) -> dict[str, Any]:
    """Return the session of *user* for the call on *leg*, in the format of API responses."""
    return {
        "id": session_id(leg),
        "_embedded": {"user": {"id": user.id, "name": user.name}, "api_key": api_key},
        "properties": {"ttl": SESSION_SECONDS},
    }


def _linked(user: dict[str, Any], base: str) -> dict[str, Any]:
    return {**user, "_links": _self(f"{base}/users/{user['id']}")}


def _known(user: User) -> dict[str, Any]:
    shown = {"display_name": user.details["display_name"]} if "display_name" in user.details else {}
    return {"id": user.id, "name": user.name, **shown}


def _endpoint(endpoint: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in endpoint.items() if name != "authorization"}


def _happened(member: Member, until: MemberState) -> list[str]:
    order = list(MemberState)
    names = [state.lower() for state in order[: order.index(until) + 1]]
    return [name for name in names if name in member.times]


def _conversation_times(log: ConversationLog) -> dict[str, str]:
    times = {"created": rfc3339(log.conversation.created)}
    if log.updated is not None:
        times["updated"] = rfc3339(log.updated)
    return times


def _self(href: str) -> dict[str, dict[str, str]]:
    return {"self": {"href": href}}
