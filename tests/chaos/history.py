"""What clients did and which responses they got: the only record that the service itself does not keep."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    """What a client finally knows about an operation."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class EntryPoint(StrEnum):
    """How an operation reaches the service."""

    POST = "post"
    BATCH = "batch"
    MESSAGE = "message"


@dataclass(kw_only=True)
class Operation:
    """Something that a client sent. `names` are those of the tasks that it should create.

    With a key it was retried until its result was known. An `is_bad` one must be refused; with `conflicts` its key
    was used again with another body, which must be refused, too.
    """

    entry_point: EntryPoint
    names: Sequence[str]
    key: str | None = None
    result: Result = Result.UNKNOWN
    ids: Sequence[str] = ()
    is_bad: bool = False
    conflicts: bool = False
    confirmed_at: float | None = None


@dataclass(kw_only=True)
class History:
    """All operations, and the versions that were read.

    `due_at` has, by name, the earliest time at which a task may start: when it was first sent, plus its delay.
    `retries_sent` and `retries_confirmed` have, by id, how often a new run was requested and confirmed.
    """

    operations: list[Operation] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    responses: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    due_at: dict[str, float] = field(default_factory=dict)
    retries_sent: Counter[str] = field(default_factory=Counter)
    retries_confirmed: Counter[str] = field(default_factory=Counter)
    broker_wiped_at: float = 0.0

    def accept(self, operation: Operation, ids: Sequence[str], at: float) -> None:
        """Record that an operation was confirmed with these tasks."""
        if operation.result is Result.OK and list(operation.ids) != list(ids):
            self.violations.append(
                f"two_tasks_for_a_key: {operation.key} was {operation.ids}, then {ids}"
            )
        if operation.result is not Result.OK:
            self.accepted.extend(ids)
        operation.result, operation.ids, operation.confirmed_at = Result.OK, ids, at

    def read(self, task_id: str, version: int) -> None:
        """Record which version of a task was read."""
        if version < self.seen.get(task_id, 0):
            self.violations.append(
                f"went_back: {task_id} was seen in version {self.seen[task_id]}, then {version}"
            )
        self.seen[task_id] = version
