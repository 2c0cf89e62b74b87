"""What the two HTTP servers share: uvicorn's settings, the address, signals and a thread to serve from."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    Stop = Callable[[], None]


def config(app: Any, http: Any, **more: Any) -> uvicorn.Config:
    """Return uvicorn's settings for an ASGI application behind a protocol of ours."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # a bug of ours is worth a line, a client's mistake is not
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **more,
    )


def url(sock: socket.socket) -> str:
    """Return the base URL of what listens at *sock*."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def handlers_restored(signums: Iterable[int]) -> Iterator[None]:
    """Put back at the end what handles these signals now."""
    before = {signum: signal.getsignal(signum) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def in_thread(
    serve: Callable[[Callable[[Stop], None]], Coroutine[Any, Any, None]],
    *,
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> Iterator[None]:
    """Serve from a thread while the block runs, which begins once requests are answered.

    Args:
        serve: Calls what it is given once requests are answered, with what stops it, called on its loop.
        run: Runs a coroutine.
    """
    ready: Future[tuple[asyncio.AbstractEventLoop, Stop]] = Future()

    def on_ready(stop: Stop) -> None:
        ready.set_result((asyncio.get_running_loop(), stop))

    with ThreadPoolExecutor(1, "server") as thread:
        served = thread.submit(lambda: run(serve(on_ready)))
        served.add_done_callback(lambda _: ready.cancel())
        try:
            loop, stop = ready.result()
        except CancelledError:
            served.result()  # raises what kept it from starting
            raise
        try:
            yield
        finally:
            with suppress(RuntimeError):  # its loop is closed: it has ended, and result() says how
                loop.call_soon_threadsafe(stop)
            served.result()


class Server(uvicorn.Server):
    """Uvicorn's server, whose signals are its caller's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def break_off(self, turns: int) -> None:
        """Abort the connections that are left, and cancel what they wait for.

        Args:
            turns: Of the loop, after which they are lost, so that no answer is made for what is broken off.
        """
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in (late := list(self.server_state.tasks)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
