"""Reads what the service consists of: processes, database, broker."""

from collections.abc import Sequence
from typing import Final

from taskmill.amqp.names import CREATE_QUEUE, REJECTED_QUEUE, hint_queue_name
from taskmill.domain.explain_snapshot import EVERY_TYPE
from taskmill.domain.system import BrokerQueue
from taskmill.domain.system_report import SystemReport
from taskmill.operations.broker import BrokerWatch
from taskmill.operations.figures import FiguresCache
from taskmill.storage import processes, system_report
from taskmill.storage.capacity import Workers
from taskmill.storage.database import Database

_MOST_QUEUES: Final = 50


async def read_report(
    database: Database, broker: BrokerWatch, figures: FiguresCache
) -> SystemReport:
    """Return the report. Raises `Unavailable`."""
    return SystemReport(
        at=await database.fetch_value("clock_now"),
        processes=await processes.all_processes(database),
        database=await system_report.read(database),
        figures=await figures.get(),
        broker=broker.state(),
        intake=await broker.intake_state(),
        broker_queues=await _queues(database, broker),
    )


async def _queues(database: Database, broker: BrokerWatch) -> Sequence[BrokerQueue] | None:
    """Return the queues of creation messages, and those from which live workers take hints."""
    served = (await Workers.read(database)).served
    hints = sorted(hint_queue_name(queues, types - {EVERY_TYPE}) for queues, types in served)
    return await broker.queues([CREATE_QUEUE, REJECTED_QUEUE, *hints[:_MOST_QUEUES]])
