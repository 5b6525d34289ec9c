"""Cancels or retries many tasks: first a preview with their number, then a job that does it.

Against slips it needs picked tasks or a filter, retries succeeded tasks only when that status is named, and has a
number above `MOST_UNTYPED` typed. The job changes no more tasks than were confirmed. Of what a filter admits, it
may retry the oldest ones only, after a delay, or some each second: then they are due one after the other, and
nothing has to keep the pace.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

from starlette.responses import Response

from taskmill.dashboard.form import every, first, one_of
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages import windows
from taskmill.dashboard.pages.filters import Filters, Pairs
from taskmill.dashboard.view import View
from taskmill.dashboard.wording import NOTHING
from taskmill.domain.activity import Window
from taskmill.domain.errors import InvalidInput
from taskmill.domain.jobs import MOST_PICKED, MOST_UNTYPED, JobRequest
from taskmill.domain.lifecycle import Status
from taskmill.domain.sweep_plans import MOST_TASKS, SweepPlan
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.domain.task_groups import TaskGroups, Work
from taskmill.domain.task_types import flows_by_type
from taskmill.runtime.gather import gather
from taskmill.wire.fields import parse_timestamp
from taskmill.wire.wording import describe

_MOST_BYTES: Final = 64 * 1024
# So many queues and types are named; of others the number is said.
_MOST_NAMES: Final = 6
_MOST_DIGITS: Final = 15
_PACE: Final = ("delay_min", "per_second", "limit")
# A week: what is due later is better scheduled.
_LONGEST_DELAY_MIN: Final = 7 * 24 * 60
# Separators of thousands in various languages.
_BETWEEN_THOUSANDS: Final = dict.fromkeys(map(ord, " ,.'\u00a0\u2009\u202f"))


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
    groups = await view.context.service.groups(what, filters.wanted(at, what.usual), ids)
    return view.fragment(
        "sweep.html",
        groups=groups,
        most_names=_MOST_NAMES,
        work=await _work(view, groups, matched) if what is Sweep.RETRY and groups.tasks else None,
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
        job_id=view.context.service.jobs.new_id(),
    )


async def _work(view: View, groups: TaskGroups, matched: int) -> Work:
    """Return how much work it is to run the tasks again, by what attempts of their types took lately."""
    activity, workers = await gather(
        windows.grouped_activity(view, Window.DAY), view.context.service.workers()
    )
    return groups.work(matched, flows_by_type(activity.groups), workers)


async def start(view: View) -> Response:
    """Start the job, and lead back to the list, which shows its progress; the same form again starts nothing."""
    form = await view.form(_MOST_BYTES)
    what, ids, filters = _request(form)
    expected, typed = _number(first(form, "expected")), first(form, "typed")
    confirmed = _number(typed.translate(_BETWEEN_THOUSANDS))
    now, plan = view.context.clock.now(), _plan(form, what)
    concerned = expected if plan.limit is None else min(expected or 0, plan.limit)
    if concerned is not None and concerned > MOST_UNTYPED and confirmed != expected:
        return await _counted(view, form, mistyped=typed or NOTHING)
    request = JobRequest(
        action=what,
        wanted=TaskFilter() if ids else _wanted(form, what, filters, now),
        ids=ids,
        limit=None if ids else min(max(confirmed or 0, MOST_UNTYPED), plan.limit or MOST_TASKS),
        expected=expected if plan.limit is None else min(expected or plan.limit, plan.limit),
        pace=plan.begun(now).pace,
    )
    jobs, job_id = view.context.service.jobs, first(form, "job")
    found = await jobs.start(parse_id(job_id, "/job") if job_id else jobs.new_id(), request)
    return view.redirect("/ui/tasks", [*filters.pairs, ("job", str(found.job.id))])


def _plan(form: Pairs, what: Sweep) -> SweepPlan:
    """Return how many tasks are meant, and when they are due if they run again. Raises `InvalidInput`."""
    limit = _whole(form, "limit")
    if what is not Sweep.RETRY:
        return SweepPlan(limit=limit)
    delay_min, per_second = _whole(form, "delay_min") or 0, _whole(form, "per_second")
    if delay_min > _LONGEST_DELAY_MIN:
        raise InvalidInput.at("/delay_min", f"at most {_LONGEST_DELAY_MIN}", f"{delay_min}")
    spacing_s = 1 / per_second if per_second else 0.0
    return SweepPlan(limit=limit, delay_s=delay_min * 60.0, spacing_s=spacing_s)


def _whole(form: Pairs, name: str) -> int | None:
    """Return a whole number of a form, None when it is left empty or 0. Raises `InvalidInput`."""
    text = first(form, name)
    number = _number(text) if text else 0
    if number is None or number > MOST_TASKS:
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
    if len(ids) > MOST_PICKED:
        raise InvalidInput.at("/id", f"at most {MOST_PICKED} tasks", f"{len(ids)}")
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
]
