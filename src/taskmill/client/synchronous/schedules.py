"""The methods for schedules."""

from datetime import datetime
from typing import Unpack

from taskmill.client import schedules
from taskmill.client.schedules import SpecFields
from taskmill.client.synchronous.sending import Sender
from taskmill.wire.schedule_previews import SchedulePreviewView


class ScheduleCalls(Sender):
    """Schedules."""

    def preview_schedule(
        self,
        *,
        after: datetime | str | None = None,
        count: int | None = None,
        **spec: Unpack[SpecFields],
    ) -> SchedulePreviewView:
        """Show the next ticks that a schedule would have, after now unless told; nothing is stored."""
        return self._send(schedules.preview(spec, after, count))
