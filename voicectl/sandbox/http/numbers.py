"""The routes of the Numbers API that list the account's numbers and link them to applications.

Requests must carry the account's key and secret, in Basic authentication or as parameters, not a token.

Source: Numbers API reference; Vonage Python SDK (``number_management``), Vonage CLI (``numbers``).
"""

from __future__ import annotations

import hmac
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox.account.identity import Identity
from voicectl.sandbox.account.numbers import APPLICATION, FORWARDS, SETTINGS, Number
from voicectl.sandbox.bodies import Json, read_body
from voicectl.sandbox.http.applications import MAX_PAGE, has_key_and_secret
from voicectl.sandbox.http.pipeline import routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.parsing.fields import Fields, Invalid
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import Problem, failed_number_request

PAGE_SIZE = 10
MAX_PAGE_SIZE = 100

_LIST = "/account/numbers"
_UPDATE = "/number/update"
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_MAX_FIELDS = 100
_FLAGS = {"true": True, "false": False}
_CALLBACK_TYPES = (*FORWARDS, "app")
_KEY, _SECRET = "api_key", "api_secret"


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/account/numbers`` and ``/number/update``."""

    def admit(request: Request) -> None:
        _admit(sandbox.identity, request)

    return routes_of(
        sandbox,
        (Operation.GET_OWNED_NUMBERS, "GET", _LIST, _list),
        (Operation.UPDATE_NUMBER, "POST", _UPDATE, _update),
        admit=admit,
        read=_read,
    )


async def _read(request: Request) -> dict[str, str] | Problem | None:
    """Return the fields of the form in the body, or None if there is no body.

    If the body is not a form, return a Problem instead. A form may be declared as JSON: the vendor's Python SDK does
    so after a request that was JSON.
    """
    form: dict[str, str] = {}
    request.state.form = form
    data = await read_body(request)
    request.state.size = len(data)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = media_type == _FORM or (media_type == _JSON and not data.lstrip().startswith((b"{", b"[")))
    if data and not is_form:
        return failed_number_request(415, f"the body's Content-Type is not {_FORM}")
    try:
        form |= parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:  # UnicodeDecodeError is a ValueError
        return failed_number_request(400, "the body is not a form in UTF-8")
    return form or None


def _admit(identity: Identity, request: Request) -> None:
    """Check that *request* carries the account's key and secret, and was sent to the global host.

    Raises:
        Problem: The request is refused with status 401 or, on a regional host, 404.
    """
    sent = {**request.query_params, **request.state.form}
    pair = f"{sent.get(_KEY)}:{sent.get(_SECRET)}".encode(errors="replace")
    expected = f"{identity.api_key}:{identity.api_secret}".encode()
    is_in_parameters = bool(identity.api_secret) and hmac.compare_digest(pair, expected)
    if not is_in_parameters and not has_key_and_secret(request, identity):
        raise failed_number_request(401, "authentication failed")
    if request.state.region is not None:
        raise failed_number_request(404, "numbers are kept on the global host only")


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    try:
        with Fields(dict(request.query_params)) as fields:
            size = fields.digits("size", 1, MAX_PAGE_SIZE, default=PAGE_SIZE)
            index = fields.digits("index", 1, MAX_PAGE, default=1)
            found = _found(sandbox.numbers.all, fields)
    except Invalid as exc:
        raise failed_number_request(420, str(exc)) from exc
    if not found:
        return Json({})
    shown = islice(found, (index - 1) * size, index * size)
    return Json({"count": len(found), "numbers": [each.to_json() for each in shown]})


def _found(numbers: list[Number], fields: Fields) -> list[Number]:
    """Return those of *numbers* that match the query parameters in *fields*."""
    country, application_id = fields.text("country"), fields.text("application_id")
    country = country and country.upper()
    linked = fields.choice("has_application", _FLAGS, any_case=True)
    pattern, place = fields.text("pattern") or "", fields.digits("search_pattern", 0, 2, default=0)
    matches = (str.startswith, str.__contains__, str.endswith)[place]
    return [
        each
        for each in numbers
        if country in (None, each.country)
        and application_id in (None, each.application_id)
        and (linked is None or (each.application_id is not None) is _FLAGS[linked])
        and matches(each.msisdn, pattern)
    ]


def _update(sandbox: Sandbox, request: Request, body: Any) -> Response:
    sent = {**request.query_params, **(body or {})}  # version 1 of the vendor's CLI sends the query alone
    number = _named(sandbox, sent)
    if sent.get(APPLICATION):
        sent[APPLICATION] = sent[APPLICATION].lower()
        if sent[APPLICATION] not in sandbox.applications.by_id:
            raise failed_number_request(420, f"{APPLICATION}: there is no such application")
    _check_callback(sent)
    sandbox.numbers.update(number, {name: sent[name] for name in SETTINGS if name in sent})
    return Json({"error-code": "200", "error-code-label": "success"})


def _named(sandbox: Sandbox, sent: dict[str, str]) -> Number:
    """Return the number that an update names by ``country`` and ``msisdn``.

    Raises:
        Problem: A field is missing, or the account has no such number in that country.
    """
    for name in ("country", "msisdn"):
        if not sent.get(name):
            raise failed_number_request(420, f"{name} is missing")
    number = sandbox.numbers.find(sent["msisdn"])
    if number is None or number.country != sent["country"].upper():
        raise failed_number_request(420, "method failed: the account has no such number in this country")
    return number


def _check_callback(sent: dict[str, str]) -> None:
    kind, value = sent.get("voiceCallbackType"), sent.get("voiceCallbackValue")
    if bool(kind) != bool(value):
        raise failed_number_request(420, "voiceCallbackType and voiceCallbackValue must be given together")
    if kind and kind not in _CALLBACK_TYPES:
        raise failed_number_request(420, f"voiceCallbackType is not one of {', '.join(_CALLBACK_TYPES)}")
