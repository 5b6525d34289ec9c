"""What can go wrong between a client and the service: the root of the tree, and all but the refusals.

    TaskmillError
    └── ClientError
        ├── Unreachable          no response came: refused, cut, or too late
        ├── Unexpected           a response came, but not from Taskmill
        ├── StillRunning         the task did not end within the time given to `wait`
        ├── NotAllCreated        some of many tasks were refused, or the service became unreachable
        └── NotAccepted          the service refused, with a problem (RFC 9457): see `client.refusals`

The text of an error is for people; its fields are for programs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from taskmill.client.views.problems import Problem
from taskmill.domain.errors import TaskmillError, Violation
from taskmill.domain.lifecycle import Status

E = TypeVar("E", bound=BaseException)

_USER: Final = re.compile(r"(?<=//)[^/?#]*@")


class ClientError(TaskmillError):
    """The root of what a client raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it picklable, for other processes."""
        return _remade, (type(self), self.args, self.__dict__)


class Unreachable(ClientError):
    """No response came. The request may still have taken effect, unless the connection was refused."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = _without_user(url)
        super().__init__(f"no response from Taskmill at {self.url}: {reason}")
        self.reason = reason


class Unexpected(ClientError):
    """The response is not Taskmill's: it came from a proxy, another program, or another version."""

    def __init__(self, url: str, status: int, what: str) -> None:
        self.url = _without_user(url)
        super().__init__(f"{self.url} does not respond like Taskmill: HTTP {status}, {what}")
        self.status = status


class NotAccepted(ClientError):
    """The service refused the request.

    `type` is stable, for programs, and each known type has a class of its own; `errors` lists all that is wrong.
    `retry_after_s` is when to try again, None if that would not help.
    """

    def __init__(self, problem: Problem) -> None:
        errors = tuple(
            Violation(pointer=item.pointer, expected=item.expected, got=item.got)
            for item in problem.errors or ()
        )
        # The detail of a request with violations repeats the first of them.
        faults = "".join(f"\n  {violation}" for violation in errors)
        super().__init__(f"{problem.title}:{faults}" if errors else problem.detail or problem.title)
        self.problem = problem
        self.status = problem.status
        self.type = problem.type
        self.title = problem.title
        self.detail = problem.detail
        self.errors = errors
        self.retry_after_s = problem.retry_after_s


class StillRunning(ClientError):
    """The task did not reach a terminal status in time; it goes on."""

    def __init__(self, task_id: UUID, status: Status, timeout_s: float) -> None:
        super().__init__(f"task {task_id} is still {status} after {timeout_s:g} s")
        self.task_id = task_id
        self.status = status


class NotAllCreated(ClientError):
    """Some of many tasks do not exist.

    `ids` has the id of each task, in order, and None for a refused one; `refused` says why, by position (from 0).
    If the service became unreachable, `ids` ends before the first task whose outcome is unknown, and `__cause__`
    is the error: tasks with an `idempotency_key` of the caller's own can be sent again.
    """

    def __init__(
        self,
        ids: Sequence[UUID | None],
        refused: Mapping[int, NotAccepted],
        *,
        is_cut: bool = False,
    ) -> None:
        super().__init__(_summary(ids, refused, is_cut=is_cut))
        self.ids = ids
        self.refused = refused


def _remade(kind: type[E], arguments: tuple[Any, ...], fields: Mapping[str, Any]) -> E:
    """Rebuild an error, whatever its `__init__` takes."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(fields)
    return error


def _without_user(url: str) -> str:
    """Leave out the name and the password that an address may have."""
    return _USER.sub("", url)


def _summary(
    ids: Sequence[UUID | None], refused: Mapping[int, NotAccepted], *, is_cut: bool
) -> str:
    parts = [f"{len(ids) - len(refused):,} tasks were created"]
    if refused:
        first = min(refused)
        parts.append(f"{len(refused):,} refused, the first at position {first}: {refused[first]}")
    if is_cut:
        parts.append(f"the outcome is unknown from position {len(ids)} on")
    return "; ".join(parts)
