"""Control requests that move a frozen call clock to the next due time, and return what happened."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from voicectl.sandbox.bodies import Json
from voicectl.sandbox.parsing.fields import Fields
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.stepping import Stepper
from voicectl.sandbox.telephony.state import Leg
from voicectl.times import rfc3339
from voicectl.voice.endpoint import label

MAX_ENTRIES = 10_000


Handler = Callable[[Sandbox, Request, Fields], Awaitable[Response]]


async def step(sandbox: Sandbox, _request: Request, fields: Fields) -> Response:
    """Do what is due next (``POST /sandbox/step``)."""
    return Json(await _stepped(sandbox, fields))


def then_step(act: Handler) -> Handler:
    """Return the route *act*, which also does a step if a request has the field ``step``, and then returns both.

    A test that acts as a party thus needs one request instead of two.
    """

    async def act_and_step(sandbox: Sandbox, request: Request, fields: Fields) -> Response:
        how = fields.inside("step")
        response = await act(sandbox, request, fields)
        if how is None:
            return response
        await sandbox.catch_up()
        return Json({"reply": json.loads(bytes(response.body)), "step": await _stepped(sandbox, how)})

    return act_and_step


async def _stepped(sandbox: Sandbox, fields: Fields) -> dict[str, Any]:
    """Do a step as *fields* say, and return what happened."""
    within, settle = fields.amount("within"), fields.amount("settle")
    since = fields.integer("since", 0, 10**15, default=0) or 0
    fields.done()
    now = sandbox.call_clock.now()
    done = await Stepper(sandbox).step(now + round((within or 0) * 1000) if within else None, settle or 0)
    due = sandbox.next_due
    entries = list(islice(sandbox.log.since(since), MAX_ENTRIES))
    return {
        "call_time": rfc3339(sandbox.call_clock.now()),
        "next_due": None if due is None else rfc3339(due),
        "due": done.is_due,
        "quiet": done.is_quiet,
        "settled": done.settled,
        "settle_capped": done.is_capped,
        "cursor": entries[-1]["n"] if entries else since,
        "entries": entries,
        "legs": [_leg(sandbox, leg) for leg in sandbox.exchange.legs.values()],
    }


def _leg(sandbox: Sandbox, leg: Leg) -> dict[str, Any]:
    return {
        "uuid": leg.uuid,
        "status": leg.status,
        "direction": leg.direction,
        "from": label(leg.from_),
        "to": label(leg.to),
        "conversation_uuid": leg.conversation.uuid,
        "room": leg.conversation.name if leg.is_joined else None,
        "joined": leg.is_joined,
        "muted": leg.is_muted,
        "earmuffed": leg.is_earmuffed,
        "created": rfc3339(leg.created),
        "answered": None if leg.answered_at is None else rfc3339(leg.answered_at),
        "ended": None if leg.ended_at is None else rfc3339(leg.ended_at),
        "listens": sandbox.exchange.listens(leg),
        "remark": leg.remark,
        "heard": [heard.to_json(sandbox.exchange.now) for heard in leg.audio.heard],
    }
