"""The filter of the list of tasks: from a query and back, with a complaint about each invalid value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from taskmill.dashboard.form import every, first
from taskmill.dashboard.ids import find_id
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import TaskFilter
from taskmill.domain.task_fields import HIGHEST_PRIORITY
from taskmill.domain.waiting import WaitingState
from taskmill.wire.fields import is_name, parse_timestamp

Pairs = list[tuple[str, str]]

SINCE: Final = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
"""Time windows that end now."""

SOURCES: Final = ("rest", "amqp", "sql", "schedule")
"""Where tasks come from."""

ROWS: Final = (50, 100, 200)
"""How many tasks a page may have; the first is usual."""

_LOCAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)
_WITHOUT_SECONDS = 16
PRIORITIES: Final = tuple(str(one) for one in range(HIGHEST_PRIORITY, -1, -1))
"""The most urgent first."""

CHOSEN: Final = ("queue", "type", "worker")
"""What is chosen from values that have to be read first."""

_UNINDEXED = ("source", "priority", "took_over", "attempts_over")
_SINGLE = (
    *("waiting", "queue", "type", "name", "error", "worker"),
    *("since", "created_after", "created_before"),
    *_UNINDEXED,
)
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(ms|s|min|h|d)?", re.ASCII)
_MOST_UNITS = 10**6
_UNITS_S = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_ATTEMPTS = re.compile(r"[0-9]{1,6}", re.ASCII)
_LONGEST_NAME = 200
_LONGEST_LABEL = 320
_LONGEST_ERROR = 304
_MOST_LABELS = 10


@dataclass(slots=True, kw_only=True)
class Filters:
    """The requested filter. `complaints` map fields to the text to show: `filter.bad.TEXT`.

    The page begins after the id `after`, or ends before the id `before`; at most one of them is set.
    `scans_longer` is whether to scan more tasks than a page usually does.
    """

    statuses: frozenset[Status] = frozenset()
    waiting: str = ""
    queue: str = ""
    type: str = ""
    labels: tuple[str, ...] = ()
    name: str = ""
    since: str = ""
    created_after: str = ""
    created_before: str = ""
    error: str = ""
    worker: str = ""
    source: str = ""
    priority: str = ""
    took_over: str = ""
    attempts_over: str = ""
    oldest_first: bool = False
    rows: int = ROWS[0]
    after: UUID | None = None
    before: UUID | None = None
    scans_longer: bool = False
    complaints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Pairs) -> "Filters":
        """Parse a query; an invalid value stays as it is, and gets a complaint."""
        filters = cls(
            waiting=first(query, "waiting"),
            queue=first(query, "queue"),
            type=first(query, "type"),
            labels=tuple(every(query, "label")),
            name=first(query, "name"),
            since=first(query, "since"),
            created_after=_local(first(query, "created_after")),
            created_before=_local(first(query, "created_before")),
            error=next((value for key, value in query if key == "error"), ""),
            worker=first(query, "worker"),
            source=first(query, "source"),
            priority=first(query, "priority"),
            took_over=first(query, "took_over"),
            attempts_over=first(query, "attempts_over"),
            oldest_first=first(query, "order") == "asc",
            scans_longer=first(query, "scan") == "longer",
        )
        filters._read_statuses(every(query, "status"))
        filters._read_rows(first(query, "rows"))
        filters._read_position(first(query, "after"), first(query, "before"))
        filters.complaints |= filters._complaints()
        return filters

    def _read_statuses(self, given: list[str]) -> None:
        known = {str(status) for status in Status}
        self.statuses = frozenset(Status(one) for one in given if one in known)
        if not known.issuperset(given):
            self.complaints["status"] = "status"

    def _read_rows(self, given: str) -> None:
        known = {str(number): number for number in ROWS}
        self.rows = known.get(given, ROWS[0])
        if given and given not in known:
            self.complaints["rows"] = "rows"

    def _read_position(self, after: str, before: str) -> None:
        self.after, self.before = find_id(after), find_id(before)
        if (after and self.after is None) or (before and self.before is None) or (after and before):
            self.complaints["page"] = "page"

    def _complaints(self) -> dict[str, str]:
        keys = [label.partition("=")[0] for label in self.labels]
        bad = {
            "waiting": self.waiting and self.waiting not in set(WaitingState) and "waiting",
            "queue": self.queue and not is_name(self.queue) and "name",
            "type": self.type and not is_name(self.type) and "name",
            "label": (
                not all("=" in label[1:] and len(label) <= _LONGEST_LABEL for label in self.labels)
                or len(set(keys)) < len(keys)
                or len(keys) > _MOST_LABELS
            )
            and "label",
            "name": len(self.name) > _LONGEST_NAME and "text",
            "error": len(self.error) > _LONGEST_ERROR and "error",
            "worker": self.worker and not find_id(self.worker) and "worker",
            "source": self.source and self.source not in SOURCES and "source",
            "priority": self.priority and self.priority not in PRIORITIES and "priority",
            "took_over": self.took_over and _duration(self.took_over) is None and "duration",
            "attempts_over": self.attempts_over
            and not _ATTEMPTS.fullmatch(self.attempts_over)
            and "attempts",
            "since": self.since and self.since not in SINCE and "since",
            "created_after": self.created_after and not _moment(self.created_after) and "time",
            "created_before": self.created_before and not _moment(self.created_before) and "time",
        }
        return {name: why for name, why in bad.items() if why}

    def wanted(self, now: datetime, usual: frozenset[Status] = frozenset()) -> TaskFilter:
        """Return the filter of tasks, with `usual` statuses when none is named; only without complaints."""
        after = _moment(self.created_after)
        if self.since:
            begin = now - SINCE[self.since]
            after = begin if after is None else max(after, begin)
        return TaskFilter(
            statuses=self.statuses or usual,
            queue=self.queue or None,
            type=self.type or None,
            labels=tuple(
                sorted(
                    (key, value) for key, _, value in (one.partition("=") for one in self.labels)
                )
            ),
            name=self.name or None,
            waiting=WaitingState(self.waiting) if self.waiting else None,
            created_after=after,
            created_before=_moment(self.created_before),
            error=self.error or None,
            lease=find_id(self.worker),
            source=self.source or None,
            priority=int(self.priority) if self.priority else None,
            took_over=_duration(self.took_over),
            attempts_over=int(self.attempts_over) if self.attempts_over else None,
        )

    @property
    def pairs(self) -> Pairs:
        """The query for the same tasks, from the first page on."""
        return list(self._pairs())

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for status in Status:
            if status in self.statuses:
                yield "status", status
        yield from (("label", label) for label in self.labels)
        for name in _SINGLE:
            if value := getattr(self, name):
                yield name, value
        if self.oldest_first:
            yield "order", "asc"
        if self.rows != ROWS[0]:
            yield "rows", str(self.rows)

    @property
    def in_other_order(self) -> Pairs:
        """The query for the same tasks in the opposite order."""
        others = [pair for pair in self.pairs if pair[0] != "order"]
        return others if self.oldest_first else [*others, ("order", "asc")]

    def with_rows(self, rows: int) -> Pairs:
        """Return the same query with so many tasks on a page."""
        others = [pair for pair in self.pairs if pair[0] != "rows"]
        return others if rows == ROWS[0] else [*others, ("rows", str(rows))]

    @property
    def chosen(self) -> Pairs:
        """The query for the values to choose from: those that are chosen."""
        return [pair for pair in self.pairs if pair[0] in CHOSEN]

    def toggled(self, status: Status) -> frozenset[Status]:
        """Return the statuses with one added or removed."""
        return self.statuses ^ {status}

    def with_only(self, statuses: frozenset[Status]) -> Pairs:
        """Return the same query with other statuses; what new tasks wait for is left out."""
        others = [(name, value) for name, value in self.pairs if name not in {"status", "waiting"}]
        return [("status", str(status)) for status in Status if status in statuses] + others

    def waiting_for(self, state: WaitingState) -> Pairs:
        """Return the same query for new tasks that wait for something; for all new ones if it is that already."""
        only_new = self.with_only(frozenset({Status.NEW}))
        return only_new if self.waiting == state else [*only_new, ("waiting", str(state))]

    @property
    def has_index(self) -> bool:
        """Whether matching tasks are found without scanning others."""
        rare = (self.labels, self.name, self.worker, self.waiting)
        return not (any(rare) or self.has_unindexed)

    @property
    def has_unindexed(self) -> bool:
        """Whether it filters by what no index has."""
        return any(getattr(self, name) for name in _UNINDEXED)

    @property
    def is_empty(self) -> bool:
        """Whether every task matches."""
        return not [pair for pair in self.pairs if pair[0] not in {"order", "rows"}]

    @property
    def is_rare(self) -> bool:
        """Whether it filters by more than status, name and the recent past."""
        return bool(
            self.queue
            or self.type
            or self.labels
            or self.error
            or self.worker
            or self.created_after
            or self.created_before
            or self.has_unindexed
        )


def _duration(text: str) -> timedelta | None:
    """Parse a length of time: a number with a unit, or of seconds; None when it is none."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    return timedelta(seconds=float(found[1]) * _UNITS_S[found[2] or "s"])


def duration_text(length: timedelta) -> str:
    """Return a length of time as `Filters` reads it."""
    seconds = length.total_seconds()
    unit = next(name for name in ("s", "min", "h", "d") if seconds / _UNITS_S[name] < _MOST_UNITS)
    return f"{seconds / _UNITS_S[unit]:.3f}".rstrip("0").rstrip(".") + unit


def _local(text: str) -> str:
    """Convert a time with a zone to UTC without one, as a form's field requires."""
    if _LOCAL_TIME.fullmatch(text) or (found := _moment(text)) is None:
        return text
    return found.strftime("%Y-%m-%dT%H:%M:%S")


def _moment(text: str) -> datetime | None:
    """Parse a time with a zone, or one in UTC without; None when it is neither."""
    if not text:
        return None
    if _LOCAL_TIME.fullmatch(text):
        text += ":00Z" if len(text) == _WITHOUT_SECONDS else "Z"
    try:
        return parse_timestamp(text).astimezone(UTC)
    except ValueError:
        return None
