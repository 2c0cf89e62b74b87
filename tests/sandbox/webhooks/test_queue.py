"""The order and the limits of requests to webhooks."""

import asyncio
import os
import resource
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from tests.support.waiting import PATIENCE_SECONDS
from voicectl.sandbox.account.applications import Hook
from voicectl.sandbox.destinations import Destinations
from voicectl.sandbox.webhooks import queue
from voicectl.sandbox.webhooks.delivery import Delivery, WebhookClient
from voicectl.sandbox.webhooks.queue import AT_ONCE, QueuedRequest, WebhookQueue


class Requests:
    """Requests that end on demand, and the order in which they began."""

    def __init__(self, queue: WebhookQueue) -> None:
        self.queue = queue
        self.began: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def add(self, name: str, line: str, receiver: str = "a:1", *, is_awaited: bool = False) -> bool:
        self.ends[name] = asyncio.Event()

        async def make() -> None:
            self.began.append(name)
            await self.ends[name].wait()

        return self.queue.add(receiver, line, QueuedRequest(make=make, is_awaited=is_awaited))

    async def end(self, *names: str) -> None:
        for name in names:
            self.ends[name].set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(scene: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, PATIENCE_SECONDS))


def test_requests_of_one_line_are_sent_one_after_the_other():
    async def scene() -> None:
        requests = Requests(WebhookQueue())
        for name in "123":
            requests.add(name, "leg")
        await settle()
        assert requests.began == ["1"]

        await requests.end("1")

        assert requests.began == ["1", "2"]
        assert requests.queue.unfinished == 2
        await requests.end("2", "3")
        assert requests.queue.unfinished == 0

    run(scene())


def test_requests_of_other_lines_do_not_wait_for_them():
    async def scene() -> None:
        requests = Requests(WebhookQueue())
        requests.add("1", "leg")
        requests.add("2", "other leg")
        requests.add("3", "leg", "b:1")
        await settle()

        assert requests.began == ["1", "2", "3"]
        await requests.end("1", "2", "3")

    run(scene())


def test_a_late_reply_holds_up_its_line_only_for_a_moment():
    async def scene() -> None:
        requests = Requests(WebhookQueue())
        for name in "12":
            requests.add(name, "leg")

        await asyncio.sleep(queue.PATIENCE_SECONDS + 0.05)
        await settle()

        assert requests.began == ["1", "2"]
        await requests.end("1", "2")

    run(scene())


def test_the_number_of_simultaneous_requests_to_a_receiver_is_limited():
    async def scene() -> None:
        requests = Requests(WebhookQueue())
        names = [str(n) for n in range(AT_ONCE + 2)]
        for name in names:
            requests.add(name, f"leg {name}")
        requests.add("elsewhere", "leg", "b:1")
        await settle()
        assert requests.began == [*names[:AT_ONCE], "elsewhere"]

        await requests.end("0")

        assert requests.began[-1] == names[AT_ONCE]
        await requests.end(*names, "elsewhere")
        await requests.end()
        assert requests.queue.unfinished == 0

    run(scene())


def test_an_awaited_request_gets_its_turn_whatever_else_is_late():
    async def scene() -> None:
        requests = Requests(WebhookQueue())
        names = [str(n) for n in range(AT_ONCE + 1)]
        for name in names:
            requests.add(name, f"leg {name}")
        requests.add("asked", f"leg {names[-1]}", is_awaited=True)
        await settle()
        assert "asked" not in requests.began

        await asyncio.sleep(queue.PATIENCE_SECONDS + 0.05)
        await settle()

        assert requests.began == [*names[:AT_ONCE], "asked"]
        await requests.end(*names, "asked")

    run(scene())


def test_the_queue_is_limited_but_always_has_room_for_an_awaited_request():
    async def scene() -> None:
        requests = Requests(WebhookQueue(most=3))

        assert [requests.add(name, "leg") for name in "1234"] == [True, True, True, False]
        assert requests.add("5", "leg", "b:1")
        assert requests.add("6", "leg", is_awaited=True)
        await settle()
        await requests.end("1", "2")
        assert requests.add("7", "leg")
        requests.queue.cancel()

    run(scene())


def test_after_a_cancel_no_request_starts():
    async def scene() -> None:
        requests = Requests(WebhookQueue())
        requests.add("1", "leg")
        requests.add("2", "leg", is_awaited=True)
        await settle()

        ended = await asyncio.gather(*requests.queue.cancel(), return_exceptions=True)
        await asyncio.sleep(queue.PATIENCE_SECONDS + 0.05)
        await settle()

        assert ended
        assert requests.began == ["1"]
        assert requests.queue.unfinished == 0

    run(scene())


@contextmanager
def descriptors(more: int) -> Iterator[int]:
    """Let this process open the given number of further files; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(more)]
    for each in free:
        os.close(each)
    most = max(free) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def outcomes(url: str, count: int) -> set[str]:
    """Return the outcomes of *count* requests that were made at once."""
    client = WebhookClient(sign=lambda _payload, _id: "", destinations=Destinations())
    hook = Hook(url=url, method="POST", connect_seconds=PATIENCE_SECONDS, read_seconds=0.2)
    entries: list[dict] = [{"attempts": []} for _ in range(count)]

    async def main() -> None:
        application = SimpleNamespace(id="", fallback=None)
        rest = {"effect": None, "hook": hook, "fields": {}, "line": "", "is_signed": False}
        deliveries = [Delivery(application=application, entry=entry, **rest) for entry in entries]
        await asyncio.gather(*map(client.request_ncco, deliveries))

    asyncio.run(main())
    return {entry["outcome"] for entry in entries}


def test_more_requests_than_file_descriptors_wait_without_using_up_their_time():
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        outcomes(url, 1)  # opens the descriptors that stay open
        with descriptors(200) as most:
            assert outcomes(url, most + 10) == {"failed: Read timed out."}


def test_a_lack_of_file_descriptors_is_the_reported_reason():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        outcomes(url, 1)

        with descriptors(3):  # the loop's own
            assert outcomes(url, 1) == {"failed: The sandbox has no free file descriptors."}
