"""What a search text may mean, which may be several things, and what was found for it. It finds nothing itself."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from taskmill.domain.failures import FailureKind
from taskmill.domain.system import TaskFilter, TaskPage, WorkerState
from taskmill.domain.task import Task

LONGEST_TEXT: Final = 200
"""Characters of a search text."""

_LONGEST_KEY: Final = 63
_MOST_DIGITS: Final = 18
# With fewer digits too many ids would have it.
_ID_END: Final = re.compile(r"[0-9a-f]{6,12}|[0-9a-f]{0,4}(-[0-9a-f]{4}){0,2}-[0-9a-f]{12}")
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(f"#?[0-9]{{1,{_MOST_DIGITS}}}")
_LABEL: Final = re.compile(rf"([^=\s]{{1,{_LONGEST_KEY}}})=(.*)", re.DOTALL)


class MatchBy(StrEnum):
    """By what tasks are searched for, where there may be several."""

    NAME = "name"
    LABEL = "label"
    ID_END = "id_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchText:
    """A search text without space around it, and what it may mean besides a part of a name.

    `is_exact` is one that means nothing but an id or a number.
    """

    text: str
    id: UUID | None = None
    number: int | None = None
    id_end: str | None = None
    label: tuple[str, str] | None = None
    is_exact: bool = False

    @classmethod
    def of(cls, given: str) -> "SearchText":
        """Read a text; pages show `…` before the end of an id."""
        text = given.strip()
        lower = text.lower().removeprefix("…")
        is_id, is_number = bool(_ID.fullmatch(lower)), bool(_NUMBER.fullmatch(text))
        label = _LABEL.fullmatch(text)
        return cls(
            text=text,
            id=UUID(lower) if is_id else None,
            number=int(text.removeprefix("#")) if is_number else None,
            id_end=lower if _ID_END.fullmatch(lower) else None,
            label=(label[1], label[2]) if label else None,
            is_exact=is_id or (text.startswith("#") and is_number),
        )

    @property
    def ways(self) -> Sequence[MatchBy]:
        """By what to search tasks, in this order."""
        if self.is_exact or not self.text:
            return ()
        found = (MatchBy.NAME,) if self.label is None else (MatchBy.LABEL, MatchBy.NAME)
        return found if self.id_end is None else (MatchBy.ID_END, *found)

    def wanted(self, by: MatchBy) -> TaskFilter:
        """Return the filter of tasks for one of the ways."""
        return TaskFilter(
            name=self.text if by is MatchBy.NAME else None,
            labels=(self.label,) if by is MatchBy.LABEL and self.label else (),
            id_end=self.id_end if by is MatchBy.ID_END else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMatches:
    """The tasks that were found in one way; with `page.next_after`, the search goes on from there."""

    by: MatchBy
    page: TaskPage


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What was found, the best first: `exact` tasks have the id or the number."""

    exact: Sequence[Task] = ()
    tasks: Sequence[TaskMatches] = ()
    kinds: Sequence[FailureKind] = ()
    queues: Sequence[str] = ()
    types: Sequence[str] = ()
    workers: Sequence[WorkerState] = ()
