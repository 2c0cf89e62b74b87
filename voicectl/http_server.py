"""Code that the two HTTP servers share: uvicorn's settings, the URL, signals, and running in a thread."""

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
    """Return uvicorn's settings for the ASGI application *app* and voicectl's HTTP protocol class *http*."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # log bugs of voicectl, not mistakes of clients
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **more,
    )


def url(sock: socket.socket) -> str:
    """Return the base URL of the server that listens on *sock*."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def handlers_restored(signums: Iterable[int]) -> Iterator[None]:
    """At the end of the block, restore the signal handlers that were installed at its beginning."""
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
    """Run a server in a thread during the block. The block begins once the server responds to requests.

    Args:
        serve: A function that returns a coroutine, which runs the server. Once the server responds to requests, the
            coroutine must call the function's argument with a function that stops the server. That function is
            called in the server's event loop.
        run: A function that runs a coroutine.
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
            served.result()  # raises the error that prevented the start
            raise
        try:
            yield
        finally:
            with suppress(RuntimeError):  # the loop is closed: the server has ended, see result()
                loop.call_soon_threadsafe(stop)
            served.result()


class Server(uvicorn.Server):
    """Uvicorn's server without signal handling, which is the task of the caller."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Run the block without capturing signals."""
        yield

    async def break_off(self, turns: int) -> None:
        """Abort the remaining connections, then cancel their tasks.

        Args:
            turns: The number of turns of the event loop to wait in between, so that the tasks notice the lost
                connection and send no response.
        """
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in (late := list(self.server_state.tasks)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
