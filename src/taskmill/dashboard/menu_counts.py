"""The counts in the menu: how much needs attention on the page of each entry."""

from collections.abc import Mapping
from typing import Final

from taskmill.dashboard.navigation import FAILURES, REJECTIONS, SCHEDULES, WEBHOOKS, WORKERS
from taskmill.domain.attention import Attention, NoticeKind

_COUNTED: Final[Mapping[str, tuple[NoticeKind, ...]]] = {
    FAILURES.name: (
        NoticeKind.FAILURES_UP,
        NoticeKind.FAILING,
        NoticeKind.ERROR_CAME_BACK,
        NoticeKind.NEW_ERROR,
        NoticeKind.LOSSES_EXHAUSTED,
        NoticeKind.EXPIRIES,
    ),
    WORKERS.name: (
        NoticeKind.NO_WORKERS,
        NoticeKind.WORKER_LOST,
        NoticeKind.WORKER_SILENT,
        NoticeKind.WORKER_STOPPING,
        NoticeKind.SLOTS_FULL,
        NoticeKind.VERSIONS_DIFFER,
        NoticeKind.NO_MAINTENANCE,
    ),
    SCHEDULES.name: (
        NoticeKind.SCHEDULE_REFUSED,
        NoticeKind.SCHEDULE_REQUEST_REFUSED,
        NoticeKind.SCHEDULE_UNREADABLE,
        NoticeKind.SCHEDULE_LATE,
        NoticeKind.SCHEDULE_SLOW,
    ),
    WEBHOOKS.name: (
        NoticeKind.WEBHOOK_FAILING,
        NoticeKind.DELIVERIES_LATE,
        NoticeKind.DELIVERIES_UNREAD,
    ),
}


def menu_counts(attention: Attention | None) -> dict[str, int]:
    """Return the counts in the menu by the name of their entry; those of 0 are left out."""
    if attention is None:
        return {}
    counts = {name: attention.count_of(*kinds) for name, kinds in _COUNTED.items()}
    counts[REJECTIONS.name] = sum(
        number
        for one in attention.active
        if one.kind is NoticeKind.REFUSED and isinstance(number := one.facts["n"], int)
    )
    return {name: count for name, count in counts.items() if count}
