"""Time zones and their clock changes, from the package `tzdata` alone: all processes have the same ones.

What the operating system knows about zones is not read, so that an update of it moves no tick.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from tzdata import IANA_VERSION

TZ_VERSION: Final[str] = IANA_VERSION
"""The release of the time zone database, such as `2026f`."""

_STEP: Final = timedelta(days=4)
_LONGEST_NAME: Final = 64  # what is longer resembles none
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """At `at` (UTC) a zone's offset becomes `after`, where it was `before`."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Whether local times are left out; else some are repeated."""
        return self.after > self.before

    @property
    def size(self) -> timedelta:
        """How much local time is left out or repeated."""
        return abs(self.after - self.before)

    @property
    def local_start(self) -> datetime:
        """The first local time that is left out or repeated, without an offset."""
        return self.at.replace(tzinfo=None) + min(self.before, self.after)

    @property
    def local_end(self) -> datetime:
        """The end of what is left out or repeated, without an offset."""
        return self.local_start + self.size


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


def nearest_zone(name: str) -> str | None:
    """Return the name of the zone that looks most like this one, if any does."""
    by_name = {known.lower(): known for known in sorted(zone_names())}
    by_city = {lower.rpartition("/")[2]: known for lower, known in by_name.items()}
    known = {**by_city, **by_name}
    near = get_close_matches(name[:_LONGEST_NAME].lower(), known)
    return known[near[0]] if near else None


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return a zone; `name` is one of `zone_names`."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@lru_cache(maxsize=4096)
def changes_in(name: str, year: int) -> tuple[ClockChange, ...]:
    """Return a zone's clock changes in a year of UTC, ascending.

    What cancels each other within four days would not be seen: no zone has any such changes since 2000.
    """
    zone = zone_of(name)
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    moments = (*(start + _STEP * n for n in range((end - start) // _STEP)), end)
    offsets = [(moment, offset_at(zone, moment)) for moment in moments]
    return tuple(
        _change_between(zone, before, after)
        for (before, old), (after, new) in pairwise(offsets)
        if old != new
    )


def offset_at(zone: ZoneInfo, moment: datetime) -> timedelta:
    """Return what a zone's local time is ahead of UTC."""
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - a ZoneInfo always has one
    return offset


def _change_between(zone: ZoneInfo, before: datetime, after: datetime) -> ClockChange:
    """Return the change in (before, after], to the second."""
    old, new = offset_at(zone, before), offset_at(zone, after)
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if offset_at(zone, middle) == old:
            before = middle
        else:
            after = middle
    return ClockChange(at=after, before=old, after=new)
