"""The Conversation API routes for members.

Each leg is also a member of a conversation. Changing such a member changes the leg.

Source: Conversation API reference, "members".
"""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations import paging, representations, requests, searches
from voicectl.sandbox.conversations.conversation_log import ConversationLog, IllegalState, Member, MemberState
from voicectl.sandbox.conversations.requests import MemberChange
from voicectl.sandbox.http.access import (
    api_root,
    in_each_version,
    list_url,
    note_of,
    own_member,
    requested_log,
    speaker,
    token_user,
)
from voicectl.sandbox.http.pipeline import routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import no_such, refused
from voicectl.sandbox.telephony.exchange import ExchangeError
from voicectl.sandbox.telephony.state import MAX_LEGS

ALL = "/conversations/{conversation}/members"
ONE = "/conversations/{conversation}/members/{member}"
ME = "/conversations/{conversation}/members/me"


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v1/conversations/{id}/members`` and ``/v0.3/conversations/{id}/members``."""
    operations = in_each_version(
        (Operation.LIST_MEMBERS, "GET", ALL, _list),
        (Operation.CREATE_MEMBER, "POST", ALL, _create),
        (Operation.GET_ME, "GET", ME, _get_me),
        (Operation.GET_MEMBER, "GET", ONE, _get),
        (Operation.UPDATE_MEMBER, "PATCH", ONE, _update),
        (Operation.UPDATE_MEMBER, "PUT", ONE, _update),  # used by the API's 2021 version and its examples
        (Operation.DELETE_MEMBER, "DELETE", ONE, _delete),  # likewise
    )
    return routes_of(sandbox, *operations)


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    window = searches.read_list(request.query_params)
    log = requested_log(sandbox, request)
    found = ((("", i), member) for i, member in enumerate(log.members.values()))
    show = partial(representations.member_in_list, log, base=api_root(request))
    return Json(paging.listing(found, window, list_url(request), show, "members"))


def _create(sandbox: Sandbox, request: Request, body: Any) -> Response:
    wanted = requests.read_new_member(body)
    log = requested_log(sandbox, request)
    conversation = log.conversation
    inviter = log.members.get(wanted.inviting or "")
    if wanted.inviting is not None and inviter is None:
        raise refused(
            400, "conversation:error:invalid-member", "The inviting member is not in the conversation."
        )
    user = sandbox.users.find(wanted.user, conversation.application_id, conversation.region)
    if user is None:
        raise no_such("User", "user:error:not-found")
    present = log.present()
    earlier = next((each for each in present if each.user is user), None)
    if earlier is not None:
        name = "joined" if earlier.state is MemberState.JOINED else "invited"
        raise refused(
            400, f"conversation:error:member-already-{name}", f"The user is a member already: {earlier.id}."
        )
    if len(present) >= MAX_LEGS:
        raise refused(
            400,
            "conversation:error:maximum-number-of-members",
            f"The conversation is full: it can have at most {MAX_LEGS} members.",
        )
    invited_by = {} if inviter is None else {"invited_by": inviter.id}
    member = log.add(
        Member(id=sandbox.conversations.new_member_id(), user=user, given=wanted.given | invited_by)
    )
    _note_step(sandbox, request, log, member, wanted.state)
    return Json(representations.member_record(log, member, None, api_root(request)), 201)


def _get(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    log = requested_log(sandbox, request)
    return _shown(sandbox, request, log, _asked(request, log))


def _get_me(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    log = requested_log(sandbox, request)
    if token_user(request) is None:
        raise refused(
            400, "user:error:invalid-user-token", "The token has no sub, and therefore is not a user's token."
        )
    member = own_member(request, log)
    if member is None:
        raise _no_such_member()
    return _shown(sandbox, request, log, member)


async def _update(sandbox: Sandbox, request: Request, body: Any) -> Response:
    return await _change(sandbox, request, requests.read_member_change(body))


async def _delete(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    await _change(sandbox, request, MemberChange(state=MemberState.LEFT, from_=None, reason=None))
    return Json({})


async def _change(sandbox: Sandbox, request: Request, step: MemberChange) -> Response:
    log = requested_log(sandbox, request)
    member = _asked(request, log)
    if step.from_ is not None:
        speaker(request, log, step.from_)
    leg = sandbox.conversations.leg(member)
    try:
        member.require(step.state)
        if step.state is MemberState.LEFT:
            member.reason = step.reason
        if leg is None:
            _note_step(sandbox, request, log, member, step.state)
        elif step.state is MemberState.LEFT:
            sandbox.exchange.hangup(leg)
        else:
            sandbox.exchange.pick_up(leg)
    except (IllegalState, ExchangeError) as exc:
        raise refused(400, "conversation:error:invalid-member-state", f"{exc}.".replace("..", ".")) from exc
    await sandbox.catch_up()  # updates the member to the state of its leg
    return _shown(sandbox, request, log, member)


def _note_step(
    sandbox: Sandbox, request: Request, log: ConversationLog, member: Member, state: MemberState
) -> None:
    """Record an event for the change of *member* to *state*. The member must not have a leg."""
    own = own_member(request, log) or member if token_user(request) is not None else None
    if own is not None and own.user is not None:
        by = {"user_id": own.user.id, "member_id": own.id}
        member.initiators = {**(member.initiators or {}), state.lower(): by}
    body = {} if member.reason is None else {"reason": member.reason}
    sandbox.note(note_of(sandbox, log, state.event, member.id, body))


def _asked(request: Request, log: ConversationLog) -> Member:
    member = log.members.get(request.path_params["member"])
    if member is None:
        raise _no_such_member()
    return member


def _no_such_member() -> Exception:
    return no_such("Member", "conversation:error:member-not-found")


def _shown(sandbox: Sandbox, request: Request, log: ConversationLog, member: Member) -> Json:
    return Json(
        representations.member_record(log, member, sandbox.conversations.leg(member), api_root(request))
    )
