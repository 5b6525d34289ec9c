"""What can go wrong between a client and the service: one tree of errors.

    TaskmillError
    └── ClientError
        ├── Unreachable          no answer came: refused, cut, or too late
        ├── Unexpected           something answered, but not as Taskmill does
        ├── NotAccepted          the service said no, with a problem (RFC 9457)
        │   └── ServiceUnavailable   503: ask again after `retry_after_s`
        └── StillRunning         the task did not end within the time given to `wait`

The text of an error is for people; its fields are for programs.
"""

from uuid import UUID

from taskmill.domain.errors import TaskmillError, Violation
from taskmill.domain.lifecycle import Status

__all__ = [
    "ClientError",
    "NotAccepted",
    "ServiceUnavailable",
    "StillRunning",
    "Unexpected",
    "Unreachable",
]


class ClientError(TaskmillError):
    """The root of what a client raises."""


class Unreachable(ClientError):
    """No answer came. What was asked may have been done all the same, unless it was refused."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no answer from Taskmill at {url}: {reason}\n"
            "Is it running (./taskmill up), and is this its address (--url or TASKMILL_URL)?"
        )
        self.url = url
        self.reason = reason


class Unexpected(ClientError):
    """Something answered, but not as Taskmill does: a proxy, another program, another version."""

    def __init__(self, url: str, status: int, what: str) -> None:
        super().__init__(f"{url} does not answer like Taskmill: HTTP {status}, {what}")
        self.url = url
        self.status = status


class NotAccepted(ClientError):
    """The service said no. `type` is stable, for programs; `errors` names all that is wrong."""

    def __init__(
        self,
        *,
        status: int,
        type: str,  # noqa: A002 - the field's name in a problem
        title: str,
        detail: str,
        errors: tuple[Violation, ...],
    ) -> None:
        # The detail of a request with violations repeats the first of them.
        faults = "".join(f"\n  {violation}" for violation in errors)
        super().__init__(f"{title}:{faults}" if errors else detail or title)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.errors = errors


class ServiceUnavailable(NotAccepted):
    """A part that the answer needs is away for now."""

    retry_after_s: float = 1.0


class StillRunning(ClientError):
    """The task did not reach a terminal status in time; it goes on."""

    def __init__(self, task_id: UUID, status: Status, timeout_s: float) -> None:
        super().__init__(f"task {task_id} is still {status} after {timeout_s:g} s")
        self.task_id = task_id
        self.status = status
