"""Makes what a process needs to manage schedules, from its service."""

from typing import NamedTuple

from taskmill.operations.firing import Firing
from taskmill.operations.manual_fires import ManualFires
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedules import Schedules
from taskmill.operations.service import TaskService
from taskmill.wire.rules import InputLimits


class Scheduling(NamedTuple):
    """The schedules, and what has them make tasks by hand."""

    schedules: Schedules
    manual_fires: ManualFires


def scheduling(service: TaskService, limits: InputLimits, *, quota: int) -> Scheduling:
    """Return both; `limits` are those of requests to create tasks, with the contracts in force.

    `quota` is how many schedules each API key may have, unless it says otherwise; 0 is any number.
    """
    database, creation = service.database, service.creation
    reading = ScheduleReading(creation, service.contracts, limits)
    firing = Firing(creation, reading)
    return Scheduling(
        Schedules(database, firing, reading, quota=quota),
        ManualFires(database, creation, firing, reading),
    )
