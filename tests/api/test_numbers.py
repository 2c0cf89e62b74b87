"""The Numbers API's client: what it sends, and how its requests count for the rate limits."""

from __future__ import annotations

from tests.support.clock import FakeClock
from tests.support.servers import Canned, reply
from voicectl.api.auth import Basic
from voicectl.api.numbers import NumberApi
from voicectl.api.session import Session
from voicectl.api.wire import Wire


class Counter:
    """A rate limiter that limits nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def take(self, *, creates: int, others: int, urgent: bool, budget: float) -> float:
        self.taken.append((creates, others))
        return 0.0


def test_a_post_that_rings_no_phone_counts_as_another_request() -> None:
    counter = Counter()
    answers = [reply(200, {}), reply(200, {"error-code": 200, "error-code-label": "success"})]
    with Canned(*answers) as server:
        wire = Wire(server.url, environ={})
        api = NumberApi(Session(wire, Basic("key", "secret"), counter, FakeClock()))

        assert list(api.get_numbers(beginning="4420")) == []
        api.update_number({"country": "GB", "msisdn": "442079460000", "moHttpUrl": "https://x.org/a b?c=d&e"})
        wire.close()

    listing, update = server.requests
    assert listing.query == {"size": "100", "pattern": "4420", "search_pattern": "0", "index": "1"}
    assert update.headers["content-type"] == "application/x-www-form-urlencoded"
    assert update.body == b"country=GB&msisdn=442079460000&moHttpUrl=https%3A%2F%2Fx.org%2Fa+b%3Fc%3Dd%26e"
    assert counter.taken == [(0, 1), (0, 1)]
