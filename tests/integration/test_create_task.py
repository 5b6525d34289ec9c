"""`taskmill.create_task` refuses what lengths, ranges and types say; what it takes, every reader can read."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import pytest

from taskmill.operations import sql_limits
from taskmill.settings import LimitSettings, Settings
from tests.support.api import Served
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.safety import assert_safe
from tests.support.sql import CASTS, create, problem
from tests.support.stage import Stage
from tests.support.verifying import found_in

URL = "https://example.org/hooks"
# Each with the argument that the refusal names: one, the first that is wrong.
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("/name", {"name": ""}),
    ("/name", {"name": "x" * 201}),
    ("/name", {"name": " \n"}),
    ("/name", {"name": "\u200b\u3000\ufeff"}),
    ("/name", {"name": "\U000e0041"}),
    ("/name", {"name": None}),
    ("/description", {"description": "x" * 10_001}),
    ("/type", {"type": "Bad Type"}),
    ("/queue", {"queue": ""}),
    ("/queue", {"queue": "q" * 64}),
    ("/queue", {"queue": "😀", "labels": {"[key]": 5}}),
    ("/payload", {"payload": [1]}),
    ("/payload", {"payload": "text"}),
    ("/payload", {"payload": 5, "type": "http"}),
    ("/queue", {"queue": "Q", "priority": 10}),
    ("/priority", {"priority": -1}),
    ("/priority", {"priority": 10}),
    ("/delay_s", {"delay_s": 31_536_001}),
    ("/max_attempts", {"max_attempts": 1_001}),
    ("/max_losses", {"max_losses": -1}),
    ("/delay_s", {"delay_s": -1}),
    ("/max_attempts", {"max_attempts": 0, "max_losses": 101}),
    ("/max_losses", {"max_losses": 101}),
    ("/timeout_s", {"timeout_s": 0}),
    ("/timeout_s", {"timeout_s": 604_801}),
    ("/retry", {"retry": {"base_s": -1}}),
    ("/retry", {"retry": {"jitter": True}}),
    ("/retry", {"retry": {"factor": 0.5, "max_s": 1e9}}),
    ("/retry", {"retry": {"base_s": "x"}}),
    ("/retry", {"retry": {"factr": 2}}),
    ("/retry", {"retry": {"base_s": None}}),
    ("/retry", {"retry": []}),
    ("/labels", {"labels": {"": "x"}}),
    ("/labels", {"labels": {"k": 5}}),
    ("/labels", {"labels": {"k" * 64: "x"}}),
    ("/labels", {"labels": {"k": "x" * 256}}),
    ("/labels", {"labels": {str(n): "x" for n in range(65)}}),
    ("/labels", {"labels": "x"}),
    ("/idempotency_key", {"idempotency_key": ""}),
    ("/idempotency_key", {"idempotency_key": "a\nb"}),
    ("/idempotency_key", {"idempotency_key": "k" * 256}),
    ("/callback_url", {"callback_url": ""}),
    ("/callback_url", {"callback_url": "ftp://example.org/"}),
    ("/callback_url", {"callback_url": "http://user:secret@example.org/"}),
    ("/callback_url", {"callback_url": "http://127.1/"}),
    ("/callback_url", {"callback_url": "https://example.org/" + "x" * 2048}),
]
# What PostgreSQL's `json` takes, and `jsonb` or a reader does not.
UNREADABLE = [
    '{"a": 1e400}',
    '{"a": -1e400}',
    '{"a": [{"b": 1e309}]}',
    '{"a": 1e200000}',
    '{"a": 1e-20000}',
    '{"a": 1e99999999999}',
    '{"a": ' + "1" * 400 + "e-5}",
    '{"a": ' + "1" * 140_000 + "}",
    '{"a": ' + "[" * 63 + "]" * 63 + "}",
    '{"a": "\\u0000"}',
    '{"a": "\\ud800"}',
    '{"\\ud800": "a"}',
]
# What it takes though HTTP would not: the first claim refuses these.
ODD = [
    '{"a": 1, "a": 2}',
    '{"b": {"a": "\\u0022", "\\u0061": 2}}',
    '{"a": 9223372036854775808}',
    '{"a": 123456789012345678901234567890}',
]
STRICT = [
    '{"a": 9223372036854775807, "b": -9223372036854775808}',
    '{"a": 1e-400, "b": 0.1000000000000000055, "c": 1E2, "d": 12345678901234567890.5}',
    '{"a": 1.7976931348623157e308, "b": -1.7976931348623157e308}',
    '{"a": ' + "[" * 62 + "]" * 62 + "}",
    '{"4e5": "5e6, 7e8", "q\\u0022": "\\"", "[": "{{{"}',
    '{"many": [' + ", ".join(["[]"] * 500) + "]}",
    "null",
]
UNFIT: list[dict[str, Any]] = [
    {"payload": {"delay_s": -1, "seed": 1.5, "failure_probability": 2}},
    {"payload": {"delay_s": 1, "delay_min_s": 2}},
    {"payload": {"delay_min_s": 1e15, "delay_max_s": 1.5e300}},
    {"type": "http"},
    {"type": "http", "payload": {"methd": "PUT", "url": "http://127.1/", "body": 1, "text": "x"}},
    {"type": "http", "payload": {"url": URL, "headers": {"b": 1, "a": None}, "expect": [600]}},
    {"type": TYPE},
    {"type": TYPE, "payload": {"to": 5, "copies": 0}},
    {"type": TYPE, "payload": {"\u202e": "\x7f", "😀": "\x1b[0m"}},
]


def as_text(fields: dict[str, Any]) -> dict[str, Any]:
    """The arguments, JSON as text."""
    return {
        name: orjson.dumps(value).decode() if name in CASTS else value
        for name, value in fields.items()
    }


@pytest.mark.parametrize(("pointer", "fields"), REFUSED, ids=str)
async def test_what_does_not_fit_a_column_is_refused_with_its_pointer(
    stage: Stage, pointer: str, fields: dict[str, Any]
) -> None:
    refusal = await problem(stage.sql, **as_text(fields))
    assert (refusal["type"], refusal["status"]) == ("/problems/invalid-input", 422)
    assert [one["pointer"] for one in refusal["errors"]] == [pointer]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0


@pytest.mark.parametrize("argument", ["payload", "labels", "retry"])
@pytest.mark.parametrize("json", UNREADABLE, ids=lambda text: text[:20])
async def test_json_that_somebody_could_not_read_is_refused(
    stage: Stage, argument: str, json: str
) -> None:
    refusal = await problem(stage.sql, **{argument: json})
    assert [one["pointer"] for one in refusal["errors"]] == [f"/{argument}"]


@pytest.mark.parametrize("payload", STRICT + ODD, ids=lambda text: text[:20])
async def test_a_payload_is_stored_as_it_came(stage: Stage, payload: str) -> None:
    made = await create(stage.sql, payload=payload, type="free")
    assert (await stage.task(made)).payload == (None if payload == "null" else payload)


async def test_whatever_it_takes_no_response_of_the_api_is_a_fault(
    stage: Stage, pages: Served
) -> None:
    """All bad input is sent; what is stored of it is read in every way, before and after it was claimed."""
    await registered(stage, a_contract())
    bad = [as_text(fields) for _, fields in REFUSED] + [as_text(fields) for fields in UNFIT]
    bad += [{argument: json} for json in UNREADABLE for argument in CASTS]
    bad += [{"payload": json, "type": "free"} for json in STRICT + ODD]
    bad += [{"labels": json} for json in ('{"a": "x", "a": "y"}', '{"a\\u0041": "\\u202e"}')]
    made = []
    for arguments in bad:
        with suppress(asyncpg.InvalidParameterValueError):
            made.append(await create(stage.sql, **arguments))
    assert len(made) == len(UNFIT) + len(STRICT) + len(ODD) + 2
    await assert_all_is_readable(stage, pages, [str(one) for one in made])
    lease = {"worker": "w", "types": ["free", "emulate", "http", TYPE], "limit": 100, "wait_s": 5}
    claimed = (await pages.post("/leases", lease)).json()["tasks"]
    assert len(claimed) == len(STRICT) + 2
    await assert_all_is_readable(stage, pages, [str(one) for one in made])
    failed = await stage.sql.fetch("SELECT id FROM taskmill.current_task WHERE status = 'failed'")
    assert len(failed) == len(UNFIT) + len(ODD)
    await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


async def assert_all_is_readable(stage: Stage, pages: Served, ids: list[str]) -> None:
    numbers = await stage.sql.fetch("SELECT number FROM taskmill.task")
    paths = [
        "/tasks?limit=500",
        "/stats",
        "/queues",
        "/types",
        "/task_service/api/v1/task/?limit=100",
    ]
    paths += ["/ui/", "/ui/tasks", "/ui/tasks/export.csv", "/ui/tasks/export.ndjson", "/ui/queues"]
    for one in ids:
        paths += [
            f"/tasks/{one}",
            *(f"/tasks/{one}/{part}" for part in ("events", "explain", "logs")),
        ]
        paths += [f"/ui/tasks/{one}", f"/ui/create?like={one}", f"/task_service/api/v1/task/{one}/"]
    paths += [f"/tasks/{row['number']}" for row in numbers]
    for path in paths:
        response = await pages.get(path)
        assert response.status_code < 500, (path, response.text)
        if path.startswith("/tasks"):
            assert response.status_code == 200
            response.json()


async def test_times_have_their_bounds(stage: Stage) -> None:
    early, late = datetime(1999, 12, 31, tzinfo=UTC), datetime(2101, 1, 2, tzinfo=UTC)
    refusal = await problem(stage.sql, run_at=early, expires_at=late)
    assert [one["pointer"] for one in refusal["errors"]] == ["/run_at"]
    refusal = await problem(stage.sql, expires_at=late)
    assert [one["pointer"] for one in refusal["errors"]] == ["/expires_at"]
    refusal = await problem(
        stage.sql,
        run_at=datetime(2030, 1, 2, tzinfo=UTC),
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert [one["expected"] for one in refusal["errors"]] == ["a time after run_at"]
    refusal = await problem(stage.sql, run_at=datetime(2030, 1, 2, tzinfo=UTC), delay_s=1.0)
    assert [one["expected"] for one in refusal["errors"]] == ["either run_at or delay_s"]
    for never in ("'infinity'", "'-infinity'"):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await stage.sql.fetchval(f"SELECT taskmill.create_task('x', run_at => {never})")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await stage.sql.fetchval("SELECT taskmill.create_task('x', delay_s => 'NaN')")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await stage.sql.fetchval("SELECT taskmill.create_task('x', timeout_s => 'NaN')")


async def test_queues_and_labels_are_limited_as_the_settings_say(stage: Stage) -> None:
    limits = LimitSettings(queues=2, labels=1, idempotency_key_chars=3, body_bytes=50)
    await sql_limits.store(stage.database, Settings(limits=limits))
    await create(stage.sql, queue="a")
    await create(stage.sql, queue="b")
    await create(stage.sql, queue="a")
    refusal = await problem(stage.sql, queue="c")
    assert (refusal["type"], refusal["limit"]) == ("/problems/queue-limit-reached", 2)
    refusal = await problem(stage.sql, labels='{"a": "1", "b": "2"}')
    assert [one["expected"] for one in refusal["errors"]] == ["at most 1 labels"]
    refusal = await problem(stage.sql, idempotency_key="long")
    assert [one["expected"] for one in refusal["errors"]] == ["1 to 3 printable characters"]
    refusal = await problem(stage.sql, payload=orjson.dumps({"a": "x" * 50}).decode())
    assert [one["expected"] for one in refusal["errors"]] == ["at most 50 bytes"]


ROWS = {
    "task": "SELECT to_jsonb(t) - '{id,number,source,created_at,updated_at,run_at}'::text[] FROM taskmill.task t",
    "dispatch": "SELECT to_jsonb(t) - '{task_id,run_at}'::text[] FROM taskmill.dispatch AS t",
    "history": "SELECT to_jsonb(t) - '{task_id,at,run_at}'::text[] FROM taskmill.task_event AS t",
    "changes": "SELECT to_jsonb(t) - '{id,task_ids,at}'::text[] FROM taskmill.change_batch AS t",
    "counts": "SELECT to_jsonb(t) - '{id}'::text[] FROM taskmill.task_count AS t",
    "minutes": "SELECT to_jsonb(t) - '{id,at,minute}'::text[] FROM taskmill.task_minute_delta AS t",
    "callbacks": "SELECT to_jsonb(t) - '{task_id}'::text[] FROM taskmill.task_callback AS t",
    "keys": "SELECT key FROM taskmill.idempotency AS t",
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "pdf", "queue": "billing"},
        {
            "description": "d",
            "type": "pdf",
            "payload": {"b": 1, "a": [1.5, "é"]},
            "queue": "billing",
            "priority": 9,
            "max_attempts": 7,
            "max_losses": 0,
            "retry": {"base_s": 2},
            "timeout_s": 1.5,
            "expires_at": "2032-01-01T00:00:00Z",
            "callback_url": "HTTPS://[::FFFF:0102:304]?a=b",
            "labels": {"team": "a"},
            "idempotency_key": "k",
        },
    ],
    ids=["nothing", "type", "all"],
)
async def test_it_stores_the_rows_that_the_api_stores(
    stage: Stage, api: Served, fields: dict[str, Any]
) -> None:
    """Whoever changes what a new task is made of changes it in both."""

    async def rows() -> dict[str, list[Any]]:
        return {
            name: [
                orjson.loads(row[0]) if name != "keys" else row[0]
                for row in await stage.sql.fetch(query)
            ]
            for name, query in ROWS.items()
        }

    await api.create(**fields)
    by_api = await rows()
    await stage.sql.execute(
        "TRUNCATE taskmill.task, taskmill.dispatch, taskmill.task_event, taskmill.change_batch, "
        "taskmill.task_count, taskmill.task_minute_delta, taskmill.task_callback, taskmill.idempotency"
    )
    arguments = as_text({"name": "a task", **fields})
    if "expires_at" in arguments:
        arguments["expires_at"] = datetime(2032, 1, 1, tzinfo=UTC)
    await create(stage.sql, **arguments)
    assert await rows() == by_api
