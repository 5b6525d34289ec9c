"""The keys under which layers of an HTTP app pass values to each other in a request's scope, beside ASGI's own."""

import asyncio
from typing import Final

from starlette.types import Scope

DEADLINE: Final = "taskmill.deadline"
"""The request's deadline; it stands still while the client sends."""

HEAD_ONLY: Final = "taskmill.head_only"
"""Present when only the head of the response is wanted."""

BODY: Final = "taskmill.body"
"""The `Body` that counts the memory of the request's body."""

ROUTE: Final = "taskmill.route"
"""The route as documented: set by layers that respond without the framework."""

TASK_ID: Final = "taskmill.task_id"
"""The id of the task that the request created, so that its log line leads to the task's."""

API_KEY: Final = "taskmill.api_key"
"""The `ApiKey` that the request has shown, where keys are required."""

REFUSED: Final = "taskmill.refused"
"""The error because of which a page may not be shown: a layer before the pages has refused the request."""

CLIENT: Final = "taskmill.client"
"""The address of the client, for the log line; present only where proxies are trusted."""

ABORT: Final = "taskmill.abort"
"""The function that closes the request's connection at once; unsent data is lost."""

UNTIMED: Final = "taskmill.untimed"
"""Present for long polls and streams: how long they take says nothing of the server's speed."""

TARGET: Final = "taskmill.target"
"""The request's target as it came, where it is more than a path: it may name another host than `Host` does."""


def set_deadline(scope: Scope, seconds: float | None) -> None:
    """Let the request end by so many seconds from now; None: whenever it likes."""
    deadline: asyncio.Timeout | None = scope.get(DEADLINE)
    if deadline is not None:
        ends_at = None if seconds is None else asyncio.get_running_loop().time() + seconds
        deadline.reschedule(ends_at)
