"""Polling an API that refuses requests for a while."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from tests.support.clock import FakeClock
from voicectl.api.client import VoiceApi
from voicectl.core.watch.board import Board
from voicectl.core.watch.poller import Poller
from voicectl.core.watch.schedule import PollSchedule
from voicectl.errors import RateLimitedError
from voicectl.voice.call import Call


class Api:
    """An API without calls, which refuses the first request because of its rate limit."""

    def __init__(self) -> None:
        self._refuses = True

    def get_calls(self, **_: Any) -> Iterator[Call]:
        if self._refuses:
            self._refuses = False
            raise RateLimitedError("429.", status=429)
        return iter(())


def test_once_the_api_answers_again_it_does_not_count_as_rate_limited() -> None:
    """Otherwise, a slow request would later be shown as one that the rate limit holds back."""
    clock = FakeClock()
    schedule = PollSchedule(1.0, clock.monotonic())
    poller = Poller(cast("VoiceApi", Api()), clock, Board(), schedule, tail=None, check=lambda: None)
    rounds = poller.rounds()

    list(islice(rounds, 2))
    assert poller.status.is_limited
    list(islice(rounds, 20))
    assert poller.status.trouble is None
    poller.status.asking = clock.monotonic() - 5
    assert poller.status.text(clock.monotonic()).startswith("The API has not responded for")
