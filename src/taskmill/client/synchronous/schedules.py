"""The methods for schedules: put, list, pause, run, backfill; what became of each tick."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Unpack

from taskmill.client import schedules
from taskmill.client.filters import is_many
from taskmill.client.schedules import Outcomes, ScheduleFields, SpecFields, Time
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.schedule_previews import SchedulePreviewView
from taskmill.client.views.schedule_views import BackfillView, FireView, ScheduleView
from taskmill.client.views.tasks import TaskView


class ScheduleCalls(Sender):
    """Schedules. With a `revision`, what changes one does so only in that revision, else `ScheduleMismatch`."""

    def preview_schedule(
        self,
        *,
        after: datetime | str | None = None,
        count: int | None = None,
        **spec: Unpack[SpecFields],
    ) -> SchedulePreviewView:
        """Show the next ticks that a schedule would have, after now by default; nothing is stored."""
        return self._send(schedules.preview(spec, after, count))

    def put_schedule(
        self,
        name: str,
        task: Mapping[str, Any],
        *,
        revision: int | None = None,
        **fields: Unpack[ScheduleFields],
    ) -> ScheduleView:
        """Create a schedule, or replace it; `task` has the fields of `create`, and its name.

        What is not given has its default, also if the schedule had something else. The same again changes nothing.
        """
        return self._send(schedules.put(name, task, fields, revision))

    def schedules(self, *, page_size: int = 50) -> Iterator[ScheduleView]:
        """Yield all schedules, the oldest first, page by page."""
        cursor: str | None = None
        while True:
            page = self._send(schedules.page(cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def schedule(self, name: str) -> ScheduleView:
        """Read a schedule, with its next tick."""
        return self._send(schedules.get(name))

    def delete_schedule(self, name: str, *, revision: int | None = None) -> None:
        """Delete a schedule; its tasks stay."""
        self._send(schedules.delete(name, revision))

    def pause_schedule(self, name: str, *, revision: int | None = None) -> ScheduleView:
        """Have a schedule make no tasks until it is resumed."""
        return self._send(schedules.pause(name, revision))

    def resume_schedule(
        self, name: str, *, catch_up: bool = False, revision: int | None = None
    ) -> ScheduleView:
        """Have a paused schedule go on with its next tick.

        With `catch_up` the ticks since the pause get tasks, as far as its `within` and `most` allow.
        """
        return self._send(schedules.resume(name, revision, catch_up=catch_up))

    def run_schedule(self, name: str, *, idempotency_key: str | None = None) -> TaskView:
        """Make a task of a schedule now, also of a paused one; its ticks stay as they are.

        The same `idempotency_key` gives the same task again.
        """
        return self._send(schedules.run(name, idempotency_key))

    def backfill_schedule(
        self, name: str, *, since: Time, until: Time, priority: int = 0, dry_run: bool = False
    ) -> BackfillView:
        """Make tasks for those ticks from `since` to `until` that made none; with `dry_run` only list them.

        It takes the oldest, as many as the schedule's `most`. To go on, give the result's `next_from` as `since`,
        until that is None. No tick gets a second task.
        """
        call = schedules.backfill(name, since, until, priority, dry_run=dry_run)
        return self._send(call)

    def fires(
        self, name: str, *, outcome: Outcomes = (), page_size: int = 50
    ) -> Iterator[FireView]:
        """Yield what became of a schedule's ticks, the latest first; only with these outcomes, if given."""
        cursor: str | None = None
        outcomes = [*outcome] if is_many(outcome) else outcome
        while True:
            page = self._send(schedules.fires(name, outcomes, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return
