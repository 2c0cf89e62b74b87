"""Code that the sandbox and the webhook receiver share: uvicorn's settings, URLs, signals and server threads."""

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
    """Return uvicorn's settings for serving the ASGI application *app* with the HTTP protocol class *http*."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # log bugs in voicectl, not mistakes by clients
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **more,
    )


def url(sock: socket.socket, scheme: str = "http") -> str:
    """Return the base URL of the server that listens on *sock*."""
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@contextmanager
def handlers_restored(signums: Iterable[int]) -> Iterator[None]:
    """Restore the original handlers of the signals *signums* at the end of the ``with`` block."""
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
    """Run a server in a thread for the duration of the ``with`` block, which starts once the server is ready.

    Args:
        serve: A function that takes a callback, and returns a coroutine that runs the server. Once the server is
            ready for requests, the coroutine must call the callback with a function that stops the server. That
            function is later called in the server's event loop.
        run: A function that runs the coroutine.
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
            with suppress(RuntimeError):  # the loop is closed if the server has already ended
                loop.call_soon_threadsafe(stop)
            served.result()


class Server(uvicorn.Server):
    """A uvicorn server that does not handle signals, since its caller handles them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Run the ``with`` block without capturing signals."""
        yield

    async def break_off(self, turns: int) -> None:
        """Abort the remaining connections, then cancel their tasks.

        Args:
            turns: The number of event loop iterations to wait between the two steps, so that the tasks notice the
                lost connections and do not send responses.
        """
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in (late := list(self.server_state.tasks)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
