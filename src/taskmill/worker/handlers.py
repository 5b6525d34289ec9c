"""What runs a task: handlers by type, the context that they get, and what they may raise."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeAlias
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from taskmill.domain.task import ClaimedTask
from taskmill.storage.claims import Fence
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.logger import handler_logger

EVERY_TYPE = "*"


class RetryLater(Exception):
    """The attempt failed; try again `after` that long (by the task's policy when None)."""

    def __init__(self, message: str = "", *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class PermanentFailure(Exception):
    """The task failed, and no further attempt can help."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a handler knows of the attempt that it runs.

    `fence` names the claim: an outside system that remembers the highest `claim_no` of a task can refuse
    a worker that has lost it. `lines` takes what is kept of its log.
    """

    task: ClaimedTask
    lease_id: UUID
    lines: ClaimLog | None = None

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.task.attempt

    @property
    def fence(self) -> Fence:
        """The proof that this claim is the current one."""
        return Fence(task_id=self.task.id, lease_id=self.lease_id, claim_no=self.task.claim_no)

    @cached_property
    def logger(self) -> FilteringBoundLogger:
        """A logger whose lines name the task, the claim and the attempt, and are kept with the task."""
        return handler_logger(self.task, self.lines)


Handler: TypeAlias = Callable[[Mapping[str, Any], Context], Awaitable[object]]


class Handlers:
    """Handlers by task type; the one for `*` takes every type that has none of its own.

    Types in `exclusive` (`*` for all) must not go on where another worker might have begun them.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, exclusive: Iterable[str] = ()) -> None:
        self._handlers = dict(handlers)
        self._exclusive = frozenset(exclusive)

    def get(self, task_type: str) -> Handler | None:
        """Return the handler of a type, None when this worker has none."""
        return self._handlers.get(task_type) or self._handlers.get(EVERY_TYPE)

    def accepts(self, task_type: str) -> bool:
        """Tell whether this worker can run tasks of that type."""
        return self.get(task_type) is not None

    @property
    def has_exclusive(self) -> bool:
        """Tell whether any type is exclusive."""
        return bool(self._exclusive)

    def is_exclusive(self, task_type: str) -> bool:
        """Tell whether tasks of that type are stopped as soon as their lease could have ended."""
        return task_type in self._exclusive or EVERY_TYPE in self._exclusive

    @property
    def types(self) -> Iterable[str]:
        """The types that there are handlers for; `*` among them means all."""
        return self._handlers.keys()
