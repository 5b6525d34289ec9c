"""What the client returns of `taskmill.wire.schedule_previews`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from taskmill.client.view import View

if TYPE_CHECKING:
    from taskmill.domain.schedules.spec import ClockNote

IMPORTED_LATER = {"ClockNote": "taskmill.domain.schedules.spec"}


class ClockChangeView(View):
    """A clock change of a zone."""

    at: datetime
    kind: Literal["gap", "fold"]
    """gap: local times are left out; fold: they come twice"""
    local_from: str
    """the first local time that is left out or comes twice"""
    local_until: str
    """the first local time after these"""
    offset_before: str
    """what local time was ahead of UTC before"""
    offset_after: str
    """and is from then on"""


class PreviewedTickView(View):
    """A tick that a schedule would have."""

    tick: datetime
    local: str
    """the same in the schedule's zone, with its offset"""
    note: ClockNote | None
    """
    after_gap: it stands for times that a clock change leaves out; skipped_gap: so it does, and gets no task;
    fold_first, fold_last: its local time comes twice, and this is the first time, or the last
    """


class SchedulePreviewView(View):
    """The next ticks of a schedule, and the clock changes until the last of them."""

    words: str
    """when it has ticks, in English, which may change"""
    zone: str
    tz_version: str
    """the release of the time zone database"""
    ticks: list[PreviewedTickView]
    """ascending; fewer if the schedule ends"""
    clock_changes: list[ClockChangeView]
