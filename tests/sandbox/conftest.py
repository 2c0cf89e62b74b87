"""Fixtures of the sandbox's tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.sandbox.webhooks.receiver import NEVER, Receiver
from tests.support.clock import FakeClock
from tests.support.servers import Drip
from tests.support.waiting import FOR_EVER
from voicectl.sandbox.account.applications import Hook
from voicectl.sandbox.account.identity import Identity, Options
from voicectl.sandbox.platform import Sandbox
from voicectl.sandbox.runner import running
from voicectl.sandbox.webhooks.request import build

from .parts import Client, Line, line

Start = Callable[..., Client]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def start(application: tuple[Identity, RSAPrivateKey], clock: FakeClock) -> Iterator[Start]:
    """Starts sandboxes, frozen and without rate limits by default; stops them in the end."""
    identity, key = application
    with ExitStack() as stack:

        def start(**options: object) -> Client:
            settings = {"seed": 1, "frozen": True, "limits": False} | options
            sandbox = Sandbox(identity, Options(**settings), clock=clock)
            sandbox.sockets.connect_seconds = FOR_EVER  # tests of these limits set shorter ones
            sandbox.sockets.patience_seconds = FOR_EVER
            client = Client(sandbox, stack.enter_context(running(sandbox)), key)
            stack.callback(client.http.close)
            return client

        yield start


@pytest.fixture
def client(start: Start) -> Client:
    """A client of a frozen sandbox without rate limits."""
    return start()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A web server for webhooks, which may take any time to answer."""
    with Receiver() as receiver:
        made: Counter[str] = Counter()

        def build_patiently(hook: Hook, fields: Any, sign: Any, address: str) -> httpx.Request:
            path = urlsplit(hook.url).path
            if address.startswith(receiver.url):
                answer = receiver.planned(path, made[path])
                made[path] += 1
                if answer is NEVER:
                    hook = replace(hook, connect_seconds=FOR_EVER)
                elif not isinstance(answer, Drip):
                    hook = replace(hook, connect_seconds=FOR_EVER, read_seconds=FOR_EVER)
            return build(hook, fields, sign, address)

        monkeypatch.setattr("voicectl.sandbox.webhooks.delivery.build", build_patiently)
        yield receiver


@pytest.fixture(name="line")
def a_line() -> Line:
    """An exchange without HTTP."""
    return line()
