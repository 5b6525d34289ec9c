"""What can be wrong in the database of schedules: each is done to it by hand."""

from taskmill.domain.checks import Check
from taskmill.domain.schedules.spec import ScheduleSpec, TickPolicy
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.wire.stored_schedules import spec_json
from tests.support.damage import Damage, Sql
from tests.support.mixture import Mixture

_HOURLY = spec_json(ScheduleSpec(cron="0 * * * *"), TickPolicy())
_SCHEDULE = """
    WITH made AS (
        INSERT INTO taskmill.schedule (name, spec, task, queue, type)
        VALUES ('report', $1::text::json, '{}', 'q', 't')
        RETURNING id, spec, date_trunc('hour', now()) AS cursor_at
    ),
    begun AS (
        INSERT INTO taskmill.schedule_cursor (schedule_id, cursor_at, next_at, tz_version)
        SELECT id, cursor_at, now() + interval '1 h', $2 FROM made
    ),
    recorded AS (
        INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
        SELECT id, 1, cursor_at - interval '10 h', spec, $2 FROM made
    )
    INSERT INTO taskmill.schedule_fire (schedule_id, tick, until_tick, ticks, cause, outcome, task_id)
    SELECT id, cursor_at - 9 * interval '1 h', cursor_at - 2 * interval '1 h', 8, 'tick', 'skipped_missed', NULL
    FROM made
    UNION ALL
    SELECT id, cursor_at - interval '1 h', NULL, 1, 'tick', 'created', gen_random_uuid() FROM made
    UNION ALL
    SELECT id, cursor_at, NULL, 1, 'catch_up', 'created', gen_random_uuid() FROM made
"""
_NO_KEY = "ALTER TABLE taskmill.schedule_fire DROP CONSTRAINT schedule_fire_pkey"
_LAST = "tick = (SELECT max(tick) FROM taskmill.schedule_fire)"


async def a_schedule(sql: Sql) -> None:
    """Make a schedule with a tick every hour, nine of which were skipped, and which made two tasks."""
    await sql.execute(_SCHEDULE, _HOURLY, TZ_VERSION)


def schedule(*commands: str) -> Damage:
    """Make a schedule, and damage it."""

    async def damage(sql: Sql, _: Mixture) -> None:
        await a_schedule(sql)
        for command in commands:
            await sql.execute(command)

    return damage


SCHEDULE_DAMAGES: list[tuple[Check, Damage]] = [
    # What a build without the primary key would do when it fires a tick again.
    (
        Check.SCHEDULE_TICK_TWICE,
        schedule(
            _NO_KEY,
            "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id) "  # noqa: S608 - our own
            "SELECT schedule_id, tick, cause, outcome, gen_random_uuid() "
            f"FROM taskmill.schedule_fire WHERE {_LAST}",
        ),
    ),
    (
        Check.SCHEDULE_TICK_TWICE,
        schedule(
            "UPDATE taskmill.schedule_fire SET task_id = (SELECT max(task_id::text)::uuid "
            "FROM taskmill.schedule_fire) WHERE task_id IS NOT NULL"
        ),
    ),
    # What a backfill did that left the stretch as it was in which its tick lies.
    (
        Check.SCHEDULE_TICK_TWICE,
        schedule(
            "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id) "
            "SELECT schedule_id, tick + interval '2 h', 'backfill', 'created', gen_random_uuid() "
            "FROM taskmill.schedule_fire WHERE ticks = 8"
        ),
    ),
    # What a build would do that moves a cursor without the fire.
    (
        Check.SCHEDULE_TICK_MISSING,
        schedule(f"DELETE FROM taskmill.schedule_fire WHERE {_LAST}"),  # noqa: S608 - our own
    ),
    (
        Check.SCHEDULE_TICK_MISSING,
        schedule(
            "UPDATE taskmill.schedule_fire SET until_tick = until_tick - interval '1 h', ticks = 7 WHERE ticks = 8"
        ),
    ),
    (
        Check.SCHEDULE_TICK_MISSING,
        schedule("DELETE FROM taskmill.schedule_fire"),
    ),
    (
        Check.SCHEDULE_CURSOR_BACK,
        schedule("UPDATE taskmill.schedule_cursor SET cursor_at = cursor_at - interval '2 h'"),
    ),
]
