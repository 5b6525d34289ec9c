"""What Taskmill's exchange and queues are called, and what hints are. Knowing it needs no driver."""

from typing import Final, Literal, TypeAlias

EXCHANGE: Final = "taskmill"
CREATE_QUEUE: Final = "taskmill.tasks.create"
CREATE_KEY: Final = "tasks.create"
REJECTED_QUEUE: Final = "taskmill.tasks.rejected"
HINTS: Final = "taskmill.hints"
EVENTS_EXCHANGE: Final = "taskmill.events"

HintQueueType: TypeAlias = Literal["classic", "quorum"]
"""Classic ones bring a hint to a worker sooner; quorum ones outlive the node that they are on."""

HINT_TTL_S: Final = 10.0
"""A hint lives so long, at the broker and in the relay's eyes: then its task is released again."""


def hint_queue_name(queue: str, task_type: str) -> str:
    """Return the name of the queue that tells workers of waiting tasks of one queue and type.

    Names of queues and types may have dots, but no colons.
    """
    return f"{HINTS}.{queue}:{task_type}"


def event_key(status: str, queue: str) -> str:
    """Return the routing key of a change into a status. A queue's name may have dots: bind with `#`, not `*`."""
    return f"task.{status}.{queue}"
