"""What charts mark: when queues were paused, and when workers started, maybe with a new version, or were lost."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from taskmill.domain.levels import WorkerSpan

MOST: Final = 40
"""So many of the latest marks are shown."""


class MarkKind(StrEnum):
    """What happened."""

    PAUSED = "paused"
    RESUMED = "resumed"
    STARTED = "started"
    DEPLOYED = "deployed"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """When it happened first within a step, to how many, and to which one of them; with a deployed version."""

    at: datetime
    kind: MarkKind
    number: int
    name: str
    version: str | None = None


def worker_marks(spans: Iterable[WorkerSpan], *, step: timedelta) -> list[Mark]:
    """Return when workers started and were lost: one mark for all of a kind and a version within a step."""
    found: dict[tuple[int, MarkKind, str | None], Mark] = {}
    for one in _each(sorted(spans, key=lambda span: span.started_at)):
        key = (int(one.at.timestamp() // step.total_seconds()), one.kind, one.version)
        known = found.get(key)
        found[key] = one if known is None else _joined(known, one)
    return list(found.values())


def latest(marks: Iterable[Mark], *, since: datetime, until: datetime) -> list[Mark]:
    """Return the latest marks within a time, in order."""
    return sorted((one for one in marks if since <= one.at < until), key=lambda one: one.at)[-MOST:]


def _each(spans: Sequence[WorkerSpan]) -> Iterator[Mark]:
    """Yield the marks of single workers. A version is a new one if none that started before has it."""
    versions: set[str] = set()
    for one in spans:
        is_new = one.version is not None and bool(versions) and one.version not in versions
        if one.version is not None:
            versions.add(one.version)
        yield Mark(
            at=one.started_at,
            kind=MarkKind.DEPLOYED if is_new else MarkKind.STARTED,
            number=1,
            name=one.name,
            version=one.version if is_new else None,
        )
        if one.is_lost and one.ended_at is not None:
            yield Mark(at=one.ended_at, kind=MarkKind.LOST, number=1, name=one.name)


def _joined(one: Mark, other: Mark) -> Mark:
    return Mark(
        at=min(one.at, other.at),
        kind=one.kind,
        number=one.number + other.number,
        name=one.name,
        version=one.version,
    )
