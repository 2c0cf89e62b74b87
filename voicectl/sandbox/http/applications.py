"""The routes of the Application API. Requests must carry the account's key and secret, not a token.

Source: Application API v2 reference, "calls" and "errors"; Vonage documentation on authentication (Basic
authentication, and only one method in each request).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.account.application_body import Draft, read_application, read_public_key
from voicectl.sandbox.account.applications import Application
from voicectl.sandbox.account.identity import Identity, new_key_pair
from voicectl.sandbox.bodies import Json, is_json
from voicectl.sandbox.http.pipeline import routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing.fields import Fields, Invalid
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import Problem

PAGE_SIZE = 10
MAX_PAGE_SIZE = 100
MAX_PAGE = 10**9

_ALL = "/v2/applications"
_ONE = "/v2/applications/{id}"
_VERBS = {_ALL: ("GET", "POST"), _ONE: ("GET", "PUT", "DELETE")}
_OTHER_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TYPES = "https://developer.vonage.com/api-errors"
_SCHEME = "basic "
_ACCEPTED = ("application/json", "application/*", "*/*")


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v2/applications``."""

    def admit(request: Request) -> None:
        _admit(sandbox, request)

    known = routes_of(
        sandbox,
        (Operation.LIST_APPLICATIONS, "GET", _ALL, _list),
        (Operation.CREATE_APPLICATION, "POST", _ALL, _create),
        (Operation.GET_APPLICATION, "GET", _ONE, _get),
        (Operation.UPDATE_APPLICATION, "PUT", _ONE, _update),
        (Operation.DELETE_APPLICATION, "DELETE", _ONE, _delete),
        admit=admit,
    )
    return [*known, *(Route(path, _wrong_verb, methods=list(_OTHER_VERBS)) for path in _VERBS)]


def _admit(sandbox: Sandbox, request: Request) -> None:
    """Check the credentials, the host and the content types of a request.

    The request must carry the account's key and secret, accept JSON, and have either a JSON body or no body.

    Raises:
        Problem: The request is refused with status 401, 404 (on a regional host), 406 or 415.
    """
    _forget_private_key(request.state.entry)
    if _signs_twice(request):
        raise _problem(
            401,
            "#multiple-auth-methods",
            "Multiple authentication methods",
            "Send the key and secret once, in the Authorization header.",
        )
    if not has_key_and_secret(request, sandbox.identity):
        raise _problem(
            401, "#unauthorized", "Invalid credentials supplied", "The API key or secret is missing or wrong."
        )
    if request.state.region is not None:
        raise _not_found("Applications are kept on the global host only.")
    if not _accepts_json(request.headers.get("accept", "*/*")):
        raise _problem(406, "#accept-header", "Invalid Accept header", "Only application/json is served.")
    if _has_body(request) and not is_json(request):
        raise _problem(
            415,
            "#content-type-header",
            "Unsupported Content-Type header",
            "The body's Content-Type is not application/json.",
        )


def _signs_twice(request: Request) -> bool:
    """Return True if *request* carries more than one set of credentials, of the same kind or of different kinds."""
    headers = request.headers.getlist("authorization")
    return len(headers) + any(name in request.query_params for name in ("api_key", "api_secret")) > 1


