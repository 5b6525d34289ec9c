"""What every page works with, made once for each process."""

from dataclasses import dataclass, field

from taskmill.dashboard.jobs import Jobs
from taskmill.dashboard.kept import Kept
from taskmill.domain.activity import Activity, QueueActivity
from taskmill.domain.failures import Failures
from taskmill.domain.system import Stats
from taskmill.operations.pulse import Pulse
from taskmill.operations.service import TaskService
from taskmill.runtime.clock import Clock
from taskmill.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The service, the pulse, the jobs that run in the background, settings and clock."""

    service: TaskService
    pulse: Pulse
    jobs: Jobs
    settings: Settings
    clock: Clock
    stats: Kept[Stats] = field(default_factory=Kept)
    activities: Kept[Activity] = field(default_factory=Kept)
    queue_activities: Kept[QueueActivity] = field(default_factory=Kept)
    failures: Kept[Failures] = field(default_factory=Kept)

    @property
    def prefix(self) -> str:
        """The path below which browsers find the dashboard, without a slash at its end."""
        return self.settings.dashboard.path_prefix
