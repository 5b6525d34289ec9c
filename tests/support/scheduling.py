"""Schedules for tests: put them, have them be due, and fire them by hand."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from taskmill.domain.fires import Fire, FireCause, FireOutcome, StoredSchedule
from taskmill.maintenance.firing import FireSchedules, TickTimer
from taskmill.operations.contracts import Contracts
from taskmill.operations.create import TaskCreation
from taskmill.operations.firing import Firing
from taskmill.operations.manual_fires import ManualFires
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedules import Schedules
from taskmill.storage import schedules as rows
from taskmill.storage.database import Database
from taskmill.storage.statements import statement
from taskmill.wire.rules import InputLimits
from taskmill.wire.schedule_requests import to_schedule
from tests.support.stage import Stage


class Scheduler:
    """What a process needs to store schedules and to fire them, on a database of a test."""

    def __init__(
        self,
        stage: Stage,
        *,
        database: Database | None = None,
        creation: TaskCreation | None = None,
    ) -> None:
        self.stage = stage
        self.database = database or stage.database
        self.creation = creation or stage.creation
        self.contracts = Contracts(self.database)
        self.limits = InputLimits(contracts=self.contracts.by_type)
        reading = ScheduleReading(self.creation, self.contracts, self.limits)
        self.firing = Firing(self.creation, reading)
        self.schedules = Schedules(self.database, self.firing, reading)
        self.manual = ManualFires(self.database, self.creation, self.firing, reading)
        self.timer = TickTimer()
        self.duty = FireSchedules(
            database or stage.maintenance_database,
            self.firing,
            self.contracts,
            self.timer,
            soon_s=3.0,
        )

    async def put(self, name: str = "report", **body: Any) -> StoredSchedule:  # noqa: ANN401 - a request's fields
        """Put a schedule; unless said otherwise with a tick every minute."""
        return await self.put_if(None, name, **body)

    async def put_if(
        self,
        revisions: Collection[int] | None,
        name: str = "report",
        **body: Any,  # noqa: ANN401 - as above
    ) -> StoredSchedule:
        """Put a schedule that must have one of these revisions."""
        if not {"cron", "every", "at"} & body.keys():
            body["every"] = "PT1M"
        body.setdefault("task", {"name": name})
        wanted = to_schedule(body, limits=self.limits)
        stored, _ = await self.schedules.put(name, wanted, revisions=revisions)
        return stored

    async def fire(self) -> None:
        """Fire until nothing is due."""
        while await self.duty():
            pass

    async def get(self, name: str = "report") -> StoredSchedule:
        """Read a schedule."""
        return await self.schedules.get(name)

    async def fires(self, name: str = "report") -> list[Fire]:
        """Read what became of its ticks, oldest first."""
        after_all = datetime.fromisoformat("9999-01-01T00:00:00+00:00")
        found = await self.schedules.fires(name, before=after_all, outcomes=(), limit=500)
        return list(reversed(found))

    async def outcomes(self, name: str = "report") -> list[tuple[FireOutcome, int]]:
        """Read what became of its ticks, oldest first, and how many those were."""
        return [(fire.outcome, fire.ticks) for fire in await self.fires(name)]

    async def causes(self, name: str = "report") -> list[FireCause]:
        """Read why it fired, oldest first."""
        return [fire.cause for fire in await self.fires(name)]

    async def age(self, by: timedelta, *names: str) -> None:
        """Let a time pass in which nothing fires; without names for all schedules."""
        sql = self.stage.sql
        fires = await sql.fetch("DELETE FROM taskmill.schedule_fire RETURNING *")
        for fire in fires:
            facts = {**fire, "tick": fire["tick"] - by}
            if facts["until_tick"] is not None:
                facts["until_tick"] -= by
            places = ", ".join(f"${number}" for number in range(1, len(facts) + 1))
            await sql.execute(
                f"INSERT INTO taskmill.schedule_fire ({', '.join(facts)}) VALUES ({places})",  # noqa: S608 - our own
                *facts.values(),
            )
        await sql.execute(
            """
            WITH aged AS (
                UPDATE taskmill.schedule_cursor
                SET cursor_at = cursor_at - $1::interval,
                    next_at = least(next_at, now()),
                    held_tick = held_tick - $1::interval,
                    paused_at = paused_at - $1::interval
                WHERE schedule_id IN (
                    SELECT id FROM taskmill.schedule WHERE cardinality($2::text[]) = 0 OR name = ANY($2)
                )
                RETURNING schedule_id
            ),
            undeclared AS (
                UPDATE taskmill.schedule AS s SET undeclared_at = s.undeclared_at - $1::interval
                FROM aged WHERE s.id = aged.schedule_id
            )
            UPDATE taskmill.schedule_revision SET from_tick = from_tick - $1::interval
            WHERE schedule_id IN (SELECT schedule_id FROM aged)
            """,
            by,
            names,
        )

    async def due(self, name: str = "report", **body: Any) -> datetime:  # noqa: ANN401 - as `put`
        """Put a schedule of which one tick is due, on time; return that."""
        tick = await self.now() - timedelta(seconds=2)
        await self.put(name, at=[tick.isoformat()], **body)
        await self.age(timedelta(seconds=10), name)
        return tick

    async def now(self) -> datetime:
        """PostgreSQL's time, to the second."""
        moment: datetime = await self.stage.sql.fetchval(
            "SELECT date_trunc('second', clock_timestamp())"
        )
        return moment

    async def tasks(self, name: str = "report") -> list[Any]:
        """Read the tasks of a schedule by its label, oldest first."""
        return await self.stage.sql.fetch(
            "SELECT * FROM taskmill.current_task WHERE labels ->> 'schedule' = $1 ORDER BY id", name
        )

    async def lock_and_fire(self, connection: Any) -> None:  # noqa: ANN401 - the driver's
        """Do what a round does, without its commit."""
        await self.firing.fire(connection, await rows.lock_due(connection, 100))


@asynccontextmanager
async def queues_locked(stage: Stage) -> AsyncIterator[None]:
    """Let no process make a queue meanwhile, as while another one hangs that does."""
    other = await asyncpg.connect(stage.url)
    try:
        await other.execute("BEGIN")
        await other.execute(statement("lock_queues"))
        yield
    finally:
        await other.close()
