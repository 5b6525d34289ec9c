"""The schedules, one of them with what became of its ticks, and the actions on it."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages import slices
from taskmill.dashboard.pages.day_bars import day_bars
from taskmill.dashboard.pages.schedule_shown import shown_fires, shown_schedules, zone_for
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import FirePart, StoredSchedule
from taskmill.domain.parts import Part
from taskmill.domain.schedule_days import ScheduleDay
from taskmill.domain.schedule_errors import ScheduleNotFound
from taskmill.operations import schedule_reports
from taskmill.operations.visibility import current_visibility
from taskmill.wire.basics import format_timestamp
from taskmill.wire.fields import is_name, parse_timestamp
from taskmill.wire.wording import describe

_ON_A_PAGE: Final = 50
_NEXT_TICKS: Final = 5
_DAYS_TTL_S: Final = 5.0
_MOST_DIGITS: Final = 19
_LARGEST: Final = 2**63 - 1
_MADE: Final = "made"
_NONE: Final = "none"
_AFTER_ALL: Final = datetime(9999, 1, 1, tzinfo=UTC)
_TOKEN_BYTES: Final = 12
_LONGEST_TOKEN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which fires of a schedule to show: those before a moment, of a day, of ticks without a task."""

    before: datetime | None
    day: ScheduleDay | None
    without_task: bool

    @property
    def pairs(self) -> Pairs:
        """The query without its place in the list."""
        return [*self.of_day, *([(_MADE, _NONE)] if self.without_task else [])]

    @property
    def of_day(self) -> Pairs:
        """The part of the query that names the day."""
        return [] if self.day is None else [("day", f"{self.day.day}")]


async def show_schedules(view: View) -> Response:
    """Show a page of them, the oldest first, or the one that is searched for by its name."""
    name, after = slices.searched(view.query, "name").lower(), _after(view.query)
    page = await _named(view, name) if name else await _page(view, after)
    return view.page(
        "schedules.html",
        title=view.t("nav.schedules"),
        rows=await shown_schedules(view, page),
        name=name,
        is_first=not after,
        older=[("after", f"{page[-1].id}")] if page.has_more else None,
        token=_token(),
    )


async def show_schedule(view: View) -> Response:
    """Show one: what is next, how it does, the latest days, and what became of its ticks."""
    schedule = await _schedule(view)
    days = await _days(view, schedule)
    wanted = _wanted(view.query, days)
    [row] = await shown_schedules(view, [schedule], _NEXT_TICKS)
    fires = await _fires(view, schedule, wanted)
    content = schedule.content
    rest = fires.next_before
    older = None if rest is None else [*wanted.pairs, ("before", format_timestamp(rest))]
    return view.page(
        "schedule.html",
        title=schedule.name,
        row=row,
        bars=day_bars(view.words, days),
        wanted=wanted,
        fires=await shown_fires(view, schedule, fires),
        newer=wanted.pairs if wanted.before is not None else None,
        older=older,
        task=await view.context.service.masking.template(
            view.key, content.queue, content.type, content.task, is_page=True
        ),
        token=_token(),
    )


async def pause_schedule(view: View) -> Response:
    """Pause it, and show it."""
    name = await _acted_on(view)
    await view.context.schedules.pause(name)
    return view.redirect(f"/ui/schedules/{name}")


async def resume_schedule(view: View) -> Response:
    """Have it go on, with the ticks that it missed if that is asked for, and show it."""
    name = named(view)
    catch_up = first(await view.form(), "catch_up")
    if catch_up:
        one_of(("all",), catch_up, "/catch_up")
    await view.context.schedules.resume(name, catches_up=bool(catch_up))
    return view.redirect(f"/ui/schedules/{name}")


async def run_schedule(view: View) -> Response:
    """Make a task of it now, one however often the form is sent, and show that."""
    name = named(view)
    token = first(await view.form(), "token")[:_LONGEST_TOKEN] or _token()
    owner = None if view.key is None else view.key.draft.name
    made = await view.context.manual_fires.run(name, f"dashboard:{token}", owner=owner)
    return view.redirect(f"/ui/tasks/{made.task.id}")


