"""Examples of schedules for the OpenAPI document."""

from typing import Any, Final

from taskmill.domain.task_fields import TASK_FIELDS

Json = dict[str, Any]

_TASK_ID: Final = str(TASK_FIELDS["id"].example)
_SCHEDULE: Final[Json] = {
    "name": "nightly-report",
    "revision": 2,
    "cron": "30 2 * * *",
    "every": None,
    "at": None,
    "anchor": None,
    "zone": "Europe/Berlin",
    "gap": "end",
    "fold": "first",
    "starts_at": None,
    "ends_at": None,
    "jitter_s": 0.0,
    "catch_up": "latest",
    "within": "PT1H",
    "most": 100,
    "overlap": "skip",
    "task": {"name": "nightly report", "queue": "reports"},
    "paused": False,
    "paused_at": None,
    "next_tick": "2026-11-26T01:30:00.000000Z",
    "done_until": "2026-11-25T01:30:00.000000Z",
    "held_tick": None,
    "last_task_id": _TASK_ID,
    "managed_by": None,
    "undeclared_at": None,
    "request": None,
    "created_at": "2026-11-25T01:23:32.820000Z",
    "updated_at": "2026-11-25T01:23:32.820000Z",
}
_FIRE: Final[Json] = {
    "tick": "2026-11-25T01:30:00.000000Z",
    "until_tick": None,
    "ticks": 1,
    "cause": "tick",
    "outcome": "created",
    "task_id": _TASK_ID,
    "cancelled_task_id": None,
    "problem": None,
    "at": "2026-11-25T01:30:00.021000Z",
}

SCHEDULES: Final[dict[str, Json]] = {
    "ScheduleView": _SCHEDULE,
    "ScheduleList": {"items": [_SCHEDULE], "next_cursor": None},
    "FireView": _FIRE,
    "FireList": {"items": [_FIRE], "next_cursor": None},
    "BackfillView": {"ticks": [_FIRE["tick"]], "dry_run": True, "next_from": None},
}
"""An example for each model, by its name."""
