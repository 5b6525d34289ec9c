"""For writing handlers: `Taskmill`, the context, and the exceptions that a handler may raise."""

from taskmill.app.context import Context
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
    "Stopped",
    "TaskType",
    "Taskmill",
]
