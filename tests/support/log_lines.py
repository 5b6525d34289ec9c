"""Log lines of handlers, as tests make and read them."""

from typing import Any
from uuid import UUID

from taskmill.domain.task_log import LineFilter, LinePosition, LogLine
from taskmill.observability.catalogue import REGISTRY
from taskmill.storage import task_log
from taskmill.storage.claims import TakenTask
from taskmill.storage.task_log import NewLine
from tests.support.polling import eventually
from tests.support.stage import Stage


def a_line(taken: TakenTask, stage: Stage, seq: int = 1, **parts: Any) -> NewLine:  # noqa: ANN401 - the fields of a line
    """A line of a claim."""
    usual: dict[str, Any] = {
        "task_id": taken.task.id,
        "claim_no": taken.task.claim_no,
        "seq": seq,
        "at": stage.clock.now(),
        "level": 20,
        "logger": None,
        "message": f"line {seq}",
        "fields": None,
    }
    return NewLine(**{**usual, **parts})


async def stored_lines(stage: Stage, task_id: UUID) -> list[LogLine]:
    """All lines of a task so far."""
    return await task_log.page(
        stage.database, task_id, LineFilter(), after=LinePosition(), limit=100_000
    )


async def lines_once(stage: Stage, task_id: UUID, count: int) -> list[LogLine]:
    """The lines of a task, once there are `count`."""

    async def probe() -> list[LogLine] | None:
        found = await stored_lines(stage, task_id)
        return found if len(found) >= count else None

    found = await eventually(probe, f"{count} lines")
    assert found is not None
    assert len(found) == count
    return found


def counted(reason: str | None = None) -> float:
    """How many lines were stored, or dropped for a reason, in this process so far."""
    name = "taskmill_task_log_lines_" + ("dropped_total" if reason else "stored_total")
    return REGISTRY.get_sample_value(name, {"reason": reason} if reason else {}) or 0.0
