"""The control routes (under ``/sandbox/``) for the simulated parties, the call clock, the faults and the log.

Control requests need no token. They are protected in other ways: the server listens only on loopback addresses, and
every request must have a loopback address in its ``Host`` header. In addition, the content type of a body must be
``application/json``, which a form on a website cannot send.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.errors import InputError
from voicectl.sandbox.bodies import BodyTooLarge, Json, UnreadableBody, is_json, parse_json, read_body
from voicectl.sandbox.destinations import without_password
from voicectl.sandbox.http import parties
from voicectl.sandbox.http.front import refusal
from voicectl.sandbox.http.stepping import Handler, step, then_step
from voicectl.sandbox.log import KEPT
from voicectl.sandbox.parsing.fields import Fields, Invalid
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import refused_control
from voicectl.sandbox.telephony.exchange import ExchangeError, LegTooEarly
from voicectl.sandbox_proof import MAX_NONCE, proof
from voicectl.times import rfc3339

LOG_SECONDS = 2.0
"""How long a request for the log waits for unfinished webhook requests, in seconds on the host clock.

Such a request waits only if the call clock is frozen.
"""


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the control routes of *sandbox*."""
    return [
        Route(path, _endpoint(sandbox, do), methods=[method])
        for method, path, do in (
            ("POST", "/sandbox/step", step),  # first, since it is used most
            ("GET", "/sandbox/status", _status),
            ("GET", "/sandbox/identity", _identity),
            ("POST", "/sandbox/reset", then_step(_reset)),
            ("POST", "/sandbox/stop", _stop),
            ("GET", "/sandbox/log", _log),
            ("POST", "/sandbox/ring", then_step(parties.ring)),
            ("POST", "/sandbox/answer", then_step(parties.answer)),
            ("POST", "/sandbox/press", then_step(parties.press)),
            ("POST", "/sandbox/say", then_step(parties.say)),
            ("POST", "/sandbox/hangup", then_step(parties.hangup)),
            ("GET", "/sandbox/hear/{leg}", parties.hear),
            ("GET", "/sandbox/remark/{leg}", parties.remark),
            ("POST", "/sandbox/advance", _advance),
            ("POST", "/sandbox/faults", _add_fault),
            ("GET", "/sandbox/faults", _list_faults),
            ("DELETE", "/sandbox/faults", _clear_faults),
            ("DELETE", "/sandbox/faults/{id:int}", _clear_fault),
        )
    ]


def _endpoint(sandbox: Sandbox, do: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            fields = await _read(request)
            await sandbox.catch_up()
            answer = await do(sandbox, request, fields)
        except Invalid as exc:
            return refusal(refused_control(400, "Bad Request", str(exc)), "")
        except InputError as exc:
            return refusal(refused_control(400, "Bad Request", f"{exc.message} {exc.hint or ''}".strip()), "")
        except LegTooEarly as exc:
            return refusal(refused_control(409, "Conflict", str(exc), code="too-early"), "")
        except ExchangeError as exc:
            return refusal(refused_control(409, "Conflict", str(exc)), "")
        await sandbox.catch_up()
        return answer

    return endpoint


async def _read(request: Request) -> Fields:
    """Read the fields of the request body. Requests other than POST requests have no fields."""
    if request.method != "POST":
        return Fields({})
    if not is_json(request):
        raise refused_control(415, "Unsupported Media Type", "Send Content-Type: application/json.")
    try:
        data = await read_body(request)
        fields = Fields(parse_json(data) if data else {})
    except BodyTooLarge as exc:
        raise refused_control(413, "Content Too Large", "The body is larger than 1 MiB.") from exc
    except UnreadableBody as exc:
        raise refused_control(400, "Bad Request", f"The body is {exc}.") from exc
    fields.done()
    return fields


async def _status(sandbox: Sandbox, _request: Request, _fields: Fields) -> Response:
    options = sandbox.options
    return Json(
        {
            "url": sandbox.url,
            "regions": sandbox.region_urls,
            "tls_url": sandbox.tls_url,
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
            "conversations": len(sandbox.exchange.conversations),
            "faults": sandbox.faults.pending,
            "webhooks_pending": sandbox.webhooks.pending,
        }
    )


async def _identity(sandbox: Sandbox, request: Request, _fields: Fields) -> Response:
    application = sandbox.applications.by_id.get(sandbox.applications.own)
    hook = None if application is None else application.answer
    found = {
        "url": sandbox.url,
        "application_id": sandbox.identity.application_id,
        "regions": sandbox.region_urls,
        "tls_url": sandbox.tls_url,
        "answer_url": None if hook is None else without_password(hook.url),
    }
    nonce = request.query_params.get("nonce", "")[:MAX_NONCE]
    if nonce:
        found["proof"] = proof(sandbox.identity.signature_secret, nonce, found)
    return Json(found)


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
    if sandbox.options.frozen:  # wait for unfinished webhooks, so that every run produces the same log
        await sandbox.webhooks.quiet(LOG_SECONDS)
    entries = islice(sandbox.log.since(since), limit)
    return Response("".join(json.dumps(entry) + "\n" for entry in entries), media_type="application/x-ndjson")


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


async def _clear_fault(sandbox: Sandbox, request: Request, _fields: Fields) -> Response:
    id_ = request.path_params["id"]
    if not sandbox.faults.remove(id_):
        raise refused_control(404, "Not Found", f"There is no fault {id_}.")
    return Json({})
