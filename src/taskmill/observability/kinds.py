"""Bounds the labels that come from outside: names of queues and types, which any client may invent.

The first `most` get series of their own, for as long as the process lives; all others share one, whose labels
can't be the name of a queue or type.
"""

from typing import Final

OTHER: Final = "_other"


class Bounded(dict[tuple[str, ...], tuple[str, ...]]):
    """Maps values to labels: the values themselves, or `_other` for each when there are too many already."""

    def __init__(self, size: int, *, most: int) -> None:
        super().__init__()
        self.most = most
        self._others = (OTHER,) * size

    def __missing__(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(self) >= self.most:
            return self._others
        self[values] = values
        return values


KINDS: Final = Bounded(2, most=200)
"""The labels `queue` and `type` of a task."""

QUEUES: Final = Bounded(1, most=200)
"""The label `queue` alone."""


def bound(most: int) -> None:
    """Allow at most `most` kinds, and as many queues, series of their own from now on."""
    KINDS.most = QUEUES.most = most
