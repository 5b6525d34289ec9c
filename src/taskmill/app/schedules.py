"""Schedules that an app's code declares, `@app.task("report", cron="30 2 * * *")`: their options, and their check.

They are stored when a worker starts. Nothing here computes ticks but the check, which is imported only where a
schedule is declared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from taskmill.domain.errors import InvalidInput
from taskmill.wire.basics import format_duration

if TYPE_CHECKING:
    from taskmill.wire.schedule_requests import ScheduleDraft


class ScheduleOptions(TypedDict, total=False):
    """When a task type has a task of its own: exactly one of `cron`, `every` and `at` is given.

    Texts of durations are ISO 8601, such as `PT15M`.
    """

    cron: str
    every: timedelta | str
    at: Sequence[datetime | str]
    anchor: datetime | str
    zone: str
    gap: Literal["end", "skip"]
    fold: Literal["first", "last", "both"]
    starts_at: datetime | str
    ends_at: datetime | str
    jitter_s: float
    catch_up: Literal["none", "latest", "all"]
    within: timedelta | str
    most: int
    overlap: Literal["allow", "skip", "hold_one", "cancel_running"]


OPTIONS: Final = frozenset(ScheduleOptions.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSchedule:
    """A schedule of a task type, which has its name; `body` is that of a request to put it."""

    name: str
    body: Mapping[str, Any]

    def draft(self) -> "ScheduleDraft":
        """Return it as a valid request. Raises `InvalidInput`."""
        # What knows time zones takes 0.1 s, and most apps have no schedule.
        from taskmill.wire.schedule_requests import to_schedule  # noqa: PLC0415 - see above

        return to_schedule(dict(self.body))


def declared(name: str, options: ScheduleOptions, task: Mapping[str, Any]) -> DeclaredSchedule:
    """Return the schedule of a task type whose tasks have these options.

    Raises:
        ValueError: an option is not allowed.
    """
    template = {"name": name, "type": name, **task}
    fields = {key: _plain(key, value) for key, value in options.items()}
    made = DeclaredSchedule(name=name, body={**fields, "task": template})
    try:
        made.draft()
    except InvalidInput as error:
        raise ValueError(f"the schedule of type {name}: {error}") from None
    return made


def _plain(name: str, value: object) -> object:
    """Return an option as a request has it."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name} needs a time zone")
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(name, one) for one in value]
    return value
