"""Quotas: how much of what all share one API key may have. `operations/quotas` checks them."""

from enum import StrEnum
from typing import Final, NamedTuple

from taskmill.domain.errors import InvalidInput, TaskmillError

MOST_WAITING: Final = 1_000_000
"""The highest quota of waiting tasks: to count them takes up to a second then."""


class Quota(StrEnum):
    """What is counted for each name of keys."""

    QUEUES = "queues"
    TYPES = "types"
    WEBHOOKS = "webhooks"
    STREAMS = "streams"
    SCHEDULES = "schedules"
    WAITING_TASKS = "waiting_tasks"
    WAITING_KIB = "waiting_kib"


class QuotaLimit(NamedTuple):
    """The most that one key may have, where that differs from the settings; 0 is any number."""

    quota: Quota
    most: int

    @classmethod
    def parse(cls, text: str) -> "QuotaLimit":
        """Read `queues=50`. Raises `InvalidInput`."""
        name, _, number = text.partition("=")
        is_number = number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER
        if name not in set(Quota) or not is_number:
            expected = f"one of {', '.join(Quota)}, and a number: queues=50"
            raise InvalidInput.at("/quota", expected, repr(text[:_LONGEST_SHOWN]))
        limit = cls(Quota(name), int(number))
        if limit.quota is Quota.WAITING_TASKS and limit.most > MOST_WAITING:
            raise InvalidInput.at("/quota", f"at most {MOST_WAITING:,} waiting tasks", number)
        return limit

    def __str__(self) -> str:
        return f"{self.quota}={self.most}"


class Owner(NamedTuple):
    """Whose something is: the name of an API key, and its limits that differ from the settings."""

    name: str
    limits: tuple[QuotaLimit, ...] = ()

    def most(self, quota: Quota, usual: int) -> int | None:
        """Return the most that it may have, given that of the settings; None: any number."""
        found = next((limit.most for limit in self.limits if limit.quota is quota), usual)
        return found or None


class QuotaExceeded(TaskmillError):
    """The API key has as much as it may have; `retry_after_s` is None where waiting alone changes nothing."""

    def __init__(self, quota: Quota, limit: int, retry_after_s: float | None = None) -> None:
        super().__init__(
            f"this API key has {limit} {_MEANINGS[quota]} already, its quota of {quota}"
        )
        self.quota = quota
        self.limit = limit
        self.retry_after_s = retry_after_s


_LONGEST_NUMBER = 9
_LONGEST_SHOWN = 40
_MEANINGS = {
    Quota.QUEUES: "queues that its tasks made",
    Quota.TYPES: "types without a worker and a contract, whose tasks wait,",
    Quota.WEBHOOKS: "webhooks",
    Quota.STREAMS: "open streams",
    Quota.SCHEDULES: "schedules",
    Quota.WAITING_TASKS: "or more waiting tasks",
    Quota.WAITING_KIB: "KiB or more in waiting tasks",
}
