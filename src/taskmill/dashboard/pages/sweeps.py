"""Cancelling or running again many tasks: what would be done, in numbers; then a job that does it."""

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskmill.dashboard.form import every, first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages.filters import Filters, Pairs
from taskmill.dashboard.view import View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.wire.wording import describe

MOST_SELECTED: Final = 500
_MOST_BYTES: Final = 64 * 1024
_MOST_DIGITS: Final = 15
# htmx stops asking again when it gets this.
_STOP_POLLING: Final = 286


async def preview(view: View) -> Response:
    """Say how many tasks it would be."""
    form = await view.form(_MOST_BYTES)
    what, ids, filters = _what(form), _ids(form), _filters(form)
    matched: int | None = len(ids)
    is_counted = True
    if not ids:
        wanted = _wanted(view, filters, what)
        step = await view.context.service.sweep(what, wanted, None, dry_run=True)
        matched, is_counted = step.matched, step.next_start is None
    return view.fragment(
        "sweep.html", what=what, ids=ids, filters=filters, matched=matched, is_counted=is_counted
    )


async def start(view: View) -> Response:
    """Begin, and lead back to the list, which shows how far it is."""
    form = await view.form(_MOST_BYTES)
    what, ids, filters = _what(form), _ids(form), _filters(form)
    job = view.context.jobs.start(
        what,
        wanted=None if ids else _wanted(view, filters, what),
        ids=ids,
        expected=_number(first(form, "expected")),
    )
    return view.redirect("/ui/tasks", [*filters.pairs, ("job", str(job.id))])


async def show_job(view: View) -> Response:
    """Show how far a job is; htmx asks again until it is over."""
    job = view.context.jobs.get(parse_id(view.request.path_params["id"], "path:id"))
    response = view.fragment("job.html", job=job)
    if job is None or job.is_over:
        response.status_code = _STOP_POLLING
    return response


async def stop_job(view: View) -> Response:
    """Have a job end with the step that it is in."""
    job = view.context.jobs.get(parse_id(view.request.path_params["id"], "path:id"))
    if job is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    job.stop.set()
    return view.fragment("job.html", job=job)


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def _wanted(view: View, filters: Filters, what: Sweep) -> TaskFilter:
    """Return which of the tasks that fit can be dealt with so."""
    wanted = filters.wanted(view.context.clock.now())
    return replace(wanted, statuses=what.statuses & (wanted.statuses or what.statuses))


def _what(form: Pairs) -> Sweep:
    text = first(form, "what")
    try:
        return Sweep(text)
    except ValueError:
        expected = f"one of {', '.join(Sweep)}"
        raise InvalidInput.at("/what", expected, describe(text, reveal=True)) from None


def _ids(form: Pairs) -> Sequence[UUID]:
    ids = [parse_id(text, "/id") for text in every(form, "id")]
    if len(ids) > MOST_SELECTED:
        raise InvalidInput.at("/id", f"at most {MOST_SELECTED} tasks", f"{len(ids)}")
    return list(dict.fromkeys(ids))


def _filters(form: Pairs) -> Filters:
    filters = Filters.of(form)
    if filters.complaints:
        name = next(iter(filters.complaints))
        raise InvalidInput.at(f"/{name}", "a value that fits", "another one")
    return filters


ROUTES = [
    ("POST", "/ui/sweeps/preview", preview),
    ("POST", "/ui/sweeps", start),
    ("GET", "/ui/jobs/{id}", show_job),
    ("POST", "/ui/jobs/{id}/stop", stop_job),
]