def has_key_and_secret(request: Request, identity: Identity) -> bool:
    """Return True if *request* carries the account's key and secret in Basic authentication.

    The comparison takes constant time.
    """
    sent = request.headers.get("authorization", "")
    if sent[: len(_SCHEME)].lower() != _SCHEME or not identity.api_secret:
        return False
    try:
        pair = base64.b64decode(sent[len(_SCHEME) :].strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(pair, f"{identity.api_key}:{identity.api_secret}".encode())


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    try:
        with Fields(dict(request.query_params)) as fields:
            size = fields.digits("page_size", 1, MAX_PAGE_SIZE, default=PAGE_SIZE)
            page = fields.digits("page", 1, MAX_PAGE, default=1)
    except Invalid as exc:
        raise _invalid(exc, "/application#list-validation") from exc
    everything = sandbox.applications.by_id.values()
    pages = max(1, -(-len(everything) // size))
    shown = islice(everything, (page - 1) * size, page * size)
    return Json(
        {
            "page_size": size,
            "page": page,
            "total_items": len(everything),
            "total_pages": pages,
            "_embedded": {"applications": [each.to_json() for each in shown]},
            "_links": _links(size, page, pages),
        }
    )


async def _create(sandbox: Sandbox, _request: Request, body: Any) -> Response:
    draft, private_key = _read(body), None
    if (key := draft.key) is None:
        private_key, public = await asyncio.to_thread(new_key_pair)  # takes 50 ms, which would hold up calls
        key = read_public_key(public)
    shown = sandbox.applications.create(draft, key).to_json()
    if private_key is not None:  # the sandbox keeps no copy
        shown["keys"]["private_key"] = private_key
    return Json(shown, 201)


def _get(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    return Json(_named(sandbox, request).to_json())


def _update(sandbox: Sandbox, request: Request, body: Any) -> Response:
    application = _named(sandbox, request)
    return Json(sandbox.applications.replace(application, _read(body)).to_json())


def _delete(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    application = _named(sandbox, request)
    sandbox.applications.remove(application)
    sandbox.numbers.unlink_all(application.id)
    return Response(status_code=204)


async def _wrong_verb(request: Request) -> Response:
    path = _ONE if request.path_params else _ALL
    problem = _problem(
        405, "#wrong-verb", "Request method not allowed", f"Use one of {', '.join(_VERBS[path])}."
    )
    problem.headers["Allow"] = ", ".join(_VERBS[path])
    raise problem


def _named(sandbox: Sandbox, request: Request) -> Application:
    found = sandbox.applications.by_id.get(request.path_params["id"].lower())
    if found is None:
        raise _not_found("There is no such application, or it is another account's.")
    return found


def _read(body: Any) -> Draft:
    try:
        return read_application({} if body is None else body)
    except Invalid as exc:
        raise _invalid(exc, "/application#payload-validation") from exc


def _links(size: int, page: int, pages: int) -> dict[str, dict[str, str]]:
    """Return the links in one page of a list: to the page itself and, if there are several pages, to other pages.

    Each link is a path without a host.
    """
    numbers = {"self": page}
    if pages > 1:
        numbers |= {"first": 1, "last": pages}
        numbers |= {"prev": min(page - 1, pages)} if page > 1 else {}
        numbers |= {"next": page + 1} if page < pages else {}
    links = {name: _ALL + "?" + urlencode({"page_size": size, "page": n}) for name, n in numbers.items()}
    if "first" in links:
        links["first"] = f"{_ALL}?page_size={size}"
    return {name: {"href": href} for name, href in links.items()}


def _accepts_json(accept: str) -> bool:
    for each in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        if kind in _ACCEPTED and not any(part.replace(" ", "") in ("q=0", "q=0.0") for part in parameters):
            return True
    return False


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _forget_private_key(entry: dict[str, Any]) -> None:
    """Remove the private key from the log entry of a request. A client may send a private key by mistake."""
    body = entry["body"]
    keys = body.get("keys") if isinstance(body, dict) else None
    if isinstance(keys, dict) and "private_key" in keys:
        entry["body"] = body | {"keys": keys | {"private_key": "(not logged)"}}


def _invalid(exc: Invalid, kind: str) -> Problem:
    detail = "The request failed due to validation errors"
    return _problem(400, kind, "Bad Request", detail, invalid_parameters=exc.errors)


def _not_found(detail: str) -> Problem:
    return _problem(404, "#not-found", "Not Found", detail)


def _problem(status: int, kind: str, title: str, detail: str, **more: Any) -> Problem:
    """Return an error in the format of the Application API. The field ``instance`` is set when the error is sent."""
    return Problem(
        status, {"type": f"{_TYPES}{kind}", "title": title, "detail": detail, **more, "instance": ""}
    )
