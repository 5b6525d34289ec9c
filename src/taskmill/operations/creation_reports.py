"""Counts and logs tasks that were created, after that was committed."""

from collections.abc import Iterable

from taskmill.domain.errors import IdempotencyConflict
from taskmill.domain.system import CreatedTask
from taskmill.observability.flow import count_created
from taskmill.observability.logs import get_logger

log = get_logger(__name__)


def report_created(results: Iterable[CreatedTask | IdempotencyConflict]) -> None:
    """Report those of the results that are new tasks."""
    new = [
        result.task for result in results if isinstance(result, CreatedTask) and not result.replayed
    ]
    count_created((task.queue, task.type) for task in new)
    for task in new:
        log.info(
            "task.created",
            task_id=task.id,
            queue=task.queue,
            type=task.type,
            source=task.source,
        )
