"""The headers that say how many requests are left: those of draft-ietf-httpapi-ratelimit-headers-11.

`q` is what may be sent at once, and `w` after how many seconds it may be sent again; `r` is what is left, for `t`
seconds: then there is more.
"""

from math import ceil

from taskmill.domain.rate_limits import RateUsage

Header = tuple[bytes, bytes]


def rate_limit_headers(usage: RateUsage) -> tuple[Header, Header]:
    """Return the headers of a response to a client that has so many requests left."""
    policy = usage.policy
    name = f'"{policy.limited_by}"'
    allowed = f"{name};q={policy.burst};w={ceil(policy.window_s)}"
    left = f"{name};r={usage.left};t={ceil(usage.more_in_s)}"
    return (b"ratelimit-policy", allowed.encode()), (b"ratelimit", left.encode())
