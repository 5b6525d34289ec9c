"""The state of the whole system: counts, capacity, readiness."""

from collections.abc import Collection, Mapping

import asyncpg

from taskmill.domain.activity import ActivityRequest
from taskmill.domain.errors import ConfigurationError, TaskmillError
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Counts, Readiness, Stats
from taskmill.domain.waiting import WaitingCounts
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.writability import Writability
from taskmill.storage import counts, faults, migrate, minutes, queues as rows, waiting
from taskmill.storage.database import Database

_UNWRITABLE = "it answers, but takes no writes"


async def stats(
    database: Database,
    broker: BrokerWatch,
    request: ActivityRequest | None = None,
    visible: Collection[str] | None = None,
) -> Stats:
    """Return the counts of tasks by queue and status, the capacity of the live workers, and the broker's state.

    With a request, also what happened lately. With `visible`, only of these queues: workers that serve one of
    them, and what they run of these.
    """
    names = None if visible is None else sorted(visible)
    [capacity] = await database.fetch("sum_capacity", names)
    counted = await counts.by_queue(database)
    if visible is not None:
        counted = {queue: of_it for queue, of_it in counted.items() if queue in visible}
    counted_waiting = await waiting_counts(database, counted)
    return Stats(
        queues=counted,
        waiting=WaitingCounts.total(counted_waiting.values()),
        workers_alive=capacity["workers"],
        slots=capacity["slots"],
        running=capacity["running"],
        broker=broker.state(),
        activity=None if request is None else await minutes.read(database, request, visible),
    )


async def waiting_counts(
    database: Database, queues: Mapping[str, Counts]
) -> dict[str, WaitingCounts]:
    """Return what the new tasks of some queues wait for, by queue."""
    names = [name for name, counted in queues.items() if counted.get(Status.NEW)]
    if not names:
        return {}
    paused = {row.name for row in await rows.all_queues(database) if row.paused_at is not None}
    return await waiting.count(database, names, paused)


async def readiness(
    database: Database, broker: BrokerWatch = NO_BROKER, writability: Writability | None = None
) -> Readiness:
    """Check the database's schema, whether it accepts writes if that is in doubt, and the broker.

    Any trouble is returned, not raised.
    """
    try:
        async with database.hot() as connection:
            schema = await migrate.schema_of(connection)
    except (TaskmillError, asyncpg.PostgresError) as error:
        return Readiness(
            parts={"database": str(error), "schema": None},
            broker=broker.state(),
            intake=await broker.intake_state(),
            cause=faults.in_words(error.__cause__ or error),
        )
    trouble, cause = migrate.trouble_of(schema), None
    if writability is not None and trouble is None:
        cause = await writability.trouble()
    return Readiness(
        parts={"database": None if cause is None else _UNWRITABLE, "schema": trouble},
        broker=broker.state(),
        intake=await broker.intake_state(),
        cause=cause,
    )


async def check_schema(database: Database) -> None:
    """Raise `ConfigurationError` unless the database has the schema that this program needs."""
    async with database.hot() as connection:
        trouble = migrate.trouble_of(await migrate.schema_of(connection))
    if trouble is not None:
        raise ConfigurationError(trouble)
