"""Values of rate limits: what is allowed, and what is left of it. `runtime/rate_limits` counts."""

from enum import StrEnum
from typing import NamedTuple

from taskmill.domain.errors import TaskmillError


class LimitedBy(StrEnum):
    """What a request counts for."""

    KEY = "key"
    ADDRESS = "address"


class RatePolicy(NamedTuple):
    """So many requests at once, and again when so many seconds have passed without any."""

    limited_by: LimitedBy
    burst: int
    window_s: float


class RateUsage(NamedTuple):
    """How many requests are left at once, and after how many seconds there are more."""

    policy: RatePolicy
    left: int
    more_in_s: float


class RateLimitExceeded(TaskmillError):
    """The API key, or the address, has sent too many requests to this process; nothing was done."""

    def __init__(self, usage: RateUsage) -> None:
        policy = usage.policy
        whose = "this API key" if policy.limited_by is LimitedBy.KEY else "this address"
        super().__init__(
            f"{whose} may send {policy.burst} requests at once, and {policy.burst / policy.window_s:g} a second "
            f"in the long run, to each process: try again in {usage.more_in_s:.3g} s"
        )
        self.usage = usage
        self.retry_after_s = usage.more_in_s
