"""Examples of a kind of failures, each beside a task of its type that succeeded, as a reader may see the two."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from uuid import UUID

import orjson

from taskmill.domain.errors import TaskNotFound
from taskmill.domain.failure_examples import FailureExample, ShownDifference
from taskmill.domain.failure_samples import FailureSample
from taskmill.domain.json_diff import MOST, Difference, Presence, differences
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.domain.task import Task
from taskmill.operations.service import TaskService
from taskmill.wire.masking import ShownTask

_LONGEST_VALUE: Final = 300
# How long a task of the type that succeeded is looked for, where only some queues may be seen.
_SEARCH_S: Final = 0.1

Show = Callable[[Task], Awaitable[ShownTask]]
"""Returns a task as the reader may see it."""


async def example_of(
    service: TaskService, sample: FailureSample, chosen: UUID | None, show: Show
) -> FailureExample | None:
    """Return the chosen task of a sample, else its newest; None without any, or if it is deleted by now."""
    ids = [one.id for one in sample.failed]
    if not ids:
        return None
    number = ids.index(chosen) if chosen in ids else 0
    try:
        task = await service.reading.get(ids[number])
    except TaskNotFound:
        return None
    shown = await show(task)
    success = await _success(service, task)
    compared = None if success is None else await _compared(service, shown, await show(success))
    return FailureExample(
        task=shown,
        failed=sample.failed[number],
        number=number + 1,
        newer=ids[number - 1] if number else None,
        older=ids[number + 1] if number + 1 < len(ids) else None,
        success=success,
        differences=None if compared is None else compared[:MOST],
        is_cut=compared is not None and len(compared) > MOST,
    )


async def messages_of(service: TaskService, sample: FailureSample) -> list[tuple[str, int]]:
    """Return the most frequent messages of a sample; long ones are read off the event loop."""
    size = sum(len(one.message) for one in sample.failed)
    return await service.offload.run_if_large(size, lambda: sample.messages)


async def _success(service: TaskService, failed: Task) -> Task | None:
    """Return the newest task of the same type that succeeded and that the reader may see."""
    wanted = TaskFilter(statuses=frozenset({Status.SUCCEEDED}), type=failed.type)
    request = PageRequest(limit=1, budget_s=_SEARCH_S, with_total=False)
    page = await service.page(wanted, request)
    return page.items[0] if page.items else None


async def _compared(
    service: TaskService, failed: ShownTask, success: ShownTask
) -> list[ShownDifference] | None:
    """Return where the payloads differ, as the reader may see them: what is masked is equal to what is masked."""
    if failed.payload is None or success.payload is None:
        return None
    size = len(failed.payload) + len(success.payload)
    return await service.offload.run_if_large(size, partial(_diff, failed.payload, success.payload))


def _diff(failed: str, succeeded: str) -> list[ShownDifference]:
    found = differences(orjson.loads(failed), orjson.loads(succeeded))
    return [_shown(one) for one in found]


def _shown(one: Difference) -> ShownDifference:
    return ShownDifference(
        pointer=one.pointer,
        presence=one.presence,
        here=None if one.presence is Presence.ONLY_THERE else _text(one.here),
        there=None if one.presence is Presence.ONLY_HERE else _text(one.there),
    )


def _text(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
