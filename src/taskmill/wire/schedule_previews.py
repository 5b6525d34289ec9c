"""A preview of a schedule as it is shown."""

from typing import Literal

from pydantic import BaseModel, Field

from taskmill.domain.schedules.spec import ClockNote
from taskmill.wire.fields import Timestamp


class PreviewedTickView(BaseModel):
    """A tick that a schedule would have."""

    tick: Timestamp
    local: str = Field(
        description="the same in the schedule's zone, with its offset",
        json_schema_extra={"format": "date-time"},
    )
    note: ClockNote | None = Field(
        description="after_gap: it stands for times that a clock change leaves out; skipped_gap: so it does, and "
        "gets no task; fold_first, fold_last: its local time comes twice, and this is the first time, or the last"
    )


class ClockChangeView(BaseModel):
    """A clock change of a zone."""

    at: Timestamp
    kind: Literal["gap", "fold"] = Field(
        description="gap: local times are left out; fold: they come twice"
    )
    local_from: str = Field(description="the first local time that is left out or comes twice")
    local_until: str = Field(description="the first local time after these")
    offset_before: str = Field(description="what local time was ahead of UTC before")
    offset_after: str = Field(description="and is from then on")


class SchedulePreviewView(BaseModel):
    """The next ticks of a schedule, and the clock changes until the last of them."""

    words: str = Field(description="when it has ticks, in English, which may change")
    zone: str
    tz_version: str = Field(description="the release of the time zone database")
    ticks: list[PreviewedTickView] = Field(description="ascending; fewer if the schedule ends")
    clock_changes: list[ClockChangeView]
