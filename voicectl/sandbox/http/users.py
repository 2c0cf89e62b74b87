"""The routes of the Users API.

Source: Conversation API reference, "users and sessions".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations import paging, representations, searches
from voicectl.sandbox.conversations.conversation_log import ConversationLog
from voicectl.sandbox.conversations.paging import Key
from voicectl.sandbox.conversations.requests import is_user_name, read_user
from voicectl.sandbox.conversations.users import User
from voicectl.sandbox.http.access import api_root, in_each_version, is_there, list_url, region_of, token_user
from voicectl.sandbox.http.pipeline import may_see, routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import no_such, refused

ALL = "/users"
ONE = "/users/{user}"


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v1/users`` and ``/v0.3/users``."""
    operations = in_each_version(
        (Operation.LIST_USERS, "GET", ALL, _list),
        (Operation.CREATE_USER, "POST", ALL, _create),
        (Operation.GET_USER, "GET", ONE, _get),
        (Operation.UPDATE_USER, "PATCH", ONE, _update),
        (Operation.UPDATE_USER, "PUT", ONE, _update),  # used by the 2021 version of the API and some clients
        (Operation.DELETE_USER, "DELETE", ONE, _delete),
        (Operation.LIST_USER_CONVERSATIONS, "GET", f"{ONE}/conversations", _list_conversations),
        (Operation.LIST_USER_CONVERSATIONS, "GET", f"{ONE}/conversations/", _list_conversations),  # likewise
        (Operation.LIST_SESSIONS, "GET", f"{ONE}/sessions", _list_sessions),
    )
    return routes_of(sandbox, *operations)


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    window = searches.read_list(request.query_params, "name")
    name = request.query_params.get("name")
    found = ((("", user.number), user) for user in _visible(sandbox, request) if name in (None, user.name))
    show = partial(representations.user_in_list, base=api_root(request))
    return Json(paging.listing(found, window, list_url(request), show, "users"))


def _create(sandbox: Sandbox, request: Request, body: Any) -> Response:
    name, details = read_user(body)
    if token_user(request) is not None:
        raise refused(
            403, "system:error:permission", "A user's token cannot create users: send a token without sub."
        )
    _check_name(name)
    user = sandbox.users.add(
        name, details, application_id=request.state.application.id, region=region_of(request)
    )
    return Json(representations.user_record(user, api_root(request)), 201)


def _get(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    return Json(representations.user_record(_named(sandbox, request), api_root(request)))


def _update(sandbox: Sandbox, request: Request, body: Any) -> Response:
    name, details = read_user(body)
    user = _asked(sandbox, request)
    _check_name(name)
    sandbox.users.change(user, name, details)
    return Json(representations.user_record(user, api_root(request)))


def _delete(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    sandbox.users.remove(_asked(sandbox, request))
    return Response(status_code=204)


def _list_conversations(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    search = searches.read_conversation_search(request.query_params, of_user=True)
    user = _named(sandbox, request)

    def found() -> Iterator[tuple[Key, ConversationLog]]:
        for log in list(sandbox.conversations):
            states = {member.state for member in log.members.values() if member.user is user}
            is_wanted = bool(states) if search.state is None else search.state in states
            if is_wanted and search.finds(log) and is_there(sandbox, request, log):
                key = log.settings.get("properties", {}).get("custom_sort_key", "")
                yield (key if search.by_sort_key else "", log.number), log

    url = f"{api_root(request)}{ALL}/{user.id}/conversations"
    show = partial(
        representations.conversation_record, base=api_root(request), with_custom_data=search.with_custom_data
    )
    return Json(paging.listing(found(), search.window, url, show, "conversations"))


def _list_sessions(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    window = searches.read_list(request.query_params)
    user = _named(sandbox, request)
    found = (
        (("", leg.created), leg)
        for leg in sandbox.exchange.live.values()
        if representations.party(leg) == {"type": "app", "user": user.name}
        and (leg.application_id, leg.region) == (user.application_id, user.region)
    )
    url = f"{api_root(request)}{ALL}/{user.id}/sessions"
    show = partial(representations.session_record, user, api_key=sandbox.identity.api_key)
    return Json(paging.listing(found, window, url, show, "sessions"))


def _visible(sandbox: Sandbox, request: Request) -> Iterator[User]:
    return (user for user in sandbox.users if may_see(request, user.application_id, user.region))


def _asked(sandbox: Sandbox, request: Request) -> User:
    """Return the user whose id is in the path of *request*."""
    user = sandbox.users.by_id.get(request.path_params["user"])
    if user is None or not may_see(request, user.application_id, user.region):
        raise no_such("User", "user:error:not-found")
    return user


def _named(sandbox: Sandbox, request: Request) -> User:
    """Return the user whose id or name is in the path of *request*."""
    reference = request.path_params["user"]
    named = (user for user in _visible(sandbox, request) if user.name == reference)
    return next(named, None) or _asked(sandbox, request)


def _check_name(name: str | None) -> None:
    if name is not None and not is_user_name(name):
        raise refused(
            400, "user:error:invalid-user-name", "A user's name cannot be 'me' or begin with 'USR-'."
        )
