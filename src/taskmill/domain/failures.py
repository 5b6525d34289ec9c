"""Failures of tasks, by type and error."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from taskmill.domain.activity import Window

WINDOWS: Final = (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH)
"""The spans of time that failures are counted over."""

OTHER: Final = "*"
"""Stands for all kinds of failures beyond the number that is counted separately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tasks of one type that failed with one kind of error: how many, when first and last, and the last one's id.

    `error` is the error's type and the first line of its message (of a traceback the last), with # for numbers and
    ids.
    """

    type: str
    error: str
    tasks: int
    first_at: datetime
    last_at: datetime
    task_id: UUID

    @property
    def is_other(self) -> bool:
        """Whether it sums up the kinds that are not counted separately."""
        return self.type == OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What failed over one of `WINDOWS`, the most frequent first; `kinds` and `tasks` count all, shown or not."""

    window: Window
    groups: Sequence[FailureGroup]
    kinds: int
    tasks: int
