"""Schedules as they are stored, and fires of them, that tests make up."""

from datetime import UTC, datetime, timedelta
from typing import Any

from taskmill.domain.fires import Fire, FireCause, FireOutcome, ScheduleContent, StoredSchedule
from taskmill.domain.schedule_requests import ScheduleRequest

NOW = datetime(2030, 1, 31, 9, 0, 30, tzinfo=UTC)
MADE = datetime(2029, 1, 1, tzinfo=UTC)


def a_schedule(**parts: Any) -> StoredSchedule:  # noqa: ANN401 - the facts of a schedule
    """A schedule that is a year old, and as far as it can be."""
    facts: dict[str, Any] = {
        "id": 7,
        "name": "nightly",
        "revision": 1,
        "content": ScheduleContent(spec="{}", task="{}", queue="reports", type="report"),
        "created_at": MADE,
        "updated_at": MADE,
        "cursor_at": NOW,
        "next_at": NOW + timedelta(hours=1),
        "held_tick": None,
        "last_task_id": None,
        "paused_at": None,
        "tz_version": "x",
        "moment": NOW,
    }
    return StoredSchedule(**{**facts, **parts})


def a_fire(back: float, outcome: FireOutcome = FireOutcome.CREATED, **parts: Any) -> Fire:  # noqa: ANN401 - its facts
    """What became of a tick so many minutes ago."""
    facts: dict[str, Any] = {"schedule_id": 7, "cause": FireCause.TICK}
    tick = NOW - timedelta(minutes=back)
    return Fire(tick=tick, outcome=outcome, **{**facts, **parts})


def a_request(problem: str | None = None) -> ScheduleRequest:
    """What SQL has asked for; with a problem it was refused."""
    return ScheduleRequest(
        id=1,
        name="nightly",
        body="{}",
        queue="reports",
        type="report",
        replaced_queue=None,
        paused=None,
        asked_by="app",
        asked_at=NOW,
        problem=problem,
    )
