"""What stands out among tasks that failed in one way: found in samples, so never exact. It reads nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from taskmill.domain.error_kinds import message_shape

MOST: Final = 200
"""How many tasks a sample has at most, of those that failed and of those that succeeded."""

# A share that is larger by so much, and so many times as large, stands out.
_LEAST_DIFFERENCE: Final = 0.2
_LEAST_RATIO: Final = 1.5
_LEAST_TASKS: Final = 2
_MOST_SHOWN: Final = 8
_MOST_MESSAGES: Final = 5

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTask:
    """A task of a sample. `worker` ran its last attempt, of `version`, as far as these are known."""

    id: UUID
    queue: str
    type: str
    labels: Labels
    message: str
    finished_at: datetime | None
    worker: str | None
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """A label that tasks that failed have more often: its share among them, and among those that succeeded."""

    key: str
    value: str
    failed: float
    succeeded: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSample:
    """The newest tasks that failed in one way, newest first, and labels of those of their types that succeeded."""

    failed: Sequence[FailedTask]
    succeeded: Sequence[Labels]

    @property
    def labels(self) -> list[Outstanding]:
        """The labels that stand out, the most striking first."""
        return outstanding([one.labels for one in self.failed], self.succeeded)

    @property
    def messages(self) -> list[tuple[str, int]]:
        """The most frequent messages, with # for numbers and ids, and how many tasks have each."""
        return Counter(message_shape(one.message) for one in self.failed).most_common(
            _MOST_MESSAGES
        )

    def most_common(self, name: str, most: int = 10) -> list[tuple[str, int]]:
        """Return the most frequent values of an attribute of the tasks that failed, and how many have each."""
        values = (getattr(one, name) for one in self.failed)
        return Counter(value for value in values if value is not None).most_common(most)


def outstanding(failed: Sequence[Labels], succeeded: Sequence[Labels]) -> list[Outstanding]:
    """Return the labels that are more frequent among those that failed by much.

    One task alone makes nothing stand out. Without any that succeeded, what all of them have is no news: there is
    nothing to compare with.
    """
    if not succeeded:
        return []
    among_failed, among_succeeded = _counted(failed), _counted(succeeded)
    found = [
        Outstanding(
            key=key,
            value=value,
            failed=tasks / len(failed),
            succeeded=among_succeeded[key, value] / len(succeeded),
        )
        for (key, value), tasks in among_failed.items()
        if tasks >= _LEAST_TASKS
    ]
    striking = [one for one in found if _stands_out(one)]
    return sorted(striking, key=_rank)[:_MOST_SHOWN]


def _counted(labels: Iterable[Labels]) -> Counter[tuple[str, str]]:
    return Counter(pair for one in labels for pair in one.items())


def _stands_out(one: Outstanding) -> bool:
    return (
        one.failed - one.succeeded >= _LEAST_DIFFERENCE
        and one.failed >= _LEAST_RATIO * one.succeeded
    )


def _rank(one: Outstanding) -> tuple[float, str, str]:
    return one.succeeded - one.failed, one.key, one.value
