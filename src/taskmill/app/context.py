"""The handler's view of its attempt, and its interface to the worker."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Protocol

import orjson
from structlog.typing import FilteringBoundLogger

from taskmill.app.errors import Stopped
from taskmill.domain.task import ClaimedTask, Fence

MOST_PROGRESS_CHARACTERS: Final = 500


class HandlerRuntime(Protocol):
    """What runs an attempt, as seen by its handler. All of it may be used from any thread."""

    @property
    def is_stopping(self) -> bool:
        """Whether the attempt must end."""
        ...

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:
        """Make the logger of this attempt."""
        ...

    def report(self, fence: Fence, share: float, message: str | None) -> None:
        """Take a report of progress; it does not wait, and does not raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTick:
    """The tick of a schedule for which a task was made; of one that was asked for by hand, when that was.

    `previous_tick` is the latest tick before it that made a task, None if there is none: so from one task to the
    next nothing is left out, whatever was skipped in between. `is_catch_up` is whether the tick was missed, and
    its task made later.
    """

    name: str
    tick: datetime
    previous_tick: datetime | None = None
    is_catch_up: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """The handler's view of its attempt.

    `fence` names the claim: an outside system that remembers the highest `claim_no` of a task can refuse a worker
    that has lost the task. `schedule` is the tick for which a schedule made the task; None if no schedule did, or
    what became of the tick is no longer stored (90 days unless set).
    """

    task: ClaimedTask
    fence: Fence
    runtime: HandlerRuntime = field(repr=False)
    schedule: ScheduledTick | None = None

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.task.attempt

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """The payload as it was sent; empty when there was none."""
        parsed: Mapping[str, Any] = orjson.loads(self.task.payload or "{}")
        return parsed

    @cached_property
    def logger(self) -> FilteringBoundLogger:
        """A logger whose lines name the task, the claim and the attempt, and are stored with the task."""
        return self.runtime.make_logger(self.task)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must stop: cancelled, out of time, its lease lost, or the worker stopping.

        An async handler is cancelled by asyncio and need not check. A plain function should check now and then,
        and leave by `raise_if_cancelled`. If it returns, the attempt has succeeded.
        """
        return self.runtime.is_stopping

    def raise_if_cancelled(self) -> None:
        """Leave the handler if the attempt must stop.

        Raises:
            Stopped: The attempt must stop.
        """
        if self.cancelled:
            raise Stopped("asked to stop")

    def progress(self, share: float, message: str | None = None) -> None:
        """Report progress: `share` from 0 to 1, and what it does (the first 500 characters).

        It does not wait: reports that come faster than they are stored replace one another.

        Raises:
            ValueError: `share` is not a number from 0 to 1.
        """
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise ValueError(f"expected a share from 0 to 1, got {share}")
        cut = None if message is None else str(message)[:MOST_PROGRESS_CHARACTERS]
        self.runtime.report(self.fence, float(share), cut)
