"""What a handler knows of the attempt that it runs, and how it speaks to whoever runs it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import orjson
from structlog.typing import FilteringBoundLogger

from taskmill.app.errors import Stopped
from taskmill.domain.task import ClaimedTask, Fence

MOST_PROGRESS_CHARACTERS: Final = 500


class HandlerRuntime(Protocol):
    """What runs an attempt, as far as its handler has to do with it. Everything may be used from any thread."""

    @property
    def is_stopping(self) -> bool:
        """Whether the attempt is to end."""
        ...

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:
        """Make the logger of this attempt."""
        ...

    def report(self, fence: Fence, share: float, message: str | None) -> None:
        """Take a report of progress; it does not wait, and does not raise."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """What a handler knows of the attempt that it runs.

    `fence` names the claim: an outside system that remembers the highest `claim_no` of a task can refuse a worker
    that has lost it.
    """

    task: ClaimedTask
    fence: Fence
    runtime: HandlerRuntime = field(repr=False)

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
        """A logger whose lines name the task, the claim and the attempt, and are kept with the task."""
        return self.runtime.make_logger(self.task)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to stop: cancelled, out of time, its lease lost, or the worker stopping.

        An async handler is cancelled as asyncio does it, and need not ask. A plain function can only be asked: it
        should look now and then, and leave by `raise_if_cancelled`. One that returns has succeeded.
        """
        return self.runtime.is_stopping

    def raise_if_cancelled(self) -> None:
        """Leave the handler when the attempt is to stop.

        Raises:
            Stopped: it is.
        """
        if self.cancelled:
            raise Stopped("asked to stop")

    def progress(self, share: float, message: str | None = None) -> None:
        """Tell how far the attempt is: `share` from 0 to 1, and what it does (500 characters are kept).

        It does not wait: reports that come faster than they are stored replace one another.

        Raises:
            ValueError: `share` is no number from 0 to 1.
        """
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise ValueError(f"expected a share from 0 to 1, got {share}")
        cut = None if message is None else str(message)[:MOST_PROGRESS_CHARACTERS]
        self.runtime.report(self.fence, float(share), cut)
