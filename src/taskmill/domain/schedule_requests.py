"""What SQL asks for of a schedule, until maintenance has done or refused it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

REQUESTED_IDS: Final = 2**62
"""What is asked for and is no schedule yet has an id from here on in lists, after all schedules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRequest:
    """What is asked for under a name.

    `body` is that of a request to put it, in JSON, and `queue` and `type` are those of its tasks; all are None if
    it is only to be paused or to go on (`paused`). `replaced_queue` is the queue of the schedule that had the name
    when it was asked for. `problem` is why it was refused, in JSON.
    """

    id: int
    name: str
    body: str | None
    queue: str | None
    type: str | None
    replaced_queue: str | None
    paused: bool | None
    asked_by: str
    asked_at: datetime
    problem: str | None

    @property
    def is_to_put(self) -> bool:
        """Whether it is to be put, and that was not refused."""
        return self.body is not None and self.problem is None
