"""The engine that hands the people of a batch out to the processes of several machines: Procrastinate's worker.

It runs in a thread with an event loop of its own. A job does no work: it gives its person to
:class:`~voicectl.store.batches.jobs.Jobs`, from which the loop in :mod:`voicectl.core.batch.runner` takes it, and
waits until what became of the person is recorded. The status of a job is of no importance: our rows decide
(:mod:`voicectl.core.batch.attempts`).

The engine ends by itself some time after its database has gone away. Then the next use of the store reports it, and
the command begins again with a new engine.

The jobs of a process that has ended stay under way forever. So each engine looks for such jobs every 3 seconds,
deletes them, and lets their people be handed out again. A person with an open attempt does not wait; the attempt is
inherited instead (:meth:`voicectl.store.batches.records.BatchStore.inherit`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException

from voicectl.store.batches.jobs import GIVE_UP, TASK, queue_of
from voicectl.store.batches.postgres_schema import SCHEMA

if TYPE_CHECKING:
    from voicectl.store.batches.jobs import Jobs

# It logs each step; what matters is reported by the runner.
logging.getLogger("procrastinate").setLevel(logging.CRITICAL + 1)

POLL_SECONDS = 0.5
"""How often the queue is read, in seconds, since jobs that become due are not announced."""

HEARTBEAT_SECONDS = 5.0
STALLED_SECONDS = 20.0
"""How long a worker may give no sign of life before its jobs are handed out again, in seconds."""

LOOK_SECONDS = 3.0
END_SECONDS = 5.0


class Engine:
    """Procrastinate's worker for one batch.

    Args:
        url: A URL that libpq accepts.
        batch: The id of the batch.
        calls: The maximum number of people whom this process calls at the same time.
    """

    def __init__(self, url: str, batch: int, jobs: Jobs, calls: int) -> None:
        self._url = url
        self._batch = batch
        self._jobs = jobs
        self._calls = calls
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start to receive jobs."""
        self._thread.start()

    def close(self) -> None:
        """End the engine. The jobs must have been finished or handed back."""
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._work())
        try:
            self._loop.run_until_complete(self._task)
        except (asyncio.CancelledError, ProcrastinateException):
            pass
        finally:
            self._jobs.end()
            self._loop.close()

    async def _work(self) -> None:
        connector = PsycopgConnector(
            conninfo=self._url,
            kwargs={"options": f"-c search_path={SCHEMA}"},
            min_size=1,
            max_size=3,
            timeout=10,
        )
        app = App(connector=connector)

        @app.task(name=TASK, pass_context=True)
        async def call(context: JobContext, person: int) -> None:
            self._jobs.engine = context.job.worker_id
            ended = self._loop.create_future()
            self._jobs.receive(person, lambda: self._loop.call_soon_threadsafe(_end, ended))
            await ended

        queue = queue_of(self._batch)
        async with app.open_async():
            looking = asyncio.create_task(self._look_for_stalled(app, queue))
            try:
                await app.run_worker_async(
                    queues=[queue],
                    concurrency=self._calls,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=POLL_SECONDS,
                    delete_jobs="always",
                    shutdown_graceful_timeout=END_SECONDS,
                    update_heartbeat_interval=HEARTBEAT_SECONDS,
                    stalled_worker_timeout=STALLED_SECONDS,
                )
            finally:
                looking.cancel()

    async def _look_for_stalled(self, app: App, queue: str) -> None:
        """Hand the jobs of processes that have ended out again."""
        while True:
            stalled = await app.job_manager.get_stalled_jobs(
                queue=queue, seconds_since_heartbeat=STALLED_SECONDS
            )
            if ids := [job.id for job in stalled]:
                given_up = GIVE_UP.format(jobs="id = ANY(%(ids)s)")
                await app.connector.execute_query_async(given_up, batch=self._batch, ids=ids)
            await asyncio.sleep(LOOK_SECONDS)


def _end(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
