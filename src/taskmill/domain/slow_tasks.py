"""Tasks that took long."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from taskmill.domain.lifecycle import Status

MOST_LOOKED_AT: Final = 200
"""Of how many of the newest tasks of each status the slowest are found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowTask:
    """A task that has ended, and how long its last attempt took, in s."""

    id: UUID
    number: int
    name: str
    queue: str
    type: str
    status: Status
    finished_at: datetime
    seconds: float
