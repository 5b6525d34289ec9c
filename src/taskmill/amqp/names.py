"""The names of Taskmill's exchanges and queues, and the basics of hints. It needs no driver."""

from collections.abc import Collection
from hashlib import sha256
from typing import Final, Literal, TypeAlias

EXCHANGE: Final = "taskmill"
CREATE_QUEUE: Final = "taskmill.tasks.create"
CREATE_KEY: Final = "tasks.create"
REJECTED_QUEUE: Final = "taskmill.tasks.rejected"
HINTS: Final = "taskmill.hints"
"""The exchange of hints, and what the names of their queues begin with."""
EVENTS_EXCHANGE: Final = "taskmill.events"

HintQueueType: TypeAlias = Literal["classic", "quorum"]
"""Classic queues deliver hints sooner; quorum queues survive the loss of their node."""

HINT_TTL_S: Final = 10.0
"""The lifetime of a hint at the broker: what it says will be found by polling long before."""

_MOST_NAME_CHARS: Final = 200


def hint_queue_name(queues: Collection[str], types: Collection[str]) -> str:
    """Return the name of the queue from which workers with these queues and types (empty: all) take hints."""
    name = f"{HINTS}.{_listed(queues)}/{_listed(types)}"
    if len(name) <= _MOST_NAME_CHARS:
        return name
    return f"{name[:_MOST_NAME_CHARS]}@{sha256(name.encode()).hexdigest()[:16]}"


def hint_key(queue: str, task_type: str) -> str:
    """Return the routing key of hints about tasks of one queue and type: two words."""
    return f"{_word(queue)}.{_word(task_type)}"


def hint_bindings(queues: Collection[str], types: Collection[str]) -> list[str]:
    """Return the keys that select the hints for these queues and types (empty for all), and perhaps more."""
    if queues:
        return [f"{_word(queue)}.*" for queue in sorted(queues)]
    return [f"*.{_word(one)}" for one in sorted(types)] or ["#"]


def _listed(names: Collection[str]) -> str:
    return ",".join(sorted(names)) or "#"


def _word(name: str) -> str:
    """Return a name as one word of a routing key: names of queues and types may have dots, but no slashes."""
    return name.replace(".", "/")


def event_key(status: str, queue: str) -> str:
    """Return the routing key of a change into a status. A queue's name may have dots: bind with `#`, not `*`."""
    return f"task.{status}.{queue}"
