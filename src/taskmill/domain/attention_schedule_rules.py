"""The rules of attention for schedules. What is wrong with one says `schedule_health`, as its page does."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import Final, assert_never

from taskmill.domain.attention import Facts, Notice, NoticeKind, Severity
from taskmill.domain.attention_snapshot import AttentionSnapshot, ScheduleState
from taskmill.domain.fires import Fire, FireCause, FireOutcome
from taskmill.domain.schedule_health import ScheduleTrouble, cadence, late_since, troubles

_KINDS: Final[Mapping[ScheduleTrouble, NoticeKind]] = {
    ScheduleTrouble.REQUEST: NoticeKind.SCHEDULE_REQUEST_REFUSED,
    ScheduleTrouble.UNREADABLE: NoticeKind.SCHEDULE_UNREADABLE,
    ScheduleTrouble.LATE: NoticeKind.SCHEDULE_LATE,
    ScheduleTrouble.REFUSED: NoticeKind.SCHEDULE_REFUSED,
    ScheduleTrouble.SLOW: NoticeKind.SCHEDULE_SLOW,
}
_CASES: Final[Mapping[ScheduleTrouble, str]] = {
    ScheduleTrouble.REQUEST: "refused",
    ScheduleTrouble.UNREADABLE: "unreadable",
    ScheduleTrouble.LATE: "late",
    ScheduleTrouble.REFUSED: "refused",
}


def schedule_notices(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    """Yield a notice for each trouble of a schedule."""
    for state in snapshot.schedules:
        found = troubles(state.schedule, state.fires, is_readable=state.is_readable)
        for trouble in found:
            yield _notice(snapshot, state, trouble)


def _notice(snapshot: AttentionSnapshot, state: ScheduleState, trouble: ScheduleTrouble) -> Notice:
    schedule, since = state.schedule, _since(state, trouble)
    case, facts = _case(state, trouble)
    return Notice(
        kind=_KINDS[trouble],
        case=case,
        severity=Severity.WARNING if trouble is ScheduleTrouble.SLOW else Severity.TROUBLE,
        subject=schedule.name,
        queue=schedule.content.queue,
        facts={
            "schedule": schedule.name,
            "span": snapshot.ago(since or snapshot.at),
            **facts,
        },
        since=since,
    )


def _since(state: ScheduleState, trouble: ScheduleTrouble) -> datetime | None:
    """Return since when it is so; None where nothing says that."""
    match trouble:
        case ScheduleTrouble.REQUEST:
            return None if state.schedule.request is None else state.schedule.request.asked_at
        case ScheduleTrouble.UNREADABLE | ScheduleTrouble.LATE:
            return late_since(state.schedule)
        case ScheduleTrouble.REFUSED:
            return _refused(state)[-1].tick
        case ScheduleTrouble.SLOW:
            return None
        case _:
            assert_never(trouble)


def _refused(state: ScheduleState) -> list[Fire]:
    """Return the latest ticks, since it was changed, that were refused one after another, the newest first."""
    changed_at = state.schedule.updated_at
    fires = (fire for fire in state.fires if fire.tick > changed_at)
    ticks = (fire for fire in fires if fire.cause is not FireCause.MANUAL)
    return list(takewhile(lambda fire: fire.outcome is FireOutcome.REFUSED, ticks))


def _case(state: ScheduleState, trouble: ScheduleTrouble) -> tuple[str, Facts]:
    if trouble is ScheduleTrouble.SLOW:
        return _slow(state)
    return _CASES[trouble], {"n": len(_refused(state))}


def _slow(state: ScheduleState) -> tuple[str, Facts]:
    found = cadence(state.schedule, state.fires)
    assert found is not None  # noqa: S101 - it is slow
    if found.real is None:
        return "none", {"n": found.ticks}
    return "slow", {"real": found.real, "asked": found.asked, "n": found.ticks}
