"""What a request is about, and who makes it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from voicectl import tokens
from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations.conversation_log import ConversationLog, Member, MemberState
from voicectl.sandbox.http.pipeline import may_see
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import no_such, refused
from voicectl.sandbox.telephony.effects import Note


def base(request: Request) -> str:
    """The host that was asked, for absolute links."""
    return f"http://{request.headers['host']}"


def region_of(request: Request) -> str:
    """Where what *request* makes is to live."""
    return str(request.state.region or request.state.application.region)


def media_answer(name: str, playing: object, uuid: str) -> Json:
    """The answer to what starts media, or stops it (*playing* is None then), in a leg or a conversation."""
    return Json({"message": f"{name} {'stopped' if playing is None else 'started'}", "uuid": uuid})


def asked_log(sandbox: Sandbox, request: Request) -> ConversationLog:
    """The conversation in the path.

    Raises:
        Problem: There is none, or it is another's.
    """
    log = sandbox.conversations.get(request.path_params["conversation"])
    if log is not None and is_there(sandbox, request, log):
        return log
    raise no_such("Conversation", "conversation:error:not-found")


def is_there(sandbox: Sandbox, request: Request, log: ConversationLog) -> bool:
    """Whether *request* may see a conversation. One that has been empty for its ``ttl`` vanishes here."""
    conversation = log.conversation
    ttl = log.settings.get("properties", {}).get("ttl")
    since = None if ttl is None else sandbox.conversations.empty_since(log)
    if since is not None and sandbox.exchange.now >= since + ttl * 1000:
        sandbox.exchange.rooms.delete(conversation)
        return False
    return may_see(request, conversation.application_id, conversation.region)


def token_user(request: Request) -> str | None:
    """The name of the user whose token was sent; None for an admin token."""
    _, claims = tokens.read(request.headers["authorization"].removeprefix("Bearer "))
    sub = claims.get("sub")
    return None if sub is None else str(sub)


def own_member(request: Request, log: ConversationLog) -> Member | None:
    """The member that the user of the token is: one who joined before one who was invited; None if it is none."""
    name = token_user(request)
    mine = [each for each in log.present() if each.user is not None and each.user.name == name]
    return next((each for each in mine if each.state is MemberState.JOINED), mine[0] if mine else None)


def speaker(request: Request, log: ConversationLog, from_: str | None) -> Member | None:
    """In whose name something is done; None: the application's.

    Args:
        request: A user's token speaks for that user alone.
        log: The conversation.
        from_: The member that the body names.

    Raises:
        Problem: The user is no member, or the member named is another or nobody.
    """
    named = None
    if from_ is not None:
        named = log.members.get(from_)
        if named is None:
            raise refused(400, "conversation:error:invalid-member", "from is no member of the conversation.")
    if token_user(request) is None:
        return named
    own = own_member(request, log)
    if own is None or own.state is not MemberState.JOINED:
        raise refused(403, "event:error:not-joined", "The user has not joined the conversation.")
    if named not in (None, own):
        raise refused(403, "event:error:permission-denied", "from is not the user whose token was sent.")
    return own


def note_of(
    sandbox: Sandbox, log: ConversationLog, type_: str, author: str | None, body: dict[str, Any]
) -> Note:
    """Something that a request makes happen in a conversation, now; *author* is the id of a member or a leg."""
    return Note(
        at=sandbox.exchange.now,
        application_id=log.conversation.application_id,
        conversation_uuid=log.conversation.uuid,
        type=type_,
        uuid=author,
        body=body,
    )
