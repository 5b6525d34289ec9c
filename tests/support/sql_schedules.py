"""Calls of `taskmill.put_schedule` and `taskmill.pause_schedule`, and the duty that does what they ask for."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import orjson
import pytest

from taskmill.maintenance.schedule_requests import DoScheduleRequests
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedule_requests import ScheduleRequests
from taskmill.storage.servers import Connection
from tests.support.scheduling import Scheduler

TASK: Final = {"name": "report"}
_CASTS: Final[Mapping[str, str]] = {
    "task": "::text::json",
    "every": "::text::interval",
    "within": "::text::interval",
}


async def put_schedule(sql: Connection, name: object = "report", **arguments: Any) -> None:  # noqa: ANN401 - the function's
    """Call the function; unless said otherwise for a tick every minute."""
    if not {"cron", "every", "at"} & arguments.keys():
        arguments["every"] = "1 min"
    given = {"name": name, "task": TASK, **arguments}
    if not isinstance(given["task"], str | None):
        given["task"] = orjson.dumps(given["task"]).decode()
    called = ", ".join(
        f"{key} => ${number}{_CASTS.get(key, '')}" for number, key in enumerate(given, 1)
    )
    await sql.execute(f"SELECT taskmill.put_schedule({called})", *given.values())


async def pause_schedule(sql: Connection, name: str = "report", *, paused: bool = True) -> None:
    """Call the function."""
    await sql.execute("SELECT taskmill.pause_schedule($1, $2)", name, paused)


async def refusal(sql: Connection, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - the function's
    """Call `put_schedule` and return the problem that it is refused with."""
    with pytest.raises(asyncpg.InvalidParameterValueError) as caught:
        await put_schedule(sql, **arguments)
    problem: dict[str, Any] = orjson.loads(caught.value.detail or "")
    return problem


def requests_duty(scheduler: Scheduler) -> DoScheduleRequests:
    """The duty of one maintenance process."""
    database = scheduler.stage.maintenance_database
    reading = ScheduleReading(scheduler.creation, scheduler.contracts, scheduler.limits)
    requests = ScheduleRequests(
        database, scheduler.firing, reading, scheduler.contracts, scheduler.limits
    )
    return DoScheduleRequests(database, requests, scheduler.contracts)


async def do_requests(scheduler: Scheduler) -> None:
    """Do what is asked for, until nothing is left to do at once."""
    duty = requests_duty(scheduler)
    while await duty():
        pass
