"""The request to preview a schedule, and how its response is made."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from taskmill.domain.schedules.preview import DEFAULT_COUNT, Preview, PreviewedTick, preview
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.words import in_words
from taskmill.domain.schedules.zones import TZ_VERSION, ClockChange
from taskmill.wire import fields
from taskmill.wire.basics import format_timestamp
from taskmill.wire.encoding import encode_json
from taskmill.wire.fields import Expected
from taskmill.wire.rules import DEFAULT_LIMITS, InputLimits
from taskmill.wire.schedule_requests import PutSchedule, checked, checked_template

MOST_PREVIEWED: Final = 100

_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)


class PreviewSchedule(PutSchedule):
    """A request to see the ticks that a schedule would have: that to store it, of which `task` may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cron": "30 2 * * *",
                    "zone": "Europe/Berlin",
                    "after": "2026-10-24T00:00:00Z",
                    "count": 3,
                }
            ]
        },
    )

    task: Annotated[dict[str, Any], Expected("an object: the body of POST /tasks")] = Field(
        default_factory=dict,
        description="what a task of it looks like, checked as it is when the schedule is stored",
    )
    after: fields.RequestedTime | None = Field(
        default=None, description="all ticks are after it; null for now"
    )
    count: Annotated[
        int,
        Field(ge=1, le=MOST_PREVIEWED),
        Expected(f"a whole number from 1 to {MOST_PREVIEWED}", reveal=True),
    ] = Field(default=DEFAULT_COUNT, description="how many ticks")


def preview_json(body: object, now: datetime, *, limits: InputLimits = DEFAULT_LIMITS) -> bytes:
    """Return the preview that a parsed body asks for, as a `SchedulePreviewView` in JSON.

    Raises:
        InvalidInput: It asks for none, or the schedule would be refused; all that is wrong is named.
    """
    _, found = checked_template(body, limits)
    wanted, spec = checked(PreviewSchedule, body, found)
    return encode_json(_fields(spec, preview(spec, wanted.after or now, wanted.count)))


def _fields(spec: ScheduleSpec, found: Preview) -> dict[str, object]:
    return {
        "words": in_words(spec),
        "zone": spec.zone,
        "tz_version": TZ_VERSION,
        "ticks": [_tick(tick) for tick in found.ticks],
        "clock_changes": [_change(change) for change in found.changes],
    }


def _tick(previewed: PreviewedTick) -> dict[str, object]:
    return {
        "tick": format_timestamp(previewed.tick.at),
        "local": previewed.local.isoformat(),
        "note": previewed.note,
    }


def _change(change: ClockChange) -> dict[str, object]:
    return {
        "at": format_timestamp(change.at),
        "kind": "gap" if change.is_gap else "fold",
        "local_from": _local(change.local_start),
        "local_until": _local(change.local_end),
        "offset_before": _offset(change.before),
        "offset_after": _offset(change.after),
    }


def _local(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _offset(offset: timedelta) -> str:
    """Return an offset from UTC: `+05:45`."""
    hours, rest = divmod(abs(offset), _HOUR)
    return f"{'-' if offset < timedelta() else '+'}{hours:02}:{rest // _MINUTE:02}"
