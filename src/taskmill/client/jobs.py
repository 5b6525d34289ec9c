"""The calls for jobs that cancel or retry many tasks in the background."""

from typing import Any, TypeAlias
from uuid import UUID, uuid4

from taskmill.client.calls import Call, got, path_of, sent
from taskmill.client.filters import reread
from taskmill.client.responses import reader
from taskmill.client.sweeps import Planned, Sweep
from taskmill.client.views.jobs import JobList, JobView

JobId: TypeAlias = UUID | str


def start(action: Sweep, fields: Planned, idempotency_key: str | None = None) -> Call[JobView]:
    """Start a job; without a key it gets a new one, so that a retry is safe."""
    body: dict[str, Any] = {"action": action, **reread(fields)}
    for name in ("status", "label"):
        if isinstance(body.get(name), str):
            body[name] = [body[name]]
    key = str(uuid4()) if idempotency_key is None else idempotency_key
    return sent("POST", "/jobs", body, JobView, repeatable=True, more={"Idempotency-Key": key})


def page(cursor: str | None, limit: int) -> Call[JobList]:
    """Read a page of jobs."""
    return got("/jobs", JobList, limit=limit, cursor=cursor)


def get(job_id: JobId) -> Call[JobView]:
    """Read a job."""
    return got(path_of("jobs", str(job_id)), JobView)


def stop(job_id: JobId) -> Call[JobView]:
    """Stop a job."""
    return Call(method="POST", path=path_of("jobs", str(job_id), "stop"), read=reader(JobView))
