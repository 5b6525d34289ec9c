"""What `taskmill.put_schedule` refuses at once: by lengths, ranges and words, and as `create_task` does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from tests.support.scheduling import Scheduler
from tests.support.sql_schedules import do_requests, put_schedule, refusal
from tests.support.stage import Stage

YEAR_9999 = datetime(9999, 1, 1, tzinfo=UTC)
YEAR_2100 = datetime(2100, 12, 31, tzinfo=UTC)
NOON = datetime(2031, 1, 31, 12, tzinfo=UTC)
NOT_NULLABLE = ("type", "queue", "labels", "priority", "max_attempts", "max_losses")
NULLABLE = (
    *("description", "callback_url", "payload", "retry", "payload_secrets", "timeout_s"),
    *("expires_at", "run_at", "delay_s", "idempotency_key"),
)
# Each with the argument that the refusal names: one, the first that is wrong.
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("/name", {"name": "Bad Name"}),
    ("/name", {"name": None}),
    ("", {"cron": None}),
    ("", {"cron": "@daily", "every": "1 min"}),
    ("/cron", {"cron": "* * * *"}),
    ("/cron", {"cron": "* * * * * * *"}),
    ("/cron", {"cron": "x" * 501}),
    ("/cron", {"cron": "@ daily"}),
    ("/cron", {"cron": "0 0 * * \u00e9"}),
    ("/every", {"every": "999 ms"}),
    ("/every", {"every": "1 month"}),
    ("/every", {"every": "2 years"}),
    ("/every", {"every": "36525 days 1 second"}),
    ("/at", {"at": []}),
    ("/at", {"at": [NOON, NOON]}),
    ("/at", {"at": [NOON, NOON - timedelta(hours=1)]}),
    ("/at", {"at": [None]}),
    ("/at", {"at": [YEAR_9999]}),
    ("/at", {"at": [NOON + timedelta(hours=n) for n in range(51)]}),
    ("/anchor", {"anchor": NOON, "cron": "@daily"}),
    ("/anchor", {"anchor": YEAR_9999, "every": "1 min"}),
    ("/zone", {"zone": "x" * 65}),
    ("/gap", {"gap": "never"}),
    ("/fold", {"fold": "never"}),
    ("/starts_at", {"starts_at": YEAR_9999}),
    ("/ends_at", {"starts_at": NOON, "ends_at": NOON}),
    ("/jitter_s", {"jitter_s": -1.0}),
    ("/jitter_s", {"jitter_s": float("nan")}),
    ("/catch_up", {"catch_up": "some"}),
    ("/within", {"within": "32 days"}),
    ("/within", {"within": "1 month"}),
    ("/most", {"most": 0}),
    ("/overlap", {"overlap": "maybe"}),
    ("/task", {"task": None}),
    ("/task", {"task": "[]"}),
    ("/task/name", {"task": {}}),
    ("/task/name", {"task": {"name": ""}}),
    ("/task/name", {"task": {"name": 5}}),
    ("/task/nam", {"task": {"name": "x", "nam": None}}),
    ("/task/queue", {"task": {"name": "x", "queue": "Bad Queue"}}),
    ("/task/priority", {"task": {"name": "x", "priority": 10}}),
    ("/task/priority", {"task": {"name": "x", "priority": "9"}}),
    ("/task/priority", {"task": {"name": "x", "priority": 1.0}}),
    ("/task/payload", {"task": {"name": "x", "payload": []}}),
    ("/task/retry", {"task": {"name": "x", "retry": {"factr": 2}}}),
    ("/task/callback_url", {"task": {"name": "x", "callback_url": "ftp://x"}}),
    ("/task/expires_at", {"task": {"name": "x", "expires_at": "2031-01-31T00:00:00Z"}}),
    ("/task/payload", {"task": {"name": "x", "type": "http", "payload": None}}),
    ("/task", {"task": '{"name": "x", "priority": 1, "priority": 2}'}),
    ("/task/run_at", {"task": {"name": "x", "run_at": "2031-01-31T00:00:00Z"}}),
    ("/task/idempotency_key", {"task": {"name": "x", "idempotency_key": "k"}}),
    ("/task/labels", {"task": {"name": "x", "labels": {"k": 5}}}),
    ("/task/labels/schedule", {"task": {"name": "x", "labels": {"schedule": "other"}}}),
    ("/task/labels/schedule", {"task": {"name": "x", "labels": {"schedule": None}}}),
    ("/task/labels/taskmill.hop", {"task": {"name": "x", "labels": {"taskmill.hop": "far"}}}),
    *((f"/task/{name}", {"task": {"name": "x", name: None}}) for name in NOT_NULLABLE),
    # With the schedule's own label there is one too many.
    ("/task/labels", {"task": {"name": "x", "labels": {f"l{n}": "" for n in range(64)}}}),
    ("/every", {"every": "1 day", "starts_at": NOON, "ends_at": NOON + timedelta(hours=11)}),
    ("/every", {"every": "1 min", "anchor": NOON, "ends_at": datetime(2000, 1, 1, tzinfo=UTC)}),
    ("/at", {"at": [NOON], "ends_at": NOON}),
    ("/at", {"at": [NOON], "starts_at": NOON + timedelta(seconds=1)}),
    ("/jitter_s", {"every": "1 min", "jitter_s": 60.0}),
    ("/jitter_s", {"at": [NOON, NOON + timedelta(hours=1)], "jitter_s": 3600.0}),
]


@pytest.mark.parametrize(("pointer", "arguments"), REFUSED)
async def test_what_sql_can_say_is_refused_at_once_with_its_pointer(
    stage: Stage, pointer: str, arguments: dict[str, Any]
) -> None:
    problem = await refusal(stage.sql, **arguments)
    assert problem["errors"][0]["pointer"] == pointer
    assert problem["status"] == 422


@pytest.mark.parametrize("never", ["infinity", "-infinity"])
@pytest.mark.parametrize(
    ("pointer", "arguments"),
    [
        ("/anchor", "every => '1 min', anchor => '{never}'"),
        ("/anchor", "every => '1 min', anchor => '{never}', starts_at => '2031-01-31'"),
        ("/starts_at", "every => '1 min', starts_at => '{never}'"),
        ("/starts_at", "cron => '@daily', starts_at => '{never}'"),
        ("/ends_at", "every => '1 min', ends_at => '{never}', anchor => '2031-01-31'"),
        ("/anchor", "every => '1 min', anchor => '{never}', ends_at => '{never}'"),
        ("/ends_at", "at => '{{2031-01-31}}', ends_at => '{never}'"),
        ("/at", "at => '{{{never}}}'"),
        ("/at", "at => '{{2031-01-31,{never}}}', jitter_s => 1"),
        ("/at", "at => '{{{never},2031-01-31}}', starts_at => '2031-01-31'"),
        ("/at", "at => '{{{never},{never}}}', jitter_s => 1"),
    ],
)
async def test_an_infinite_time_is_refused_as_one_beyond_the_years_is(
    stage: Stage, pointer: str, arguments: str, never: str
) -> None:
    given = arguments.format(never=never)
    with pytest.raises(asyncpg.InvalidParameterValueError) as caught:
        await stage.sql.execute(
            f"SELECT taskmill.put_schedule('report', '{{\"name\": \"report\"}}', {given})"
        )
    assert orjson.loads(caught.value.detail or "")["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "arguments",
    [
        {"every": "1 day", "starts_at": NOON, "ends_at": NOON + timedelta(hours=12, seconds=1)},
        {
            "every": "1 day",
            "anchor": NOON,
            "starts_at": NOON,
            "ends_at": NOON + timedelta(seconds=1),
        },
        {"every": "36525 days", "anchor": YEAR_2100},
        {"at": [NOON], "starts_at": NOON, "ends_at": NOON + timedelta(seconds=1)},
        {"at": [NOON], "jitter_s": 86_400.0},
        {"at": [NOON, NOON + timedelta(hours=1)], "jitter_s": 3599.9},
        {"every": "1 min", "jitter_s": 59.9},
        {"task": {"name": "x", **dict.fromkeys(NULLABLE)}},
        {"task": {"name": "x", "labels": {"schedule": "report", "taskmill.hop": "2"}}},
        {"task": {"name": "x", "labels": {f"l{n}": "" for n in range(63)}}},
        {"task": {"name": "x", "type": "http", "payload": {"url": "https://a.test/x"}}},
    ],
)
async def test_what_is_just_allowed_is_refused_neither_at_once_nor_later(
    stage: Stage, arguments: dict[str, Any]
) -> None:
    scheduler = Scheduler(stage)
    await put_schedule(stage.sql, **arguments)
    await do_requests(scheduler)
    stored = await scheduler.get()
    assert (stored.revision, stored.request) == (1, None)
