"""The jobs that tell the processes of a batch whom to call, which Procrastinate hands out.

A job names one person. It is queued in the transaction that marks the person as queued, and ends after the
transaction that records what became of the person: an outcome, another attempt later, or no attempt at all. So no
person is forgotten with a job, and jobs decide nothing: a second job finds that its person does not wait any more.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from procrastinate import App, SyncPsycopgConnector
from procrastinate.jobs import Job

from voicectl.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voicectl.store.postgres import Link

TASK = "call"
PORTION = 2000
"""The maximum number of waiting jobs. A fetch searches all of them, so people beyond that number wait as rows."""

GIVE_UP = """
WITH gone AS (
    DELETE FROM procrastinate_jobs WHERE status = 'doing' AND {jobs} RETURNING (args ->> 'person')::bigint AS person
)
UPDATE people SET is_queued = FALSE FROM gone WHERE people.batch = %(batch)s AND people.id = gone.person
"""
"""Deletes jobs whose process has ended, and lets their people be queued again, but only once."""

_FORGOTTEN = """
UPDATE people SET is_queued = FALSE WHERE batch = %s AND due_at IS NOT NULL AND is_queued AND NOT EXISTS (
    SELECT FROM procrastinate_jobs AS job WHERE job.queue_name = %s AND (job.args ->> 'person')::bigint = people.id
)
"""
"""Lets people be queued again whose job ended with its process, which deletes the job."""


def queue_of(batch: int) -> str:
    """Return the name of the queue of a batch."""
    return f"b{batch}"


class Jobs:
    """The jobs of one process: those that it has received, and the queue to which it adds.

    Attributes:
        engine: The id of the engine that receives the jobs, or None if it has not received any.
    """

    def __init__(self) -> None:
        self._app = App(
            connector=SyncPsycopgConnector()
        )  # only to queue jobs, on the connection of the store
        self._lock = threading.Lock()
        self._is_ended = False
        self.engine: int | None = None
        self._received: deque[int] = deque()
        self._ends: dict[int, Callable[[], Any]] = {}

    def end(self) -> None:
        """Note that no more jobs will be received."""
        self._is_ended = True

    def receive(self, person: int, end: Callable[[], Any]) -> None:
        """Add a job. *end* is called once the job is done. This may be called from any thread."""
        with self._lock:
            if person in self._ends:
                end()
            else:
                self._ends[person] = end
                self._received.append(person)

    def take(self, limit: int) -> list[int]:
        """Return the people of up to *limit* jobs that have not been taken yet."""
        with self._lock:
            return [self._received.popleft() for _ in range(min(limit, len(self._received)))]

    def finish(self, people: Iterable[int]) -> None:
        """End the jobs of *people*, what became of whom is recorded."""
        with self._lock:
            ends = [self._ends.pop(person, None) for person in people]
        for end in ends:
            if end is not None:
                end()

    def hand_out(self, link: Link, batch: int, now: float) -> None:
        """Queue jobs for people who may be called, in the transaction of *link*, unless another process does.

        Raises:
            StoreError: The engine that receives the jobs has ended.
        """
        if self._is_ended:
            error = StoreError(
                "The job queue can no longer be read.", hint="Check that the server is running."
            )
            error.is_temporary = True
            raise error
        queue = queue_of(batch)
        ((is_mine,),) = link.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 2))", [queue]
        ).fetchall()
        if not is_mine:
            return
        ((waiting,),) = link.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE queue_name = %s AND status = 'todo'", [queue]
        ).fetchall()
        if waiting > PORTION // 2:
            return
        if not waiting:
            link.execute(_FORGOTTEN, [batch, queue])
        rows = link.execute(
            "UPDATE people SET is_queued = TRUE WHERE batch = %s AND id IN (SELECT id FROM people WHERE batch = %s"
            " AND due_at <= %s AND NOT is_queued ORDER BY due_at = 0, due_at, id LIMIT %s) RETURNING id",
            [batch, batch, now, PORTION - waiting],
        ).fetchall()
        if rows:
            self._app.job_manager.batch_defer_jobs(
                [_job(queue, person) for person in sorted(person for (person,) in rows)], connection=link
            )

    def hand_on(self, link: Link, batch: int, engines: list[int | None]) -> None:
        """Let the people of ended processes be queued again, in the transaction of *link*.

        Args:
            engines: The ids of the processes' engines.
        """
        given_up = GIVE_UP.format(jobs="queue_name = %(queue)s AND worker_id = ANY(%(engines)s)")
        link.execute(given_up, {"batch": batch, "queue": queue_of(batch), "engines": engines})
        link.execute("DELETE FROM procrastinate_workers WHERE id = ANY(%s)", [engines])

    def hand_back(self, link: Link, batch: int) -> None:
        """Let the people of unfinished jobs be queued again, in the transaction of *link*, and end the jobs."""
        with self._lock:
            people = list(self._ends)
            self._received.clear()
        link.execute("UPDATE people SET is_queued = FALSE WHERE batch = %s AND id = ANY(%s)", [batch, people])
        self.finish(people)


def _job(queue: str, person: int) -> Job:
    return Job(
        id=None,
        queue=queue,
        lock=None,
        queueing_lock=None,
        task_name=TASK,
        task_kwargs={"person": person},
        priority=0,
    )
