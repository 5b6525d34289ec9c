"""Bounds the labels that come from outside: names of queues and types, which anybody may invent.

The first `most` that come get series of their own, for as long as the process lives; all others share one, whose
labels no queue and no type can have as a name.
"""

from typing import Final

OTHER: Final = "_other"


class Bounded(dict[tuple[str, ...], tuple[str, ...]]):
    """Gives the labels of values: themselves, or `_other` for each when there are too many already."""

    def __init__(self, size: int, *, most: int) -> None:
        super().__init__()
        self.most = most
        self._rest = (OTHER,) * size

    def __missing__(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(self) >= self.most:
            return self._rest
        self[values] = values
        return values


KINDS: Final = Bounded(2, most=200)
"""The labels `queue` and `type` of a task."""

QUEUES: Final = Bounded(1, most=200)
"""The label `queue` alone."""


def bound(most: int) -> None:
    """Let at most so many kinds, and queues, have series of their own from now on."""
    KINDS.most = QUEUES.most = most
