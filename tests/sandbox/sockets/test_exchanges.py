"""The exchanges of a public framework for voice bots with the platform, played against the sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.parts import PERSON, Client
from tests.support.bots import Bot

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "websocket_exchanges.json").read_text())
FRAME = b"\x10\x20" * 320
MILLISECONDS = 20


class Exchange:
    """A call between a person and *bot* in which the steps of the reference are taken."""

    def __init__(self, client: Client, bot: Bot) -> None:
        endpoint = {"type": "websocket", "uri": bot.url, "content-type": REFERENCE["content_type"]}
        self.client = client
        self.bot = bot
        self.person = client.answered(PERSON, {"action": "connect", "endpoint": [endpoint]})
        self.seen = 1
        bot.until(lambda: bot.events)
        assert bot.events == [REFERENCE["first_message"]]

    def take(self, step: dict[str, Any]) -> None:
        match step:
            case {"bot": message}:
                self.bot.send(json.dumps(message))
            case {"bot_audio": [seconds, size]}:
                for _ in range(1000 * seconds // size):
                    self.bot.send(FRAME * (size // MILLISECONDS))
            case {"caller_keys": digits}:
                self.client.control("press", leg=self.person, digits=digits)
            case {"seconds": seconds}:
                self.client.advance(seconds)
            case {"received": events}:
                assert self.bot.events[self.seen :] == events
                self.seen += len(events)
            case {"heard": seconds}:
                heard = sum(each["seconds"] for each in self.client.hear(self.person))
                assert heard == pytest.approx(seconds, abs=2 * MILLISECONDS / 1000)
            case _:
                pytest.fail(f"an unknown step: {step}")


@pytest.mark.parametrize("name", REFERENCE["exchanges"])
def test_the_sandbox_plays_its_part_in_an_exchange(client: Client, name: str):
    with Bot() as bot:
        exchange = Exchange(client, bot)
        for step in REFERENCE["exchanges"][name]:
            exchange.take(step)
