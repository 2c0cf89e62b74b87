"""The control routes, under ``/sandbox/``: acting as the outside party, moving the clock, faults, the log.

They need no token. What keeps strangers out: the server is bound to loopback, the front checks ``Host``, and a body
must be ``application/json``, which no form of another site can send.
"""

from __future__ import annotations

import json
import os
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from voicectl.errors import InputError
from voicectl.sandbox.bodies import BodyTooLarge, Json, UnreadableBody, parse_json, read_body
from voicectl.sandbox.checks import Fields, Invalid
from voicectl.sandbox.front import refusal
from voicectl.sandbox.log import KEPT
from voicectl.sandbox.ncco import read_ncco
from voicectl.sandbox.problems import Problem
from voicectl.sandbox.record import call_record
from voicectl.sandbox.telephony.exchange import ExchangeError
from voicectl.sandbox.telephony.flow import Join
from voicectl.sandbox.times import rfc3339
from voicectl.voice import dtmf, endpoint
from voicectl.voice.endpoint import label
from voicectl.voice.region import Region
from voicectl.voice.speech import MAX_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request

    from voicectl.sandbox.sandbox import Sandbox
    from voicectl.sandbox.telephony.flow import Actions
    from voicectl.sandbox.telephony.leg import Leg

    Handler = Callable[[Sandbox, Request, Fields], Awaitable[Response]]

LOBBY: Actions = (Join(name="lobby"),)
"""Where an inbound call goes that brings no NCCO, while the application has no ``answer_url``."""

CALLER = "447700900000"
"""Who rings if nobody is named."""

MAX_SIP_HEADER = 256
"""Characters of a SIP header's value."""

_SIP_HEADER = re.compile(r"[Xx]-[A-Za-z0-9-]{1,100}|User-to-User")
_KEPT_BACK = "x-nexmo"
"""What SIP headers begin with that the platform does not hand on."""

LOG_SECONDS = 2.0
"""How long the log of a frozen sandbox waits for webhooks that are under way, on the host clock."""

SHORTEST_PREFIX = 4
CANDIDATES = 100
"""How many legs are listed at most where one was not found."""


def routes(sandbox: Sandbox) -> list[Route]:
    """The control routes of *sandbox*."""
    return [
        Route(path, _endpoint(sandbox, do), methods=[method])
        for method, path, do in (
            ("GET", "/sandbox/status", _status),
            ("GET", "/sandbox/identity", _identity),
            ("POST", "/sandbox/reset", _reset),
            ("POST", "/sandbox/stop", _stop),
            ("GET", "/sandbox/log", _log),
            ("POST", "/sandbox/ring", _ring),
            ("POST", "/sandbox/answer", _answer),
            ("POST", "/sandbox/press", _press),
            ("POST", "/sandbox/say", _say),
            ("POST", "/sandbox/hangup", _hangup),
            ("GET", "/sandbox/hear/{leg}", _hear),
            ("POST", "/sandbox/advance", _advance),
            ("POST", "/sandbox/faults", _add_fault),
            ("GET", "/sandbox/faults", _list_faults),
            ("DELETE", "/sandbox/faults", _clear_faults),
        )
    ]


