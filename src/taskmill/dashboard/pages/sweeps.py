"""Cancels or retries many tasks: first a preview with their number, then a job that does it.

Against slips it needs picked tasks or a filter, retries succeeded tasks only when that status is named, and has a
number above `MOST_UNTYPED` typed. The job changes no more tasks than were confirmed. Of what a filter admits, it
may retry the oldest ones only, after a delay, or some each second: then they are due one after the other, and
nothing has to keep the pace.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskmill.dashboard.form import every, first, one_of
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.jobs import MOST_UNTYPED
from taskmill.dashboard.pages.filters import Filters, Pairs
from taskmill.dashboard.view import View
from taskmill.dashboard.wording import NOTHING
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Pace, Sweep, TaskFilter
from taskmill.wire.fields import parse_timestamp
from taskmill.wire.wording import describe

MOST_SELECTED: Final = 500
_MOST_BYTES: Final = 64 * 1024
_MOST_DIGITS: Final = 15
_MOST_TASKS: Final = 1_000_000_000
_PACE: Final = ("delay_min", "per_s", "most")
# A week: what is due later is better scheduled.
_LONGEST_DELAY_MIN: Final = 7 * 24 * 60
# Separators of thousands in various languages.
_BETWEEN_THOUSANDS: Final = dict.fromkeys(map(ord, " ,.'\u00a0\u2009\u202f"))
# htmx stops polling at this status.
_STOP_POLLING: Final = 286


class JobUnknown(HTTPException):
    """This process does not run the job, and can't stop it."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.NOT_FOUND)


async def preview(view: View) -> Response:
    """Show how many tasks it would change."""
    return await _counted(view, await view.form(_MOST_BYTES))


async def _counted(view: View, form: Pairs, *, mistyped: str = "") -> Response:
    """Show the number of tasks, and what to confirm; `mistyped` is what was typed instead of the number."""
    what, ids, filters = _request(form)
    at = view.context.clock.now()
    matched, is_counted = len(ids), True
    if not ids:
        wanted = filters.wanted(at, what.usual)
        step = await view.context.service.sweep_step(what, wanted, None, dry_run=True)
        matched, is_counted = step.matched, step.next_start is None
    return view.fragment(
        "sweep.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if mistyped else HTTPStatus.OK,
        what=what,
        ids=ids,
        filters=filters,
        meant=[one for one in Status if one in (filters.statuses or what.usual) & what.statuses],
        matched=matched,
        is_counted=is_counted,
        is_typed=matched > MOST_UNTYPED,
        mistyped=mistyped,
        pace={name: first(form, name) for name in _PACE},
        at=at.isoformat(),
        job_id=view.context.jobs.new_id(),
    )


async def start(view: View) -> Response:
    """Start the job, and lead back to the list, which shows its progress; the same form again starts nothing."""
    form = await view.form(_MOST_BYTES)
    what, ids, filters = _request(form)
    expected, typed = _number(first(form, "expected")), first(form, "typed")
    confirmed = _number(typed.translate(_BETWEEN_THOUSANDS))
    pace, first_ones = _pace(form, what, view.context.clock.now()), _whole(form, "most")
    concerned = expected if first_ones is None else min(expected or 0, first_ones)
    if concerned is not None and concerned > MOST_UNTYPED and confirmed != expected:
        return await _counted(view, form, mistyped=typed or NOTHING)
    job_id = first(form, "job")
    job = view.context.jobs.start(
        parse_id(job_id, "/job") if job_id else view.context.jobs.new_id(),
        what,
        wanted=None if ids else _wanted(form, what, filters, view.context.clock.now()),
        ids=ids,
        most=min(max(confirmed or 0, MOST_UNTYPED), first_ones or _MOST_TASKS),
        expected=expected if first_ones is None else min(expected or first_ones, first_ones),
        pace=pace,
    )
    return view.redirect("/ui/tasks", [*filters.pairs, ("job", str(job.id))])


async def show_job(view: View) -> Response:
    """Show the progress of a job; htmx polls until it is over."""
    job = view.context.jobs.get(view.id)
    response = view.fragment("job.html", job=job)
    # When it is unknown here, the next poll may reach the process that knows it.
    if job is not None and job.is_over:
        response.status_code = _STOP_POLLING
    return response


async def stop_job(view: View) -> Response:
    """Stop a job after its current step. Raises `JobUnknown`."""
    await view.form(_MOST_BYTES)
    job = view.context.jobs.get(view.id)
    if job is None:
        raise JobUnknown
    job.stop.set()
    return view.fragment("job.html", job=job)


def _pace(form: Pairs, what: Sweep, now: datetime) -> Pace | None:
    """Return when the tasks are due, None for at once. Raises `InvalidInput`."""
    delay_min, per_s = _whole(form, "delay_min"), _whole(form, "per_s")
    if what is not Sweep.RETRY or not (delay_min or per_s):
        return None
    if (delay_min or 0) > _LONGEST_DELAY_MIN:
        raise InvalidInput.at("/delay_min", f"at most {_LONGEST_DELAY_MIN}", f"{delay_min}")
    first_at = now + timedelta(minutes=delay_min or 0)
    return Pace(first_at=first_at, spacing_s=1 / per_s if per_s else 0.0)


def _whole(form: Pairs, name: str) -> int | None:
    """Return a whole number of a form, None when it is left empty or 0. Raises `InvalidInput`."""
    text = first(form, name)
    number = _number(text) if text else 0
    if number is None or number > _MOST_TASKS:
        raise InvalidInput.at(f"/{name}", "a whole number", describe(text, reveal=True))
    return number or None


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def _request(form: Pairs) -> tuple[Sweep, Sequence[UUID], Filters]:
    """Return the action and its tasks. Raises `InvalidInput`, also when every task would be meant."""
    what, ids, filters = _what(form), _ids(form), _filters(form)
    if not ids and filters.is_empty:
        raise InvalidInput.at("/", "a filter, or picked tasks", "neither")
    return what, ids, filters


def _wanted(form: Pairs, what: Sweep, filters: Filters, now: datetime) -> TaskFilter:
    """Return the filter of tasks: those that were counted, and no later ones; without a count, those of now."""
    text = first(form, "at")
    if not text:
        return filters.wanted(now, what.usual)
    try:
        at = min(parse_timestamp(text), now)
    except ValueError:
        raise InvalidInput.at("/at", "a time", describe(text, reveal=True)) from None
    wanted = filters.wanted(at, what.usual)
    return replace(wanted, created_before=min(wanted.created_before or at, at))


def _what(form: Pairs) -> Sweep:
    return Sweep(one_of(Sweep, first(form, "what"), "/what"))


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
