"""The Conversation API routes for legs, which exist only in versions 0.1 and 0.3 of that API.

Source: Conversation API reference, versions 0.1 and 0.3, "legs"; the vendor's curl examples.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voicectl.sandbox import record
from voicectl.sandbox.bodies import Json
from voicectl.sandbox.conversations.representations import leg_record
from voicectl.sandbox.http.access import base, found_legs, may_read
from voicectl.sandbox.http.pipeline import routes_of
from voicectl.sandbox.operations import Operation
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import no_such, refused

VERSIONS = ("v0.1", "v0.3")


def routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes of ``/v0.1/legs`` and ``/v0.3/legs``."""
    operations = (
        operation
        for version in VERSIONS
        for operation in (
            (Operation.LIST_LEGS, "GET", f"/{version}/legs", _list),
            (Operation.DELETE_LEG, "DELETE", f"/{version}/legs/{{uuid}}", _delete),
        )
    )
    return routes_of(sandbox, *operations)


def _list(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    search = record.read_search(request.query_params)
    url = f"{base(request)}{request.scope['path']}"
    found = found_legs(sandbox, request, search)
    return Json(record.page(found, search, url, name="legs", show=partial(leg_record, url=url)))


def _delete(sandbox: Sandbox, request: Request, _body: Any) -> Response:
    """Hang up a leg."""
    leg = sandbox.exchange.legs.get(request.path_params["uuid"])
    if leg is None or not may_read(sandbox, request, leg):
        raise no_such("Leg", "leg:error:not-found")
    if leg.is_over:
        raise refused(400, "leg:error:complete", f"The leg has ended: its status is {leg.status}.")
    sandbox.exchange.hangup(leg)
    return Json({})
