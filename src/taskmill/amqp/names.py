"""The names of Taskmill's exchanges and queues, and the basics of hints. It needs no driver."""

from typing import Final, Literal, TypeAlias

EXCHANGE: Final = "taskmill"
CREATE_QUEUE: Final = "taskmill.tasks.create"
CREATE_KEY: Final = "tasks.create"
REJECTED_QUEUE: Final = "taskmill.tasks.rejected"
HINTS: Final = "taskmill.hints"
EVENTS_EXCHANGE: Final = "taskmill.events"

HintQueueType: TypeAlias = Literal["classic", "quorum"]
"""Classic queues deliver hints sooner; quorum queues survive the loss of their node."""

HINT_TTL_S: Final = 10.0
"""The lifetime of a hint, at the broker and for the relay: after that its tasks are released again."""


def hint_queue_name(queue: str, task_type: str) -> str:
    """Return the name of the queue for hints about waiting tasks of one queue and type.

    Names of queues and types may have dots, but no colons.
    """
    return f"{HINTS}.{queue}:{task_type}"


def event_key(status: str, queue: str) -> str:
    """Return the routing key of a change into a status. A queue's name may have dots: bind with `#`, not `*`."""
    return f"task.{status}.{queue}"
