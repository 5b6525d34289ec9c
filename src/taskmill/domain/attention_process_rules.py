"""The rules of attention for processes: roles that nobody has any more, duties that fail, versions, clocks."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from taskmill.domain.attention import Notice, NoticeKind, Severity
from taskmill.domain.attention_snapshot import AttentionSnapshot, ProcessState
from taskmill.domain.system import Liveness

_FEWEST_FAILURES: Final = 3
_SKEW_S: Final = 5.0
# Workers have leases, and are counted by them; what needs no API is not missed.
_MISSED: Final = ("maintenance", "relay", "intake", "webhooks")


def process_notices(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    """Yield what concerns processes."""
    live = live_processes(snapshot.processes, snapshot.at)
    yield from _missing_roles(snapshot, live)
    yield from _failing_duties(live)
    yield from _versions(snapshot, live)
    yield from _clocks(live)


def live_processes(processes: Iterable[ProcessState], at: datetime) -> list[ProcessState]:
    """Return those that lived at a moment: they report once a minute."""
    return [one for one in processes if one.is_live(at)]


def _missing_roles(snapshot: AttentionSnapshot, live: Sequence[ProcessState]) -> Iterator[Notice]:
    alive = {role for one in live for role in one.roles}
    for role in _MISSED:
        had = [one for one in snapshot.processes if role in one.roles]
        if had and role not in alive:
            last = max(had, key=lambda one: one.seen_at)
            yield Notice(
                kind=NoticeKind.ROLE_MISSING,
                case="missing",
                severity=Severity.TROUBLE,
                subject=role,
                facts={"role": role, "process": last.name, "span": snapshot.ago(last.seen_at)},
                since=last.seen_at,
            )


def _failing_duties(live: Sequence[ProcessState]) -> Iterator[Notice]:
    for process in live:
        for duty in process.failing:
            if duty.failures >= _FEWEST_FAILURES:
                yield Notice(
                    kind=NoticeKind.DUTY_FAILING,
                    case="failing",
                    severity=Severity.TROUBLE,
                    subject=f"{process.id} {duty.name}",
                    facts={
                        "duty": duty.name,
                        "process": process.name,
                        "n": duty.failures,
                        "error": duty.error,
                    },
                    since=process.seen_at - timedelta(seconds=duty.for_s),
                )


def _versions(snapshot: AttentionSnapshot, live: Sequence[ProcessState]) -> Iterator[Notice]:
    workers = [one for one in snapshot.workers if one.state is Liveness.ALIVE]
    versions = {one.version for one in workers if one.version} | {one.version for one in live}
    if len(versions) > 1:
        yield Notice(
            kind=NoticeKind.VERSIONS_DIFFER,
            case="processes",
            severity=Severity.WARNING,
            facts={"versions": sorted(versions)},
        )


def _clocks(live: Sequence[ProcessState]) -> Iterator[Notice]:
    for process in live:
        if abs(process.clock_ahead_s) >= _SKEW_S:
            is_ahead = process.clock_ahead_s > 0
            yield Notice(
                kind=NoticeKind.CLOCK_SKEW,
                case="ahead" if is_ahead else "behind",
                severity=Severity.WARNING,
                subject=process.name,
                facts={
                    "process": process.name,
                    "span": timedelta(seconds=abs(process.clock_ahead_s)),
                },
            )
