"""The methods for jobs: start, list, read, stop."""

from collections.abc import Iterator
from typing import Unpack

from taskmill.client import jobs
from taskmill.client.jobs import JobId
from taskmill.client.sweeps import Planned, Sweep
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.jobs import JobView


class JobCalls(Sender):
    """Jobs that cancel or retry many tasks in the background."""

    def start_job(
        self, action: Sweep, *, idempotency_key: str | None = None, **fields: Unpack[Planned]
    ) -> JobView:
        """Start to cancel all tasks that match, or to run them again; the service goes on with it by itself.

        The same `idempotency_key` gives the same job again. Raises `JobLimitReached` when too many jobs go on.
        """
        return self._send(jobs.start(action, fields, idempotency_key))

    def jobs(self, *, page_size: int = 50) -> Iterator[JobView]:
        """Yield the jobs, newest first, page by page; those that are over are kept for 30 days."""
        cursor: str | None = None
        while True:
            page = self._send(jobs.page(cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def job(self, job_id: JobId) -> JobView:
        """Read a job: how far it is."""
        return self._send(jobs.get(job_id))

    def stop_job(self, job_id: JobId) -> JobView:
        """Stop a job after its current step; one that is over stays as it is."""
        return self._send(jobs.stop(job_id))
