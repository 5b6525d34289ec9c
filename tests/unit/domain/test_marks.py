"""What charts mark: starts, new versions and losses of workers, each once within a step."""

from datetime import UTC, datetime, timedelta

from taskmill.domain.levels import WorkerSpan
from taskmill.domain.marks import MOST, Mark, MarkKind, latest, worker_marks

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC)
STEP = timedelta(minutes=1)


def at(seconds: int) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def span(
    name: str,
    started_s: int,
    *,
    version: str | None = "1",
    ended_s: int | None = None,
    is_lost: bool = False,
) -> WorkerSpan:
    return WorkerSpan(
        name=name,
        version=version,
        slots=1,
        started_at=at(started_s),
        ended_at=None if ended_s is None else at(ended_s),
        is_lost=is_lost,
    )


def test_workers_that_start_within_a_step_are_one_mark() -> None:
    found = worker_marks([span("b", 20), span("a", 10), span("c", 60)], step=STEP)
    assert found == [
        Mark(at=at(10), kind=MarkKind.STARTED, number=2, name="a"),
        Mark(at=at(60), kind=MarkKind.STARTED, number=1, name="c"),
    ]


def test_a_version_that_none_before_had_is_a_deploy() -> None:
    spans = [
        *(span("a", 0), span("b", 300, version="2"), span("c", 310, version="2")),
        *(span("d", 600, version="1"), span("e", 900, version=None)),
    ]
    found = worker_marks(spans, step=STEP)
    assert [(one.kind, one.number, one.version) for one in found] == [
        (MarkKind.STARTED, 1, None),
        (MarkKind.DEPLOYED, 1, "2"),
        (MarkKind.STARTED, 1, None),
        (MarkKind.STARTED, 1, None),
        (MarkKind.STARTED, 1, None),
    ]


def test_a_worker_that_was_lost_is_marked_and_one_that_stopped_is_not() -> None:
    spans = [span("a", 0, ended_s=100, is_lost=True), span("b", 1, ended_s=100)]
    found = worker_marks(spans, step=STEP)
    assert [(one.kind, one.at, one.number) for one in found] == [
        (MarkKind.STARTED, at(0), 2),
        (MarkKind.LOST, at(100), 1),
    ]


def test_only_the_latest_marks_within_the_span_are_shown_in_order() -> None:
    marks = [
        Mark(at=at(60 * minute), kind=MarkKind.PAUSED, number=1, name="q") for minute in range(90)
    ]
    found = latest(reversed(marks), since=at(0), until=at(60 * 60))
    assert found == marks[60 - MOST : 60]
