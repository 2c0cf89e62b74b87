"""The ASGI application of the sandbox, which checks each request before it is passed to a route."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from voicectl.sandbox.http import (
    applications,
    calls,
    control,
    conversation_events,
    conversations,
    legs,
    members,
    numbers,
    users,
)
from voicectl.sandbox.http.front import Front, refuse
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.problems import Problem


def app(sandbox: Sandbox) -> Front:
    """Return the ASGI application that serves *sandbox*."""
    # The control routes come first because a test of a call flow uses them many times a second.
    parts = (control, calls, applications, numbers, conversations, members, legs, conversation_events, users)
    routes = Starlette(
        routes=[route for part in parts for route in part.routes(sandbox)],
        exception_handlers=dict.fromkeys((Problem, HTTPException, Exception), refuse),
    )
    routes.router.redirect_slashes = False
    return Front(routes, sandbox)
