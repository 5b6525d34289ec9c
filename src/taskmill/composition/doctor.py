"""The doctor: of a process of the API, and of a command that runs where there may be none."""

import asyncio
from typing import Final

import asyncpg

from taskmill.amqp.names import hint_queue_name
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.doctor import DoctorReport
from taskmill.domain.doctor_snapshot import BrokerFacts
from taskmill.domain.errors import TaskmillError
from taskmill.domain.explain_snapshot import EVERY_TYPE
from taskmill.operations.attention import AttentionReading
from taskmill.operations.audit import AuditLog
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.doctor import Doctor, ExamineBroker
from taskmill.operations.figures import FiguresCache
from taskmill.operations.service import TaskService
from taskmill.settings import Settings
from taskmill.storage.capacity import Workers
from taskmill.storage.database import Database

_BROKER_S: Final = 1.5
_HINT_QUEUES_S: Final = 0.5


def doctor_of(context: ProcessContext, service: TaskService) -> Doctor:
    """Return the doctor of a process of the API."""
    database, settings = context.database, context.settings
    return Doctor(
        database,
        service.attention,
        settings,
        broker=_broker_examination(settings, database),
        clock=context.clock,
    )


async def examine(settings: Settings) -> DoctorReport:
    """Examine everything once, as this machine sees it.

    Raises:
        ConfigurationError: no database is set.
    """
    database = Database(settings.require_database_url(), settings.database)
    try:
        # First, as attention needs to know whether the broker is there.
        examination = _broker_examination(settings, database)
        facts = None if examination is None else await _in_time(examination)
        doctor = Doctor(
            database,
            _attention(database, settings, facts),
            settings,
            broker=None if facts is None else _returning(facts),
        )
        return await doctor.examine()
    finally:
        await database.close()


async def _in_time(examination: ExamineBroker) -> BrokerFacts:
    try:
        async with asyncio.timeout(_BROKER_S):
            return await examination()
    except TimeoutError:
        return BrokerFacts(trouble="no response in time")


def _attention(
    database: Database, settings: Settings, facts: BrokerFacts | None
) -> AttentionReading:
    watch = NO_BROKER
    if facts is not None:
        watch = BrokerWatch(policy=settings.broker, trouble=lambda: facts.trouble)
    return AttentionReading(database, watch, FiguresCache.of(database), AuditLog(database))


def _returning(facts: BrokerFacts) -> ExamineBroker:
    async def examine() -> BrokerFacts:
        return facts

    return examine


def _broker_examination(settings: Settings, database: Database) -> ExamineBroker | None:
    """Return what examines the broker; None where no broker is used."""
    if not settings.uses_broker:
        return None

    async def examine() -> BrokerFacts:
        # Imported here: the driver takes 0.1 s, and is not needed without a broker.
        from taskmill.amqp import examination  # noqa: PLC0415

        queues = await _hint_queues(database)
        return await examination.examine(settings.require_broker_url(), queues)

    return examine


async def _hint_queues(database: Database) -> list[str]:
    """Return the names of hint queues; without a database that has our tables, none."""
    try:
        async with asyncio.timeout(_HINT_QUEUES_S):
            served = (await Workers.read(database)).served
    except (TaskmillError, asyncpg.PostgresError, TimeoutError):
        return []
    return sorted(hint_queue_name(queues, types - {EVERY_TYPE}) for queues, types in served)
