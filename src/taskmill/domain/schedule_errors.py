"""The errors about schedules, below `TaskmillError`."""

from taskmill.domain.errors import TaskmillError


class ScheduleNotFound(TaskmillError):
    """No schedule has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no schedule {name!r}")
        self.name = name


class ScheduleMismatch(TaskmillError):
    """The schedule is not as the caller knows it: it has another revision, or (None) is not there."""

    def __init__(self, name: str, revision: int | None) -> None:
        found = "is not there" if revision is None else f"has revision {revision}"
        super().__init__(f"schedule {name!r} {found}")
        self.name = name
        self.revision = revision


class ScheduleLimitReached(TaskmillError):
    """The limit of schedules is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are {limit} schedules already, and no more may be made")
        self.limit = limit
