"""The part of asyncpg that it does not document, and why it is used; pyproject.toml caps its version.

- `IterableABC`: asyncpg asks of each element of an array whether it is an array, too. It asks an abstract base
  class, which costs 0.2 us for an element, and a created task has about 25 of them: 3 % of the processor time that
  the API needs for one (2026-11-30). A type is asked in a tenth of that.
"""

from collections import deque
from typing import Final

from asyncpg.protocol import protocol

_ARRAYS: Final[tuple[type, ...]] = (
    list,
    tuple,
    set,
    frozenset,
    deque,
    type({}.keys()),
    type({}.values()),
)
"""What may be given as an array. asyncpg itself refuses a mapping, and takes a tuple in an array for a row."""


def distinguish_arrays_by_type() -> None:
    """Have asyncpg ask whether something is of one of a few types, not whether one can iterate over it."""
    vars(protocol)["IterableABC"] = _ARRAYS
