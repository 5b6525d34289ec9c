"""What every endpoint works with, made once for each app."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from taskmill.operations.doctor import Doctor
from taskmill.operations.feed import Feed
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.manual_fires import ManualFires
from taskmill.operations.pull import Pull
from taskmill.operations.quotas import StreamQuota
from taskmill.operations.schedules import Schedules
from taskmill.operations.scheduling import scheduling
from taskmill.operations.service import TaskService
from taskmill.operations.sessions import Sessions
from taskmill.operations.webhooks import Webhooks
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.runtime.body_memory import BodyLimits
from taskmill.runtime.clock import Clock
from taskmill.runtime.http_access import AccessRules
from taskmill.runtime.offload import Offload
from taskmill.runtime.page_limit import PageLimit
from taskmill.runtime.rate_limits import RateLimits
from taskmill.settings import FeedSettings, LimitSettings
from taskmill.wire.rules import InputLimits

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

NO_TELEMETRY: "Final[TelemetryConfig]" = {"tracing": False}
"""For the framework's apps: it would make spans of its own beside ours."""


@dataclass(slots=True, kw_only=True)
class Context:
    """The services, the access rules and the limits of requests.

    `drain` starts a worker for the waiting tasks; None where the process can't. `is_stopping` turns readiness off
    while the last requests are answered; streams of `feed` end then, and tell clients to resume after
    `stop_delay_s`. `warning_of` returns why nothing will be delivered to an address, if the settings of this
    process are those of the one that delivers.
    """

    service: TaskService
    doctor: Doctor
    feed: Feed
    pull: Pull
    webhooks: Webhooks
    feed_settings: FeedSettings
    limits: LimitSettings
    page_limit: PageLimit
    input_limits: InputLimits
    access: AccessRules
    body_limits: BodyLimits
    rate_limits: RateLimits
    stream_quota: StreamQuota
    schedule_quota: int
    drain: Callable[[], None] | None
    clock: Clock
    warning_of: Warnings = field(default_factory=lambda: Warnings(AddressRules()))
    is_stopping: bool = False
    stop_delay_s: float = 0.0

    keys: KeyVerifier | None = None
    """What verifies API keys; None where none are required."""
    has_dashboard: bool = False
    sessions: Sessions | None = None
    """Sessions of the dashboard; None where there is none, or no keys are required."""

    quick_limits: InputLimits = field(init=False)
    """The same limits for requests that the event loop reads itself."""

    schedules: Schedules = field(init=False)
    """Schedules, and what became of their ticks."""

    manual_fires: ManualFires = field(init=False)
    """What has schedules make tasks by hand."""

    def __post_init__(self) -> None:
        self.quick_limits = replace(self.input_limits, is_quick=True)
        self.schedules, self.manual_fires = scheduling(
            self.service, self.input_limits, quota=self.schedule_quota
        )

    @property
    def offload(self) -> Offload:
        """The thread that reads large bodies."""
        return self.service.offload
