"""What every page works with, made once for each process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from starlette.responses import Response

from taskmill.dashboard.login_limit import LoginLimit
from taskmill.domain.activity import Activity, QueueActivity
from taskmill.domain.doctor import DoctorReport
from taskmill.domain.failures import FailurePage
from taskmill.domain.levels import CountedActivity, FailedGroups, WorkerSpans
from taskmill.domain.schedule_days import ScheduleDay
from taskmill.domain.system import Stats
from taskmill.domain.system_report import SystemReport
from taskmill.operations.change_ticker import ChangeTicker
from taskmill.operations.doctor import Doctor
from taskmill.operations.feed import Feed
from taskmill.operations.manual_fires import ManualFires
from taskmill.operations.quick_search import QuickSearch
from taskmill.operations.quotas import StreamQuota
from taskmill.operations.schedules import Schedules
from taskmill.operations.scheduling import scheduling
from taskmill.operations.service import TaskService
from taskmill.operations.sessions import Sessions
from taskmill.operations.webhooks import Webhooks
from taskmill.runtime.clock import Clock
from taskmill.runtime.ttl_cache import TtlCache
from taskmill.settings import Settings
from taskmill.wire.rules import InputLimits


@dataclass(slots=True, kw_only=True)
class Context:
    """The service, the change ticker, the doctor, settings, clock and caches.

    `sessions` is None where no keys are required: then whoever reaches a page may do everything. `input_limits`
    are those of requests to create tasks, with the contracts in force. `warning_of` returns why nothing will be
    delivered to an address, if the settings of this process are those of the one that delivers.
    """

    service: TaskService
    webhooks: Webhooks
    feed: Feed
    change_ticker: ChangeTicker
    doctor: Doctor
    settings: Settings
    clock: Clock
    warning_of: Callable[[str], str | None]
    sessions: Sessions | None = None
    login_limit: LoginLimit = field(default_factory=LoginLimit)
    stats: TtlCache[Stats] = field(default_factory=TtlCache)
    activities: TtlCache[Activity] = field(default_factory=TtlCache)
    counted_activities: TtlCache[CountedActivity] = field(default_factory=TtlCache)
    queue_activities: TtlCache[QueueActivity] = field(default_factory=TtlCache)
    oldest_due: TtlCache[Mapping[str, datetime | None]] = field(default_factory=TtlCache)
    failed_groups: TtlCache[FailedGroups] = field(default_factory=TtlCache)
    worker_spans: TtlCache[WorkerSpans] = field(default_factory=TtlCache)
    reports: TtlCache[SystemReport] = field(default_factory=TtlCache)
    examinations: TtlCache[DoctorReport] = field(default_factory=TtlCache)
    failures: TtlCache[FailurePage] = field(default_factory=TtlCache)
    schedule_days: TtlCache[list[ScheduleDay]] = field(default_factory=TtlCache)
    limited_pages: dict[tuple[object, ...], tuple[float, Response]] = field(default_factory=dict)
    """The pages for requests too many, by kinds of readers, which are few, and until when they are shown."""
    stream_quota: StreamQuota = field(init=False)
    input_limits: InputLimits = field(init=False)
    quick_search: QuickSearch = field(init=False)
    schedules: Schedules = field(init=False)
    manual_fires: ManualFires = field(init=False)

    def __post_init__(self) -> None:
        limits = self.settings.limits
        self.quick_search = QuickSearch(self.service)
        self.stream_quota = StreamQuota(self.settings.quotas.streams)
        self.input_limits = InputLimits(
            labels=limits.labels,
            hops=limits.hops,
            idempotency_key_chars=limits.idempotency_key_chars,
            contracts=self.service.contracts.by_type,
        )
        self.schedules, self.manual_fires = scheduling(
            self.service, self.input_limits, quota=self.settings.quotas.schedules
        )

    @property
    def prefix(self) -> str:
        """The path below which browsers find the dashboard, without a slash at its end."""
        return self.settings.dashboard.path_prefix
