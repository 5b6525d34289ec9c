"""Tasks that fail, in whatever way a test needs."""

from typing import Any
from uuid import UUID

from taskmill.domain.lifecycle import ErrorInfo, Permanent, Status
from tests.support.stage import Stage


async def fail(
    stage: Stage,
    message: str = "it failed",
    *,
    type: str = "pay",  # noqa: A002 - as everywhere
    queue: str = "default",
    place: str | None = None,
    fingerprint: str | None = None,
    labels: str = "{}",
    **parts: Any,  # noqa: ANN401 - more fields of a draft
) -> UUID:
    """Create a task that fails for good, and return its id."""
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, type=type, queue=queue, labels=labels, **parts)
    error = ErrorInfo(type="E", message=message, place=place, fingerprint=fingerprint)
    await stage.end(taken, lease_id, Permanent(error=error))
    assert (await stage.task(taken.task.id)).status is Status.FAILED
    return taken.task.id
