"""A backfill of a schedule: which ticks made no task, and then the tasks for these."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.pages.create_form import moment_of
from taskmill.dashboard.pages.form_faults import Fault
from taskmill.dashboard.pages.payload_fields import number
from taskmill.dashboard.pages.schedule_shown import (
    ShownTick,
    require_readable,
    shown_moment,
    zone_for,
)
from taskmill.dashboard.pages.schedules import named
from taskmill.dashboard.schedule_words import input_time
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import StoredSchedule
from taskmill.operations.manual_fires import Backfill, BackfillRequest
from taskmill.wire.schedules import to_backfill

_MAKE: Final = "make"
_FIELDS: Final = ("from", "to", "priority")
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBackfill:
    """The ticks that would get a task, or that got one; `rest` are the form's values that go on."""

    ticks: Sequence[ShownTick]
    rest: dict[str, str] | None
    is_made: bool


async def show_backfill(view: View) -> Response:
    """Show the form, for the last day unless the query says otherwise."""
    schedule = await _schedule(view)
    given = {name: first(view.query, name) for name in _FIELDS}
    since = input_time(schedule.cursor_at - _DAY)
    usual = {"from": since, "to": input_time(schedule.cursor_at), "priority": ""}
    return _page(view, schedule, {name: given[name] or usual[name] for name in _FIELDS})


async def backfill(view: View) -> Response:
    """Show which ticks would get a task; with `do=make` make these, and show them."""
    schedule = await _schedule(view)
    pairs = await view.form()
    values = {name: first(pairs, name) for name in _FIELDS}
    is_made = first(pairs, "do") == _MAKE
    try:
        wanted = _request(pairs, is_dry_run=not is_made)
    except InvalidInput as error:
        faults = [Fault(field=one.pointer.strip("/"), violation=one) for one in error.violations]
        return _page(view, schedule, values, status=422, faults=faults)
    found = await view.context.manual_fires.backfill(schedule.name, wanted)
    shown = _shown(view, schedule, values, found, is_made=is_made)
    return _page(view, schedule, values, found=shown)


def _request(pairs: Pairs, *, is_dry_run: bool) -> BackfillRequest:
    """Return what the form asks for. Raises `InvalidInput`."""
    priority = first(pairs, "priority")
    body: dict[str, Any] = {name: moment_of(first(pairs, name)) for name in ("from", "to")}
    asked = to_backfill({**body, **({"priority": number(priority)} if priority else {})})
    return BackfillRequest(
        since=asked.from_, until=asked.to, priority=asked.priority, is_dry_run=is_dry_run
    )


def _shown(
    view: View, schedule: StoredSchedule, values: dict[str, str], found: Backfill, *, is_made: bool
) -> ShownBackfill:
    words, zone = view.words, zone_for(schedule)
    rest = None if found.next_since is None else {**values, "from": input_time(found.next_since)}
    return ShownBackfill(
        ticks=[shown_moment(words, zone, tick) for tick in found.ticks], rest=rest, is_made=is_made
    )


async def _schedule(view: View) -> StoredSchedule:
    schedule = await view.context.schedules.get(named(view))
    require_readable(schedule)
    return schedule


def _page(
    view: View,
    schedule: StoredSchedule,
    values: dict[str, str],
    *,
    status: int = 200,
    faults: Sequence[Fault] = (),
    found: ShownBackfill | None = None,
) -> Response:
    return view.page(
        "schedule_backfill.html",
        status=status,
        title=view.t("schedule.backfill.title", name=schedule.name),
        schedule=schedule,
        values=values,
        faults=list(faults),
        found=found,
        is_live=False,
    )


ROUTES = [
    ("GET", "/ui/schedules/{name}/backfill", show_backfill),
    ("POST", "/ui/schedules/{name}/backfill", backfill),
]
