"""The feed of changes: the cursor of a reader, a change, and which changes are wanted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from taskmill.domain.lifecycle import Status
from taskmill.domain.system import TaskEvent
from taskmill.domain.visibility import Visibility

_CURSOR = re.compile(r"(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,8})", re.ASCII)


class Cursor(NamedTuple):
    """A reader's progress: it has seen all up to the change `ordinal` (from 1) of the batch at `position`."""

    position: int
    ordinal: int

    def __str__(self) -> str:
        return f"{self.position}.{self.ordinal}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Parse what `str` returns, or `0`, which is `OLDEST`. Raises `ValueError`."""
        if text == "0":
            return OLDEST
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no cursor")
        return cls(int(found[1]), int(found[2]))


START: Final = Cursor(0, 0)
"""Before the first change ever."""
OLDEST: Final = Cursor(-1, 0)
"""Before the oldest change that is still kept."""


class Change(NamedTuple):
    """A change of a task, and what it needs of the task; `labels` is JSON text. A tuple: there are thousands."""

    cursor: Cursor
    event: TaskEvent
    queue: str
    type: str
    name: str
    labels: str


class FeedPage(NamedTuple):
    """The next changes, and the cursor after all that was read, also changes of tasks that are gone.

    `is_last` is whether there was nothing more.
    """

    changes: Sequence[Change]
    cursor: Cursor
    is_last: bool


class FeedBounds(NamedTuple):
    """What is kept: the first batch's position, and the cursor after the last change; None when empty."""

    oldest: int | None
    latest: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFilter:
    """Which changes are wanted: those that match one value of each set that is not empty, and are visible.

    Without a visibility, changes in all queues are.
    """

    queues: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    statuses: frozenset[Status] = frozenset()
    tasks: frozenset[UUID] = frozenset()
    visibility: Visibility | None = None

    def admits(self, change: Change) -> bool:
        """Return whether a change is wanted."""
        return (
            (not self.queues or change.queue in self.queues)
            and (not self.types or change.type in self.types)
            and (not self.statuses or change.event.status in self.statuses)
            and (not self.tasks or change.event.task_id in self.tasks)
            and (self.visibility is None or self.visibility.shows(change.queue))
        )
