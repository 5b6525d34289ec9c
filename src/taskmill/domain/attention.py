"""What needs attention: notices with their stable kinds, and the verdict on all of them. They are values.

`attention_rules` decides which there are, `attention_texts` has their sentences.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType
from typing import Final
from uuid import UUID, uuid5

MOST_OF_A_KIND: Final = 20
"""So many notices of a kind are shown one by one; one more says how many others there are."""
MORE: Final = "more"
"""The case of the notice that stands for the others of its kind."""

_NAMESPACE: Final = UUID("7d3c5d0e-6b1f-5c39-9a41-2f8a6c1b0e57")


class NoticeKind(StrEnum):
    """What may need attention, in the order in which it is shown. Programs may rely on these names."""

    DATABASE_SLOW = "database_slow"
    DATABASE_UNWRITABLE = "database_unwritable"
    NO_MAINTENANCE = "no_maintenance"
    ROLE_MISSING = "role_missing"
    NO_WORKERS = "no_workers"
    BROKER_AWAY = "broker_away"
    UNSERVED = "unserved"
    BACKLOG_GROWING = "backlog_growing"
    LOSSES_EXHAUSTED = "losses_exhausted"
    WORKER_LOST = "worker_lost"
    WORKER_SILENT = "worker_silent"
    FAILURES_UP = "failures_up"
    FAILING = "failing"
    WEBHOOK_FAILING = "webhook_failing"
    DELIVERIES_LATE = "deliveries_late"
    DELIVERIES_UNREAD = "deliveries_unread"
    SCHEDULE_REFUSED = "schedule_refused"
    SCHEDULE_REQUEST_REFUSED = "schedule_request_refused"
    SCHEDULE_UNREADABLE = "schedule_unreadable"
    SCHEDULE_LATE = "schedule_late"
    DUTY_FAILING = "duty_failing"
    FEED_BEHIND = "feed_behind"
    FOLLOWER_BEHIND = "follower_behind"
    PARTITIONS_MISSING = "partitions_missing"
    LATE = "late"
    SLOTS_FULL = "slots_full"
    ERROR_CAME_BACK = "error_came_back"
    NEW_ERROR = "new_error"
    SCHEDULE_SLOW = "schedule_slow"
    EXPIRIES = "expiries"
    REFUSED = "refused"
    PAUSED = "paused"
    WORKER_STOPPING = "worker_stopping"
    OLD_SNAPSHOT = "old_snapshot"
    PARTITIONS_MANY = "partitions_many"
    VERSIONS_DIFFER = "versions_differ"
    CLOCK_SKEW = "clock_skew"


class Severity(StrEnum):
    """How bad it is: something does not work, or soon may not."""

    TROUBLE = "trouble"
    WARNING = "warning"


class MarkState(StrEnum):
    """What somebody said of a notice: it is known, until it ends; or it is not to be shown for some time."""

    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMark:
    """Who acknowledged or silenced a notice, when, until when if it ends by itself, and why."""

    state: MarkState
    by: str
    at: datetime
    until: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRecord:
    """What is stored of a notice: since when it has been there without a break, and its mark."""

    first_at: datetime
    mark: NoticeMark | None = None

    def without_note(self) -> "NoticeRecord":
        """Return it without what somebody wrote about it."""
        return replace(self, mark=self.mark and replace(self.mark, note=None))


Facts = Mapping[str, object]
_NONE: Final[Facts] = MappingProxyType({})
_KINDS: Final = tuple(NoticeKind)
_SEVERITIES: Final = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that needs attention.

    `subject` is what it is about; with the kind it stays the same as long as this lasts. `case` chooses the
    sentence, which has `facts` in it: texts, numbers, lengths of time, shares of 1, and lists of names. `tasks`,
    if any, is how many tasks it touches, or at least touches if there `are_more`. `count` is how many notices it
    stands for. `queue` is where the tasks are; None: it is about the whole service. One with a `mark` does not
    count.
    """

    kind: NoticeKind
    case: str
    severity: Severity
    subject: str = ""
    queue: str | None = None
    facts: Facts = field(default_factory=lambda: _NONE)
    since: datetime | None = None
    tasks: int | None = None
    are_more: bool = False
    count: int = 1
    mark: NoticeMark | None = None

    @property
    def id(self) -> UUID:
        """Its id: the same in every process, and after a restart."""
        return uuid5(_NAMESPACE, f"{self.kind} {self.subject}")

    @property
    def text(self) -> str:
        """The name of its sentence."""
        return f"{self.kind}.{self.case}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """All notices of one moment, the worst first; after them those with a mark, which count no more.

    When all is well, `well_since` is since when, if that is known.
    """

    at: datetime
    notices: Sequence[Notice]
    well_since: datetime | None = None

    @property
    def active(self) -> Sequence[Notice]:
        """Those that nobody has acknowledged or silenced."""
        return [one for one in self.notices if one.mark is None]

    @property
    def count(self) -> int:
        """How many things need attention."""
        return sum(one.count for one in self.active)

    @property
    def is_trouble(self) -> bool:
        """Whether something does not work."""
        return any(one.severity is Severity.TROUBLE for one in self.active)

    def count_of(self, *kinds: NoticeKind) -> int:
        """Return how many things of these kinds need attention."""
        return sum(one.count for one in self.active if one.kind in kinds)


def conclude(
    at: datetime,
    notices: Iterable[Notice],
    records: Mapping[UUID, NoticeRecord] = MappingProxyType({}),
    well_since: datetime | None = None,
) -> Attention:
    """Return the verdict on what was found, with what is stored of it."""
    known = with_records(notices, records)
    active = ordered(one for one in known if one.mark is None)
    marked = ordered(one for one in known if one.mark is not None)
    return Attention(at=at, notices=[*active, *marked], well_since=None if active else well_since)


def with_records(notices: Iterable[Notice], records: Mapping[UUID, NoticeRecord]) -> list[Notice]:
    """Return notices in the same order, each with what is stored of it."""
    return [_with_record(one, records.get(one.id)) for one in notices]


def _with_record(notice: Notice, record: NoticeRecord | None) -> Notice:
    if record is None:
        return notice
    return replace(notice, since=notice.since or record.first_at, mark=record.mark)


def ordered(notices: Iterable[Notice]) -> list[Notice]:
    """Return notices by severity and kind, each kind in its order and with few of its notices.

    None is left out silently: the last one of a kind may stand for others.
    """
    ranked = sorted(notices, key=_rank)
    groups = groupby(ranked, key=lambda one: one.kind)
    return sorted((one for _, group in groups for one in _few(list(group))), key=_order)


def _rank(notice: Notice) -> tuple[int, int]:
    return _KINDS.index(notice.kind), _SEVERITIES.index(notice.severity)


def _order(notice: Notice) -> tuple[int, int]:
    return _rank(notice)[::-1]


def _few(notices: list[Notice]) -> list[Notice]:
    """Return the notices of one kind, the last ones as one."""
    if len(notices) <= MOST_OF_A_KIND:
        return notices
    shown, others = notices[: MOST_OF_A_KIND - 1], notices[MOST_OF_A_KIND - 1 :]
    first = others[0]
    rest = Notice(
        kind=first.kind,
        case=MORE,
        severity=first.severity,
        subject=MORE,
        facts={"n": len(others)},
        since=min((one.since for one in others if one.since), default=None),
        tasks=_sum(others),
        are_more=any(one.are_more for one in others),
        count=len(others),
        mark=first.mark,
    )
    return [*shown, rest]


def _sum(notices: Iterable[Notice]) -> int | None:
    numbers = [one.tasks for one in notices if one.tasks is not None]
    return sum(numbers) if numbers else None