async def show_delete(view: View) -> Response:
    """Ask whether to delete it."""
    schedule = await _schedule(view)
    return view.page(
        "schedule_delete.html",
        title=view.t("schedule.delete.title", name=schedule.name),
        schedule=schedule,
        is_live=False,
    )


async def delete_schedule(view: View) -> Response:
    """Delete it, and show the others."""
    await view.context.schedules.delete(await _acted_on(view))
    return view.redirect("/ui/schedules")


def named(view: View) -> str:
    """Return the name in the address. Raises `ScheduleNotFound` when no schedule can have it."""
    name: str = view.request.path_params["name"]
    if not is_name(name):
        raise ScheduleNotFound(name)
    return name


async def _acted_on(view: View) -> str:
    """Return the name of the schedule that a form is about."""
    name = named(view)
    await view.form()
    return name


async def _schedule(view: View) -> StoredSchedule:
    return await view.context.schedules.get(named(view))


async def _page(view: View, after: int) -> Part[StoredSchedule]:
    return await view.context.schedules.page(after=after, limit=_ON_A_PAGE)


async def _named(view: View, name: str) -> Part[StoredSchedule]:
    """Return the schedule of this name, if there is one that may be seen."""
    found: list[StoredSchedule] = []
    visibility = current_visibility()
    if is_name(name):
        try:
            schedule = await view.context.schedules.get(name)
        except ScheduleNotFound:
            pass
        else:
            if visibility is None or visibility.shows(schedule.content.queue):
                found.append(schedule)
    return Part(found, has_more=False)


def _after(query: Pairs) -> int:
    text = first(query, "after")
    if not text:
        return 0
    if not (
        text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= _LARGEST
    ):
        raise InvalidInput.at(
            "query:after", "the number of a schedule", describe(text, reveal=True)
        )
    return int(text)


async def _days(view: View, schedule: StoredSchedule) -> list[ScheduleDay]:
    """Return its latest days; counting them reads many rows, so they may be some seconds old."""
    database, zone = view.context.service.database, zone_for(schedule)
    today = schedule.moment.astimezone(zone).date()
    return await view.context.schedule_days.get(
        (schedule.id, schedule.revision, schedule.paused_at, today),
        lambda: schedule_reports.days(database, schedule, zone),
        ttl_s=_DAYS_TTL_S,
    )


def _wanted(query: Pairs, days: Sequence[ScheduleDay]) -> Wanted:
    before, day, made = (first(query, name) for name in ("before", "day", _MADE))
    by_name = {f"{one.day}": one for one in days}
    return Wanted(
        without_task=bool(made) and one_of((_NONE,), made, f"query:{_MADE}") == _NONE,
        before=_moment(before) if before else None,
        day=by_name[one_of(by_name, day, "query:day")] if day else None,
    )


def _moment(text: str) -> datetime:
    try:
        return parse_timestamp(text)
    except ValueError:
        raise InvalidInput.at("query:before", "a time", describe(text, reveal=True)) from None


async def _fires(view: View, schedule: StoredSchedule, wanted: Wanted) -> FirePart:
    """Return the fires that are asked for, the latest first."""
    day = wanted.day
    found = await schedule_reports.fires_before(
        view.context.service.database,
        schedule,
        wanted.before or (_AFTER_ALL if day is None else day.until),
        _ON_A_PAGE,
        without_task=wanted.without_task,
    )
    if day is None:
        return found
    rest = found.next_before
    return FirePart(
        (fire for fire in found if fire.tick >= day.since),
        next_before=rest if rest is not None and rest > day.since else None,
    )


def _token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


ROUTES = [
    ("GET", "/ui/schedules", show_schedules),
    ("GET", "/ui/schedules/{name}", show_schedule),
    ("POST", "/ui/schedules/{name}/pause", pause_schedule),
    ("POST", "/ui/schedules/{name}/resume", resume_schedule),
    ("POST", "/ui/schedules/{name}/run", run_schedule),
    ("GET", "/ui/schedules/{name}/delete", show_delete),
    ("POST", "/ui/schedules/{name}/delete", delete_schedule),
]
