"""The control routes that make a simulated party call, answer, press keys, speak or hang up.

Another route lists the sounds that a party has heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from voicectl.errors import InputError
from voicectl.sandbox.account.applications import Application
from voicectl.sandbox.bodies import Json
from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.parsing.ncco import read_ncco
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import Problem, refused_control
from voicectl.sandbox.record import call_record
from voicectl.sandbox.telephony.actions import Order
from voicectl.sandbox.telephony.state import Leg
from voicectl.sandbox.telephony.twins import LOBBY
from voicectl.voice import dtmf, endpoint
from voicectl.voice.call import Region, hyphenated, plain
from voicectl.voice.endpoint import label
from voicectl.voice.speech import MAX_CHARACTERS

CALLER = "447700900000"
"""The default phone number of the caller, which is used if the control request has no ``from``."""

MAX_CALLER = 256
MAX_SIP_HEADER = 256
"""The maximum length of the value of a SIP header, in characters."""

_SIP_HEADER = re.compile(r"[Xx]-[A-Za-z0-9-]{1,100}|User-to-User")
_SIP_URI = re.compile(r"sips?:\S+", re.IGNORECASE)
_KEPT_BACK = "x-nexmo"
"""The lower-case prefix of the names of SIP headers that the platform does not pass on."""

NO_KEY_LISTENER = "No input action, DTMF listener or other leg was listening, so the keys had no effect."
NO_LISTENER = "No input action, recording or other leg was listening, so the words had no effect."

NO_ANSWER_URL = (
    "The application has no answer_url, so the call joins the room 'lobby'."
    " To set one: voicectl app urls --answer URL"
)
OWN_INSTEAD = "the call reaches the sandbox's own application."

NCCO_SECONDS = 1.0
"""How long ``ring`` waits for the NCCO, in seconds on the host clock.

Because of the wait, the reply to the control request can report that the NCCO could not be fetched.
"""

SHORTEST_PREFIX = 4
CANDIDATES = 100
"""The maximum number of legs that are listed in the error message for an unknown or ambiguous leg id."""


async def ring(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    """Make a simulated party call an application of the account (``POST /sandbox/ring``)."""
    to, from_ = fields.text("to", required=True), fields.text("from")
    flow = read_ncco(fields.raw["ncco"], fields.errors) if "ncco" in fields.raw else None
    region = fields.choice("region", Region)
    sip_headers = _sip_headers(fields)
    fields.done()
    callee = endpoint.parse(to or "")
    if callee["type"] not in ("phone", "app"):
        raise refused_control(400, "Bad Request", "An inbound call must be to a number or to app:USER.")
    caller = _caller(CALLER if from_ is None else from_)
    application, remarks = _called(sandbox, callee)
    if flow is None and application.answer is None:
        flow = LOBBY
        remarks.append(NO_ANSWER_URL)
    order = Order(to=callee, from_=caller, flow=flow, sip_headers=sip_headers)
    leg = sandbox.exchange.ring(order, application_id=application.id, region=region or application.region)
    parties: dict[str, Any] = {"from": label(leg.from_), "to": label(leg.to)}
    sandbox.log.add("party", uuid=leg.uuid, what="ring", **parties)
    for each in remarks:
        sandbox.log.add("remark", uuid=leg.uuid, reason=each)
    await sandbox.catch_up()
    await sandbox.wait_until(lambda: leg.flow.awaiting is None, NCCO_SECONDS)
    if leg.remark is not None:
        remarks.append(leg.remark)
    return _record(leg, "\n".join(remarks) or None, 201)


def _called(sandbox: Sandbox, callee: dict[str, Any]) -> tuple[Application, list[str]]:
    """Return the application that a call to *callee* reaches, and remarks on why it is that application.

    Raises:
        Problem: The call would reach no application.
    """
    linked, remarks = None, []
    if callee["type"] == "phone":
        msisdn, number = callee["number"], sandbox.numbers.find(callee["number"])
        linked = None if number is None else number.application_id
        if number is None:
            remarks.append(f"The account has no number {msisdn}, so {OWN_INSTEAD}")
        elif number.forwards_to is not None:
            raise _conflict(
                f"{msisdn} forwards its calls to {number.forwards_to}, so they reach no application."
            )
        elif linked is None:
            how = f"To link it: voicectl number link {msisdn}"
            remarks.append(f"{msisdn} is not linked to an application, so {OWN_INSTEAD} {how}")
    application = sandbox.applications.by_id.get(linked or sandbox.applications.own)
    if application is None:
        raise _conflict("The sandbox's own application was deleted; a reset restores it.")
    return application, remarks


def _conflict(detail: str) -> Problem:
    return refused_control(409, "Conflict", detail)


def _caller(text: str) -> dict[str, str]:
    """Convert *text*, the caller in a control request, to an endpoint.

    The text can be a SIP URI, a phone number, or any other text that a network may show in place of a number.

    Raises:
        InputError: *text* is empty, too long or not printable.
    """
    if not text.strip() or len(text) > MAX_CALLER or not text.isprintable():
        raise InputError(f"The caller must be printable text of 1 to {MAX_CALLER} characters.")
    if _SIP_URI.fullmatch(text):
        return {"type": "sip", "uri": text}
    try:
        return {"type": "phone", "number": endpoint.number(text)}
    except InputError:
        return {"type": "phone", "number": text}


def _sip_headers(fields: Fields) -> dict[str, str]:
    """Return the SIP headers in *fields*.

    The headers are named as in the answer webhook, for example ``SipHeader_User-to-User``.
    """
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


async def answer(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    """Make a called party answer."""
    leg = _named(sandbox, fields)
    sandbox.exchange.pick_up(leg)
    return _logged(sandbox, leg, "answer")


async def press(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    """Make a party press keys on the party's phone."""
    digits = fields.text("digits", required=True)
    leg = _named(sandbox, fields)
    has_effect = sandbox.exchange.press(leg, dtmf.check(digits or ""))
    return _logged(sandbox, leg, "press", None if has_effect else NO_KEY_LISTENER, digits=digits)


