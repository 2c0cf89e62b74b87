"""The request to the application that makes it call someone (``create``)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, wait
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicectl.core.scenarios.driver import StepFailed

if TYPE_CHECKING:
    from voicectl.core.scenarios.driver import Driver
    from voicectl.core.scenarios.model import Create

ALONE_SECONDS = 10.0
"""How long the application may take to answer before time passes, in real time.

It may still be making calls, and whether they are placed at the same moment must not depend on its speed.
"""

REPLY_SECONDS = 30.0
"""How long the application may take to answer in all, in real time."""


def create(driver: Driver, request: Create) -> None:
    """Send the request, and wait for the response, or for the call if the application answers only later.

    Raises:
        StepFailed: There is no response, or it has another status than expected.
    """
    with ThreadPoolExecutor(1) as thread:
        reply = thread.submit(_send, driver.surroundings.application.url, request)
        wait([reply], ALONE_SECONDS)
        driver.stage.look()
        if not reply.done():  # the application answers once the call has gone on
            driver.wait_until(reply.done, driver.defaults.within)
        try:
            status = reply.result(REPLY_SECONDS)
        except (OSError, HTTPException) as exc:
            raise StepFailed(f"{request.method} {request.path} failed: {exc}.") from exc
    driver.stage.look()
    is_right = 200 <= status < 300 if request.status is None else status == request.status
    if not is_right:
        expected = "2xx" if request.status is None else request.status
        raise StepFailed(f"{request.method} {request.path} was answered with {status} instead of {expected}.")


def _send(base: str, request: Create) -> int:
    parts = urlsplit(base)
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=REPLY_SECONDS)
    body = None if request.json is None else json.dumps(request.json)
    content = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(request.method, request.path, body, content | request.headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
