"""Counts and logs tasks that were created, after that was committed."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from uuid import UUID

from taskmill.domain.errors import IdempotencyConflict
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task, TaskDraft
from taskmill.observability.flow import count_created
from taskmill.observability.logs import get_logger
from taskmill.storage.tasks import NewTask

log = get_logger(__name__)

LogFacts: TypeAlias = Mapping[UUID, Mapping[str, str]]
"""What the log lines of tasks say besides, by their ids."""

_NO_FACTS: Final[Mapping[Any, Any]] = MappingProxyType({})


def report_created(results: Iterable[CreatedTask | IdempotencyConflict]) -> None:
    """Report those of the results that are new tasks."""
    new = [
        result.task for result in results if isinstance(result, CreatedTask) and not result.replayed
    ]
    _report([(task.id, task) for task in new])


def report_new(new: Iterable[NewTask], facts: LogFacts) -> None:
    """Report tasks that are new, as they were sent."""
    _report([(task.id, task.draft) for task in new], facts)


def _report(
    new: Sequence[tuple[UUID, Task | TaskDraft]],
    facts: LogFacts = _NO_FACTS,
) -> None:
    count_created((task.queue, task.type) for _, task in new)
    for task_id, task in new:
        log.info(
            "task.created",
            task_id=task_id,
            queue=task.queue,
            type=task.type,
            source=task.source,
            **facts.get(task_id, _NO_FACTS),
        )
