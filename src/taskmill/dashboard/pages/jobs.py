"""Jobs that cancel or retry many tasks: the list of them, the progress of one, and its stop.

Any process shows and stops each of them, whichever goes on with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages.filters import duration_text
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.job_errors import JobNotFound
from taskmill.domain.jobs import Job
from taskmill.domain.system import TaskFilter

_ON_A_PAGE: Final = 50
# What has the same name, and the same text, in the query of the list of tasks.
_SAME_NAMES: Final = (
    *("waiting", "queue", "type", "name", "error"),
    *("source", "priority", "attempts_over"),
)
# htmx stops polling at this status.
_STOP_POLLING: Final = 286
_LATE_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job, the query of the tasks that its filter admits, None for picked ones, and who started it."""

    job: Job
    tasks: Pairs | None
    by: str | None


async def show_jobs(view: View) -> Response:
    """Show a page of jobs, newest first."""
    before = first(view.query, "before")
    start = parse_id(before, "query:before") if before else None
    page = await view.context.service.jobs.page(before=start, limit=_ON_A_PAGE)
    return view.page(
        "jobs.html",
        title=view.t("jobs.title"),
        rows=[_row(job) for job in page],
        newer=[] if start is not None else None,
        older=[("before", str(page[-1].id))] if page.has_more else None,
    )


async def show_job(view: View) -> Response:
    """Show the progress of a job; htmx polls until it is over."""
    try:
        job = await view.context.service.jobs.get(view.id)
    except JobNotFound:
        return view.fragment("job.html", status=_STOP_POLLING, job=None)
    response = _progress(view, job)
    if job.is_over:
        response.status_code = _STOP_POLLING
    return response


async def stop_job(view: View) -> Response:
    """Stop a job after its current step. Raises `JobNotFound`."""
    await view.form()
    job = await view.context.service.jobs.stop(view.id)
    return _progress(view, job) if view.wants_fragment else view.redirect("/ui/jobs")


def _progress(view: View, job: Job) -> Response:
    is_late = not job.is_over and view.context.clock.now() - job.updated_at > _LATE_AFTER
    return view.fragment("job.html", job=job, is_late=is_late)


def _row(job: Job) -> Row:
    actor = job.origin.actor
    return Row(
        job=job,
        tasks=None if job.request.ids else list(_pairs(job.request.wanted)),
        by=actor.name or actor.address,
    )


def _pairs(wanted: TaskFilter) -> Iterator[tuple[str, str]]:
    """Return the query of the list of tasks for a filter."""
    yield from (("status", str(one)) for one in sorted(wanted.statuses))
    yield from (("label", f"{key}={value}") for key, value in wanted.labels)
    for name in _SAME_NAMES:
        if (value := getattr(wanted, name)) is not None:
            yield name, str(value)
    if wanted.took_over is not None:
        yield "took_over", duration_text(wanted.took_over)
    if wanted.lease is not None:
        yield "worker", str(wanted.lease)
    for name in ("created_after", "created_before"):
        if moment := getattr(wanted, name):
            yield name, moment.isoformat()


ROUTES = [
    ("GET", "/ui/jobs", show_jobs),
    ("GET", "/ui/jobs/{id}", show_job),
    ("POST", "/ui/jobs/{id}/stop", stop_job),
]
