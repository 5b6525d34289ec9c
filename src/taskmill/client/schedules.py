"""The calls for schedules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict

from taskmill.client.calls import Call, sent
from taskmill.wire.schedule_previews import SchedulePreviewView


class SpecFields(TypedDict, total=False):
    """When a schedule has ticks: exactly one of `cron`, `every` (ISO 8601, such as `PT15M`) and `at`."""

    cron: str
    every: str
    at: Sequence[datetime | str]
    anchor: datetime | str | None
    zone: str
    gap: Literal["end", "skip"]
    fold: Literal["first", "last", "both"]
    starts_at: datetime | str | None
    ends_at: datetime | str | None
    jitter_s: float


def preview(
    spec: SpecFields, after: datetime | str | None, count: int | None
) -> Call[SchedulePreviewView]:
    """Show the next ticks that a schedule would have."""
    asked = {"after": after, "count": count}
    body = {**spec, **{name: value for name, value in asked.items() if value is not None}}
    return sent("POST", "/schedules/preview", body, SchedulePreviewView, repeatable=True)