def _endpoint(sandbox: Sandbox, do: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            fields = await _read(request)
            await sandbox.catch_up()
            answer = await do(sandbox, request, fields)
        except Invalid as exc:
            return refusal(_problem(400, "Bad Request", str(exc)), "")
        except InputError as exc:
            return refusal(_problem(400, "Bad Request", f"{exc.message} {exc.hint or ''}".strip()), "")
        except ExchangeError as exc:
            return refusal(_problem(409, "Conflict", str(exc)), "")
        await sandbox.catch_up()
        return answer

    return endpoint


async def _read(request: Request) -> Fields:
    """The body's fields; none where the method has no body."""
    if request.method != "POST":
        return Fields({})
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _problem(415, "Unsupported Media Type", "Send Content-Type: application/json.")
    try:
        data = await read_body(request)
        fields = Fields(parse_json(data) if data else {})
    except BodyTooLarge as exc:
        raise _problem(413, "Content Too Large", "The body is larger than 1 MiB.") from exc
    except UnreadableBody as exc:
        raise _problem(400, "Bad Request", f"The body is {exc}.") from exc
    fields.done()
    return fields


def _problem(status: int, title: str, detail: str, **more: Any) -> Problem:
    return Problem(status, {"title": title, "detail": detail, **more})


async def _status(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    options = sandbox.options
    return Json(
        {
            "url": sandbox.url,
            "regions": sandbox.region_urls,
            "pid": os.getpid(),
            "application_id": sandbox.identity.application_id,
            "call_time": rfc3339(sandbox.call_clock.now()),
            "speed": options.speed,
            "frozen": options.frozen,
            "seed": options.seed,
            "settle": options.settle,
            "limits": options.limits,
            "legs_live": len(sandbox.exchange.live),
            "legs": len(sandbox.exchange.legs),
            "conversations": len(sandbox.exchange.conversations.by_uuid),
            "faults": sandbox.faults.pending,
            "webhooks_pending": sandbox.webhooks.pending,
        }
    )


async def _identity(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    identity = sandbox.identity
    return Json(
        {
            "application_id": identity.application_id,
            "private_key": identity.private_key_path,
            "from": identity.number,
            "api_key": identity.api_key,
            "regions": sandbox.region_urls,
        }
    )


async def _reset(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    await sandbox.sockets.close()
    sandbox.reset()
    return Json({})


async def _stop(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    sandbox.stop()
    return Json({})


async def _log(sandbox: Sandbox, request: Request, _fields: Fields) -> Response:
    fields = Fields(dict(request.query_params))
    since = fields.digits("since", 0, 10**15, default=0)
    limit = fields.digits("limit", 0, KEPT, default=KEPT)
    fields.done()
    if sandbox.options.frozen:  # so that what came of each webhook is told, and alike from run to run
        await sandbox.webhooks.quiet(LOG_SECONDS)
    entries = islice(sandbox.log.since(since), limit)
    return Response("".join(json.dumps(entry) + "\n" for entry in entries), media_type="application/x-ndjson")


async def _ring(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    application = sandbox.applications.by_id.get(sandbox.applications.own)
    if application is None:
        raise _problem(409, "Conflict", "The sandbox's own application was deleted; a reset brings it back.")
    to, from_ = fields.text("to", required=True), fields.text("from")
    flow = None if application.answer is not None else LOBBY
    if "ncco" in fields.raw:
        flow = read_ncco(fields.raw["ncco"], fields.wrongs)
    region = fields.choice("region", Region) or application.region
    sip_headers = _sip_headers(fields)
    fields.done()
    callee = endpoint.parse(to or "")
    if callee["type"] not in ("phone", "app"):
        raise _problem(400, "Bad Request", "A call rings at a number or at app:USER.")
    leg = sandbox.exchange.ring(
        to=callee,
        from_={"type": "phone", "number": endpoint.number(from_ or CALLER)},
        flow=flow,
        application_id=application.id,
        region=region,
        sip_headers=sip_headers,
    )
    return Json(call_record(leg), 201)


def _sip_headers(fields: Fields) -> dict[str, str]:
    """``sip_headers`` as the answer webhook shows them: ``SipHeader_X-...`` and ``SipHeader_User-to-User``."""
    given = fields.inside("sip_headers")
    if given is None:
        return {}
    shown = {}
    for name in given.raw:
        value = given.text(name) or ""
        if not _SIP_HEADER.fullmatch(name):
            given.refuse(name, "Must begin with X-, or be User-to-User")
        elif not value.isprintable() or len(value) > MAX_SIP_HEADER:
            given.refuse(name, f"Must be printable and at most {MAX_SIP_HEADER} characters long")
        elif not name.lower().startswith(_KEPT_BACK):
            shown[f"SipHeader_{name}"] = value
    return shown


async def _answer(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    leg = _named(sandbox, fields)
    sandbox.exchange.pick_up(leg)
    return Json(call_record(leg))


async def _press(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    digits = fields.text("digits", required=True)
    leg = _named(sandbox, fields)
    sandbox.exchange.press(leg, dtmf.check(digits or ""))
    return Json(call_record(leg))


async def _say(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    text = fields.text("text", required=True) or ""
    if len(text) > MAX_CHARACTERS or not text.isprintable():
        fields.refuse("text", f"Must be printable and at most {MAX_CHARACTERS} characters long")
    leg = _named(sandbox, fields)
    sandbox.exchange.say(leg, text)
    return Json(call_record(leg))


async def _hangup(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    leg = _named(sandbox, fields)
    sandbox.exchange.depart(leg)
    return Json(call_record(leg))


async def _hear(sandbox: Sandbox, request: Request, _fields: Fields) -> Response:
    leg = _find(sandbox, request.path_params["leg"])
    return Json([heard.to_json(sandbox.exchange.now) for heard in leg.heard])


async def _advance(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    seconds = fields.amount("seconds")
    if not seconds:
        fields.refuse("seconds", "Must be a number above 0")
    fields.done()
    await sandbox.advance(seconds or 0)
    return Json({"call_time": rfc3339(sandbox.call_clock.now())})


async def _add_fault(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    return Json(sandbox.faults.add(fields.raw), 201)


async def _list_faults(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    return Json(sandbox.faults.to_json())


async def _clear_faults(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    sandbox.faults.clear()
    return Json({})


def _named(sandbox: Sandbox, fields: Fields) -> Leg:
    reference = fields.text("leg", required=True)
    fields.done()
    return _find(sandbox, reference or "")


def _find(sandbox: Sandbox, reference: str) -> Leg:
    """The leg with this id, or whose id alone begins so: among the live ones, else among all."""
    exchange, wanted = sandbox.exchange, reference.lower()
    if wanted in exchange.legs:
        return exchange.legs[wanted]
    found: list[Leg] = []
    if len(wanted) >= SHORTEST_PREFIX:
        found = _beginning(exchange.live.values(), wanted) or _beginning(exchange.legs.values(), wanted)
    if len(found) == 1:
        return found[0]
    detail = f"{len(found)} legs begin with {reference}." if found else f"No leg begins with {reference}."
    listed = islice(found or exchange.live.values(), CANDIDATES)
    raise _problem(404, "Not Found", detail, candidates=[_candidate(leg) for leg in listed])


def _beginning(legs: Iterable[Leg], prefix: str) -> list[Leg]:
    return [leg for leg in legs if leg.uuid.startswith(prefix)]


def _candidate(leg: Leg) -> dict[str, Any]:
    return {
        "uuid": leg.uuid,
        "status": leg.status,
        "direction": leg.direction,
        "to": label(leg.to),
        "from": label(leg.from_),
    }
