"""A week, by which tasks are kept in partitions and archived. Without a driver: commands on files use it, too."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from taskmill.domain import identity

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """A Monday, 00:00 UTC, and the ids of the seven days from it."""

    start: datetime

    @classmethod
    def of(cls, moment: datetime) -> "Week":
        """Return the week that `moment` lies in."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(start=day - timedelta(days=day.weekday()))

    @classmethod
    def starting(cls, monday: date) -> "Week":
        """Return the week that begins with this day."""
        return cls(start=datetime(monday.year, monday.month, monday.day, tzinfo=UTC))

    def later(self, weeks: int) -> "Week":
        """Return the week that begins `weeks` later."""
        return Week(start=self.start + weeks * _WEEK)

    @property
    def monday(self) -> date:
        """Its first day, as in `task_week_count`."""
        return self.start.date()

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.start + _WEEK

    @property
    def bounds(self) -> tuple[UUID, UUID]:
        """The first id in the week, and the first one after it."""
        return identity.lower_bound(self.start), identity.lower_bound(self.end)

    @property
    def suffix(self) -> str:
        """Its ISO year and week, as in `task_2026w48`."""
        year, week, _ = self.start.isocalendar()
        return f"{year}w{week:02}"
