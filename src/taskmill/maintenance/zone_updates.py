"""Computes the next ticks of schedules anew when the rules of time zones change: at the start, and once an hour.

An hourly round is for processes of an earlier release, which fire with their own rules until they are gone.
"""

from collections.abc import Sequence
from datetime import datetime

from taskmill.domain.advance import next_look
from taskmill.domain.fires import StoredSchedule
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.observability.logs import get_logger
from taskmill.operations.ready_schedules import report_unreadable
from taskmill.storage import schedules
from taskmill.storage.database import Database
from taskmill.wire.stored_schedules import read_spec

log = get_logger(__name__)

_MOST_AT_ONCE = 500


class ZoneUpdates:
    """The duty: each round takes some schedules."""

    def __init__(self, database: Database, tz_version: str = TZ_VERSION) -> None:
        self._database = database
        self._tz_version = tz_version
        self._after = schedules.FIRST_ID

    async def __call__(self) -> bool:
        """Do one round; True when there may be more to do at once."""
        async with self._database.hot_transaction() as connection:
            found = await schedules.lock_of_zones(
                connection, self._tz_version, _MOST_AT_ONCE, after=self._after
            )
            times = _next_times(found)
            await schedules.update_zones(connection, times, self._tz_version)
        _report(found, dict(times))
        has_more = len(found) == _MOST_AT_ONCE
        self._after = found[-1].id if has_more else schedules.FIRST_ID
        return has_more


def _next_times(found: Sequence[StoredSchedule]) -> list[tuple[int, datetime | None]]:
    times = []
    for schedule in found:
        try:
            spec, _ = read_spec(schedule.content.spec)
        except ValueError as error:
            report_unreadable(schedule, error)
            continue
        next_at = next_look(schedule.name, spec, schedule.cursor_at, held_until=schedule.held_until)
        times.append((schedule.id, next_at))
    return times


def _report(found: Sequence[StoredSchedule], times: dict[int, datetime | None]) -> None:
    for schedule in found:
        after = times.get(schedule.id, schedule.next_at)
        if after != schedule.next_at and schedule.held_tick is None:
            log.warning(
                "schedule.moved",
                schedule=schedule.name,
                next_at=None if after is None else after.isoformat(),
                before=None if schedule.next_at is None else schedule.next_at.isoformat(),
                tz_version=TZ_VERSION,
            )
