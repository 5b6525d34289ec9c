"""For writing handlers: `Taskmill`, the context, and the exceptions that a handler may raise."""

from taskmill.app.context import Context, ScheduledTick
from taskmill.app.errors import PayloadRefused, PermanentFailure, RetryLater, Stopped
from taskmill.app.registry import Isolation, Taskmill, TaskType
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence

__all__ = [
    "Context",
    "Fence",
    "Isolation",
    "PayloadRefused",
    "PermanentFailure",
    "RetryLater",
    "RetryPolicy",
    "ScheduledTick",
    "Stopped",
    "TaskType",
    "Taskmill",
]