async def say(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    """Make a party say something."""
    text = fields.text("text", required=True) or ""
    if len(text) > MAX_CHARACTERS or not text.isprintable():
        fields.refuse("text", f"Must be printable and at most {MAX_CHARACTERS} characters long")
    leg = _named(sandbox, fields)
    has_effect = sandbox.exchange.say(leg, text)
    return _logged(sandbox, leg, "say", None if has_effect else NO_LISTENER, text=text)


async def hangup(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    """Make a party hang up."""
    leg = _named(sandbox, fields)
    sandbox.exchange.party_hangs_up(leg)
    return _logged(sandbox, leg, "hangup")


async def remark(sandbox: Sandbox, request: Request, _fields: Fields) -> Response:
    """Return the reason why the flow of a leg did not run as written, or null if it did."""
    return Json({"remark": _find(sandbox, request.path_params["leg"]).remark})


async def hear(sandbox: Sandbox, request: Request, _fields: Fields) -> Response:
    """Return a list of the sounds that a party has heard, including those that are still playing."""
    leg = _find(sandbox, request.path_params["leg"])
    return Json([heard.to_json(sandbox.exchange.now) for heard in leg.audio.heard])


def _logged(sandbox: Sandbox, leg: Leg, what: str, remark: str | None = None, **how: Any) -> Json:
    """Log an action of a party, and return the record of the party's leg.

    If *remark* is not None, it is logged too. The log entry for the action comes before the entries for the action's
    effects.
    """
    sandbox.log.add("party", uuid=leg.uuid, what=what, **how)
    if remark is not None:
        sandbox.log.add("remark", uuid=leg.uuid, reason=remark)
    return _record(leg, remark)


def _record(leg: Leg, remark: str | None, status: int = 200) -> Json:
    """Return a response that contains the record of *leg*, and *remark* if it is not None."""
    return Json(call_record(leg) | ({} if remark is None else {"remark": remark}), status)


def _named(sandbox: Sandbox, fields: Fields) -> Leg:
    reference = fields.text("leg", required=True)
    fields.done()
    return _find(sandbox, reference or "")


def _find(sandbox: Sandbox, reference: str) -> Leg:
    """Return the leg whose id is *reference*, or the only leg whose id begins with it. Hyphens do not matter.

    Prefixes are looked for among the live legs first, and then among all legs.
    """
    exchange, wanted = sandbox.exchange, plain(reference)
    for spelling in (wanted, hyphenated(wanted)):
        if spelling in exchange.legs:
            return exchange.legs[spelling]
    found: list[Leg] = []
    if len(wanted) >= SHORTEST_PREFIX:
        found = _beginning(exchange.live.values(), wanted) or _beginning(exchange.legs.values(), wanted)
    if len(found) == 1:
        return found[0]
    detail = (
        f"{len(found)} leg ids begin with {reference}." if found else f"No leg id begins with {reference}."
    )
    listed = islice(found or exchange.live.values(), CANDIDATES)
    raise refused_control(404, "Not Found", detail, candidates=[_candidate(leg) for leg in listed])


def _beginning(legs: Iterable[Leg], prefix: str) -> list[Leg]:
    return [leg for leg in legs if plain(leg.uuid).startswith(prefix)]


def _candidate(leg: Leg) -> dict[str, Any]:
    return {
        "uuid": leg.uuid,
        "status": leg.status,
        "direction": leg.direction,
        "to": label(leg.to),
        "from": label(leg.from_),
    }
