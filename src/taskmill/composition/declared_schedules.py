"""Registers the schedules that a worker's app declares, when the worker starts."""

import asyncio
from typing import Final

import asyncpg

from taskmill.app.registry import Taskmill
from taskmill.composition.creation import message_limits, task_creation
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.operations.declared_schedules import Declarations, DeclaredSchedules
from taskmill.operations.firing import Firing
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.runtime.periodic import backoff_s, pause

log = get_logger(__name__)

PROBATION_S: Final = 600.0
"""A worker whose declarations were replaced already has to run for so long until they come into force again."""

_LONGEST_PAUSE_S: Final = 5.0


class ScheduleRegistration:
    """Registers declarations once, as soon as the database takes them."""

    def __init__(
        self,
        schedules: DeclaredSchedules,
        wanted: Declarations,
        *,
        probation_s: float = PROBATION_S,
    ) -> None:
        self._schedules = schedules
        self._wanted = wanted
        self._probation_s = probation_s

    async def register_until(self, stop: asyncio.Event) -> None:
        """Register them, trying again until it is done or stopped."""
        if await self._is_done(stop, insists=False):
            return
        log.info(
            "schedule.declarations_wait",
            app=self._wanted.app,
            worker=self._wanted.worker,
            wait_s=self._probation_s,
        )
        await pause(stop, self._probation_s)
        if not stop.is_set():
            await self._is_done(stop, insists=True)

    async def _is_done(self, stop: asyncio.Event, *, insists: bool) -> bool:
        failures = 0
        while not stop.is_set():
            try:
                return await self._schedules.register(self._wanted, insists=insists)
            except (Unavailable, asyncpg.PostgresError) as error:
                failures += 1
                log.warning(
                    "schedule.declarations_delayed", app=self._wanted.app, error=repr(error)
                )
                await pause(stop, backoff_s(failures, first=0.2, longest=_LONGEST_PAUSE_S))
        return True


def schedule_registration(
    context: ProcessContext, app: Taskmill | None
) -> ScheduleRegistration | None:
    """Return what registers the schedules of a worker's app; None if it has no name, and so has none."""
    if app is None or app.name is None:
        return None
    creation, limits = task_creation(context), message_limits(context).input
    reading = ScheduleReading(creation, context.contracts, limits)
    schedules = DeclaredSchedules(context.database, Firing(creation, reading), reading)
    drafts = {one.name: one.draft() for one in app.schedules}
    wanted = Declarations(app=app.name, worker=context.settings.worker.name, drafts=drafts)
    return ScheduleRegistration(schedules, wanted)
