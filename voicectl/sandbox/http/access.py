"""Functions that find out which conversation a request is about, and which user or member sent the request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request

from voicectl import tokens
from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations.conversation_log import ConversationLog, Member, MemberState
from voicectl.sandbox.http.pipeline import OperationRoute, may_see
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import no_such, refused
from voicectl.sandbox.record import Search, find, is_kept
from voicectl.sandbox.telephony.effects import Note
from voicectl.sandbox.telephony.state import Leg

VERSIONS = ("v1", "v0.3")
"""The versions of the Conversation API in which conversations and users exist."""


def base(request: Request) -> str:
    """Return the scheme and host to which *request* was sent, as a URL. All absolute links begin with this text."""
    return f"{request.url.scheme}://{request.headers['host']}"


def api_root(request: Request) -> str:
    """Return the URL of the API to which *request* was sent, up to and including its version, such as ``v1``."""
    version = request.scope["path"].split("/")[1]
    return f"{base(request)}/{version}"


def list_url(request: Request) -> str:
    """Return the absolute URL of the list that *request* asks for, without the query or a slash at the end."""
    return f"{base(request)}{request.scope['path'].rstrip('/')}"


def in_each_version(*operations: OperationRoute) -> Iterator[OperationRoute]:
    """Yield *operations* once for each version of the Conversation API. Their paths are given without a version.

    Version 0.3 is older than version 1, and is still used by some clients, such as the vendor's command-line tool.
    """
    for version in VERSIONS:
        for operation, method, path, do in operations:
            yield operation, method, f"/{version}{path}", do


def region_of(request: Request) -> str:
    """Return the region in which *request* creates a resource."""
    return str(request.state.region or request.state.application.region)


def found_legs(sandbox: Sandbox, request: Request, search: Search) -> Sequence[Leg]:
    """Return the legs that match *search* and whose records the sender of *request* can read, oldest first."""
    if request.state.is_out_of_region:
        return ()
    exchange, state = sandbox.exchange, request.state
    return find(exchange.register, search, state.application, exchange.now, region=state.region)


def may_read(sandbox: Sandbox, request: Request, leg: Leg) -> bool:
    """Return True if the record of *leg* is still kept and the sender of *request* is allowed to see it."""
    may = may_see(request, leg.application_id, leg.region)
    return may and is_kept(leg, request.state.application, sandbox.exchange.now)


def media_answer(name: str, playing: object, uuid: str) -> Json:
    """Return the response to a request that starts or stops media on a leg or in a conversation.

    Args:
        name: The kind of media, such as ``Talk``.
        playing: The media to start, or None if the request stops the media.
        uuid: The id of the leg or conversation.
    """
    return Json({"message": f"{name} {'stopped' if playing is None else 'started'}", "uuid": uuid})


def requested_log(sandbox: Sandbox, request: Request) -> ConversationLog:
    """Return the log of the conversation that the path of *request* names.

    Raises:
        Problem: The conversation does not exist, or the sender of *request* is not allowed to see it.
    """
    log = sandbox.conversations.get(request.path_params["conversation"])
    if log is not None and is_there(sandbox, request, log):
        return log
    raise no_such("Conversation", "conversation:error:not-found")


def is_there(sandbox: Sandbox, request: Request, log: ConversationLog) -> bool:
    """Return True if the conversation of *log* still exists and the sender of *request* is allowed to see it.

    If the conversation has been empty for its whole ``ttl``, it is deleted first.
    """
    conversation = log.conversation
    if conversation.uuid not in sandbox.exchange.conversations:
        return False
    ttl = log.settings.get("properties", {}).get("ttl")
    since = None if ttl is None else sandbox.conversations.empty_since(log)
    if since is not None and sandbox.exchange.now >= since + ttl * 1000:
        sandbox.exchange.rooms.delete(conversation)
        return False
    return may_see(request, conversation.application_id, conversation.region)


def token_user(request: Request) -> str | None:
    """Return the name of the user whose token was sent. Return None for an admin token, which belongs to no user."""
    _, claims = tokens.read(request.headers["authorization"].removeprefix("Bearer "))
    sub = claims.get("sub")
    return None if sub is None else str(sub)


def own_member(request: Request, log: ConversationLog) -> Member | None:
    """Return the member that belongs to the user whose token was sent, or None if there is no such member.

    If the user has several members, a member who has joined is preferred.
    """
    name = token_user(request)
    mine = [each for each in log.present() if each.user is not None and each.user.name == name]
    return next((each for each in mine if each.state is MemberState.JOINED), mine[0] if mine else None)


def speaker(request: Request, log: ConversationLog, from_: str | None) -> Member | None:
    """Return the member who speaks in *request*, or None if *request* speaks for the application.

    Args:
        request: The request. If it carries a user's token, only that user can be the speaker.
        log: The log of the conversation.
        from_: The member id in the body's ``from`` field, or None if there is no such field.

    Raises:
        Problem: The user has not joined the conversation, or *from_* is the id of an unknown member or of another
            user's member.
    """
    named = None
    if from_ is not None:
        named = log.members.get(from_)
        if named is None:
            raise refused(
                400,
                "conversation:error:invalid-member",
                "'from' is not the id of a member of the conversation.",
            )
    if token_user(request) is None:
        return named
    own = own_member(request, log)
    if own is None or own.state is not MemberState.JOINED:
        raise refused(403, "event:error:not-joined", "The user has not joined the conversation.")
    if named not in (None, own):
        raise refused(
            403, "event:error:permission-denied", "'from' is not the member of the user whose token was sent."
        )
    return own


def note_of(
    sandbox: Sandbox, log: ConversationLog, type_: str, author: str | None, body: dict[str, Any]
) -> Note:
    """Create a conversation event that is caused by a request.

    Args:
        sandbox: The sandbox, whose call clock determines the time of the event.
        log: The log of the conversation in which the event occurs.
        type_: The type of the event.
        author: The id of the member or leg that caused the event, or None if no member or leg caused it.
        body: The body of the event.
    """
    return Note(
        at=sandbox.exchange.now,
        application_id=log.conversation.application_id,
        conversation_uuid=log.conversation.uuid,
        type=type_,
        uuid=author,
        body=body,
    )
