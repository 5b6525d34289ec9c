"""What both ends of HTTP write alike: media types, words of streams, times, entity tags.

It needs no library, so that clients can be installed without one.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

LINES_MEDIA_TYPE: Final = "application/x-ndjson"
PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
EVENT_STREAM: Final = "text/event-stream"
CHANGE: Final = "change"
"""The type of a change's event in a stream."""
LIVE: Final = "live"
"""The comment that a stream has reached the present."""


def format_timestamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC, always with six digits after the second: texts sort as times."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def format_duration(duration: timedelta) -> str:
    """Return an ISO 8601 duration of days, hours, minutes and seconds."""
    minutes, seconds = divmod(duration - timedelta(days=duration.days), timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    time = _part(hours, "H") + _part(minutes, "M") + _part(seconds.total_seconds(), "S")
    days = _part(duration.days, "D")
    return f"P{days}T{time}" if time else f"P{days or 'T0S'}"


def _part(number: float, unit: str) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".") + unit if number else ""


def etag(version: int, progress: int = 0) -> str:
    """Return the entity tag of a task or of a schedule, quotes included."""
    return f'"{version}.{progress}"'
