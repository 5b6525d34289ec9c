"""The errors about jobs, below `TaskmillError`."""

from uuid import UUID

from taskmill.domain.errors import TaskmillError


class JobNotFound(TaskmillError):
    """No job has this id; one that is over is kept for 30 days."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class JobLimitReached(TaskmillError):
    """As many jobs go on as may; nothing was started."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} jobs go on already, and no more may: wait until one is over")
        self.limit = limit
