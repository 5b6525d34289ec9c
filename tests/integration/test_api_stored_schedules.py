"""Schedules over HTTP: with rights, revisions, cursors, and errors that say where."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.lifecycle import Succeeded
from taskmill.operations.api_keys import NewApiKey
from taskmill.wire.schedule_views import ScheduleView
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.scheduling import Scheduler
from tests.support.sql_schedules import put_schedule
from tests.support.stage import Stage

NIGHTLY = {"cron": "30 2 * * *", "zone": "Europe/Berlin", "task": {"name": "nightly"}}


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def put(
    api: Served,
    name: str = "report",
    body: object = NIGHTLY,
    *,
    key: NewApiKey | None = None,
    if_match: str | None = None,
) -> httpx.Response:
    """Put a schedule."""
    headers = {} if key is None else shown(key)
    if if_match is not None:
        headers["if-match"] = if_match
    return await api.http.put(f"/schedules/{name}", content=orjson.dumps(body), headers=headers)


async def test_a_schedule_is_made_read_replaced_and_deleted(api: Served) -> None:
    made = await put(api)
    assert (made.status_code, made.headers["etag"]) == (201, '"1.0"')
    schedule = made.json()
    assert schedule["cron"] == "30 2 * * *"
    assert (schedule["zone"], schedule["catch_up"], schedule["overlap"]) == (
        "Europe/Berlin",
        "latest",
        "allow",
    )
    assert schedule["task"] == {"name": "nightly"}
    assert (schedule["paused"], schedule["every"], schedule["held_tick"]) == (False, None, None)
    next_tick = datetime.fromisoformat(schedule["next_tick"])
    created_at = datetime.fromisoformat(schedule["created_at"])
    assert created_at < next_tick < created_at + timedelta(days=2)
    assert (await api.get("/schedules/report")).json() == schedule
    assert (await put(api)).status_code == 200
    replaced = await put(api, body={**NIGHTLY, "overlap": "skip"})
    assert (replaced.status_code, replaced.headers["etag"]) == (200, '"2.0"')
    deleted = await api.http.delete("/schedules/report")
    assert (deleted.status_code, deleted.content) == (204, b"")
    gone = await api.get("/schedules/report")
    assert (gone.status_code, gone.json()["type"]) == (404, "/problems/schedule-not-found")


async def test_a_schedule_changes_only_in_the_revision_that_is_named(api: Served) -> None:
    missing = await put(api, if_match='"1.0"')
    assert (missing.status_code, missing.json()["type"]) == (412, "/problems/schedule-mismatch")
    await put(api)
    other = {**NIGHTLY, "task": {"name": "another"}}
    assert (await put(api, body=other, if_match='"7.0"')).status_code == 412
    assert (await put(api, body=other, if_match='"1.0"')).status_code == 200
    for method, content in (("DELETE", None), ("PATCH", b'{"paused": true}')):
        refused = await api.http.request(
            method, "/schedules/report", content=content, headers={"if-match": '"1.0"'}
        )
        assert refused.status_code == 412
    assert (await api.get("/schedules/report")).json()["revision"] == 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cron": "61 * * * *"}, "/cron"),
        ({"cron": "0 0 31 2 *"}, "/cron"),
        ({"zone": "Europe/Berlinn"}, "/zone"),
        ({"every": "PT1M"}, "/every"),
        ({"cron": None, "every": "PT999999999H"}, "/every"),
        ({"task": {"name": "a", "run_at": "2030-01-01T00:00:00Z"}}, "/task/run_at"),
        ({"task": {"name": "a", "priority": 10}}, "/task/priority"),
        ({"task": {"name": "a", "labels": {"schedule": "other"}}}, "/task/labels/schedule"),
        ({"overlap": "perhaps"}, "/overlap"),
        ({"more": 1}, "/more"),
    ],
)
async def test_what_is_not_allowed_is_refused_with_its_place(
    api: Served, change: dict[str, Any], pointer: str
) -> None:
    refused = await put(api, body={**NIGHTLY, **change})
    assert refused.status_code == 422, refused.text
    assert pointer in [error["pointer"] for error in refused.json()["errors"]]
    assert (await api.get("/schedules")).json()["items"] == []


@pytest.mark.parametrize("name", ["Report", "a%20b", "%00", "x" * 64])
async def test_names_are_those_of_queues(api: Served, name: str) -> None:
    refused = await put(api, name)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "path:name")


async def test_schedules_are_listed_page_by_page(api: Served) -> None:
    for name in ("c", "a", "b"):
        await put(api, name)
    page = (await api.get("/schedules?limit=2")).json()
    assert [item["name"] for item in page["items"]] == ["c", "a"]
    page = (await api.get(f"/schedules?limit=2&cursor={page['next_cursor']}")).json()
    assert ([item["name"] for item in page["items"]], page["next_cursor"]) == (["b"], None)
    refused = await api.get("/schedules?cursor=AAAA")
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-cursor")


async def test_a_schedule_is_paused_and_goes_on(api: Served) -> None:
    await put(api)
    paused = (await api.http.patch("/schedules/report", json={"paused": True})).json()
    assert (paused["paused"], paused["paused_at"] is None) == (True, False)
    resumed = await api.http.patch("/schedules/report", json={"paused": False, "catch_up": "all"})
    assert (resumed.status_code, resumed.json()["paused"]) == (200, False)
    refused = await api.http.patch("/schedules/report", json={"paused": True, "catch_up": "all"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/catch_up")
    missing = await api.http.patch("/schedules/none", json={"paused": True})
    assert missing.status_code == 404


async def test_a_schedule_runs_now_once_for_a_key(api: Served) -> None:
    await put(api)
    first = await api.post("/schedules/report/run", headers={"idempotency-key": "k"})
    again = await api.post("/schedules/report/run", headers={"idempotency-key": "k"})
    assert (first.status_code, again.status_code) == (201, 200)
    task = first.json()
    assert (task["source"], task["labels"]) == ("schedule", {"schedule": "report"})
    assert first.headers["location"] == f"/tasks/{task['id']}"
    assert again.json()["id"] == task["id"]
    refused = await api.post("/schedules/report/run", headers={"idempotency-key": "k" * 300})
    assert refused.json()["errors"][0]["pointer"] == "header:Idempotency-Key"
    assert (await api.post("/schedules/none/run")).status_code == 404


async def test_what_became_of_ticks_is_listed_page_by_page(api: Served, stage: Stage) -> None:
    scheduler = Scheduler(stage)
    anchor = await scheduler.now() - timedelta(seconds=30)
    await scheduler.put(every="PT1M", anchor=anchor.isoformat())
    await scheduler.age(timedelta(hours=1))
    await scheduler.fire()
    await api.post("/schedules/report/run")
    page = (await api.get("/schedules/report/fires?limit=1")).json()
    assert [item["cause"] for item in page["items"]] == ["manual"]
    rest = (await api.get(f"/schedules/report/fires?cursor={page['next_cursor']}")).json()
    latest, skipped = rest["items"]
    assert (latest["outcome"], skipped["outcome"]) == ("created", "skipped_missed")
    assert (skipped["ticks"], skipped["task_id"], skipped["problem"]) == (59, None, None)
    assert rest["next_cursor"] is None
    only = (await api.get("/schedules/report/fires?outcome=skipped_missed")).json()
    assert only["items"] == [skipped]
    wrong = await api.get(f"/schedules/report/fires?limit=2&cursor={page['next_cursor']}")
    assert wrong.status_code == 200
    other = await api.get(f"/schedules/report/fires?outcome=held&cursor={page['next_cursor']}")
    assert other.status_code == 400
    assert (await api.get("/schedules/none/fires")).status_code == 404


@pytest.mark.parametrize("dry_run", [True, False])
async def test_ticks_of_a_schedule_of_a_later_release_are_refused(
    api: Served, stage: Stage, *, dry_run: bool
) -> None:
    await put(api)
    await stage.sql.execute("""UPDATE taskmill.schedule SET spec = '{"moon": "full"}'""")
    wanted = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "dry_run": dry_run}
    refused = await api.post("/schedules/report/backfill", wanted)
    assert refused.status_code == 422
    assert "one of a later release" in refused.text


@pytest.mark.parametrize("unknown", [{"zone": "Mars/Olympus"}, {"cron": "0 0 * * moon"}])
async def test_a_zone_or_an_expression_that_only_a_later_release_knows_keeps_no_other(
    api: Served, stage: Stage, unknown: dict[str, str]
) -> None:
    await put(api)
    await put(api, "other")
    await stage.sql.execute(
        "UPDATE taskmill.schedule SET spec = (spec::jsonb || $1::text::jsonb)::json WHERE name = 'report'",
        orjson.dumps(unknown).decode(),
    )
    listed = (await api.get("/schedules")).json()["items"]
    assert [(one["name"], one["next_tick"] is None) for one in listed] == [
        ("report", True),
        ("other", False),
    ]
    assert (await put(api)).status_code == 200, "it can be replaced"
    assert (await api.get("/schedules/report")).json()["next_tick"] is not None


async def test_a_backfill_makes_tasks_or_says_which(api: Served, stage: Stage) -> None:
    scheduler = Scheduler(stage)
    await scheduler.put(every="PT10M")
    until = await scheduler.now()
    wanted = {"from": (until - timedelta(hours=1)).isoformat(), "to": until.isoformat()}
    asked = (await api.post("/schedules/report/backfill", {**wanted, "dry_run": True})).json()
    assert (len(asked["ticks"]), asked["dry_run"], asked["next_from"]) == (6, True, None)
    assert await scheduler.tasks() == []
    made = (await api.post("/schedules/report/backfill", {**wanted, "priority": 2})).json()
    assert made["ticks"] == asked["ticks"]
    assert [task["priority"] for task in await scheduler.tasks()] == [2] * 6
    backwards = {"from": wanted["to"], "to": wanted["from"]}
    refused = await api.post("/schedules/report/backfill", backwards)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/to")


async def test_a_schedule_belongs_to_the_queue_of_its_template(
    required: Served, stage: Stage
) -> None:
    scopes = ("tasks:read", "tasks:create", "tasks:operate")
    own = await a_new_key(stage.database, *(f"{scope} queue=mail" for scope in scopes))
    foreign = await a_new_key(stage.database, *(f"{scope} queue=other" for scope in scopes))
    mine = {**NIGHTLY, "task": {"name": "a", "queue": "mail"}}
    assert (await put(required, body=mine, key=own)).status_code == 201
    theirs = {**NIGHTLY, "task": {"name": "a", "queue": "other"}}
    assert (await put(required, "theirs", theirs, key=own)).status_code == 403
    taken = await put(required, "report", theirs, key=foreign)
    assert (taken.status_code, taken.json()["scope"]) == (403, "tasks:create")
    guessed = await put(required, "report", theirs, key=foreign, if_match='"7.0"')
    assert guessed.status_code == 403  # not which revision it has
    assert (await put(required, "theirs", theirs, key=foreign)).status_code == 201
    listed = (await required.get("/schedules", headers=shown(own))).json()
    assert [item["name"] for item in listed["items"]] == ["report"]
    for method, path in (
        ("GET", ""),
        ("GET", "/fires"),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/run"),
        ("POST", "/backfill"),
    ):
        there = await required.http.request(
            method, f"/schedules/report{path}", headers=shown(foreign)
        )
        missing = await required.http.request(
            method, f"/schedules/nowhere{path}", headers=shown(foreign)
        )
        assert there.status_code == missing.status_code == 404, (method, path)
        assert there.text.replace("report", "nowhere") == missing.text
    reader = await a_new_key(stage.database, "tasks:read")
    assert len((await required.get("/schedules", headers=shown(reader))).json()["items"]) == 2
    assert (await put(required, body=mine, key=reader)).status_code == 403


async def test_what_sql_has_asked_for_belongs_to_the_queue_of_its_template(
    required: Served, stage: Stage
) -> None:
    scopes = ("tasks:read", "tasks:create", "tasks:operate")
    own = await a_new_key(stage.database, *(f"{scope} queue=mail" for scope in scopes))
    foreign = await a_new_key(stage.database, *(f"{scope} queue=other" for scope in scopes))
    await put_schedule(stage.sql, cron="0 0 31 2 *", task={"name": "a", "queue": "mail"})
    shown_to_me = (await required.get("/schedules/report", headers=shown(own))).json()
    view = ScheduleView.model_validate(shown_to_me)
    assert (view.revision, view.next_tick, view.zone) == (0, None, "UTC")
    assert view.request is not None
    assert view.request.problem is None
    listed = (await required.get("/schedules", headers=shown(own))).json()
    assert listed["items"] == [shown_to_me]
    theirs = {**NIGHTLY, "task": {"name": "a", "queue": "other"}}
    assert (await put(required, "report", theirs, key=foreign)).status_code == 403
    assert (await required.get("/schedules", headers=shown(foreign))).json()["items"] == []
    for method in ("GET", "PATCH", "DELETE"):
        refused = await required.http.request(method, "/schedules/report", headers=shown(foreign))
        assert refused.status_code == 404, method
    assert (await required.http.delete("/schedules/report", headers=shown(own))).status_code == 204


async def test_who_runs_a_schedule_gets_no_task_that_another_key_has_made(
    required: Served, stage: Stage
) -> None:
    """Else it would see the result of a task that it may not read, by guessing an idempotency key."""
    keys = [await a_new_key(stage.database, "tasks:create", name=name) for name in ("a", "b")]
    await put(required, key=keys[0])
    runs = [
        await required.post("/schedules/report/run", headers={**shown(key), "idempotency-key": "k"})
        for key in (*keys, *keys)
    ]
    assert [run.status_code for run in runs] == [201, 201, 200, 200]
    ids = [run.json()["id"] for run in runs]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


async def test_who_may_only_run_a_schedule_does_not_see_what_its_task_does(
    required: Served, stage: Stage
) -> None:
    """Neither at once nor when a key repeats its request after the task has ended."""
    maker = await a_new_key(stage.database, "tasks:create", "tasks:read")
    runner = await a_new_key(stage.database, "tasks:create")
    task = {"name": "a", "description": "a plan", "payload": {"delay_s": 0, "recipient": "eve"}}
    await put(required, body={**NIGHTLY, "task": task}, key=maker)
    headers = {**shown(runner), "idempotency-key": "k"}
    first = await required.post("/schedules/report/run", headers=headers)
    assert first.json()["id"]
    lease = await stage.open_lease()
    [taken] = await stage.take(lease)
    await stage.end(taken, lease, Succeeded(result='"sent to eve"'))
    again = await required.post("/schedules/report/run", headers=headers)
    for run in (first, again):
        assert (run.json()["payload"], run.json()["description"]) == (None, None)
        assert "eve" not in run.text
    assert again.json()["status"] == "succeeded"
    full = await required.post("/schedules/report/run", headers=shown(maker))
    assert full.json()["payload"] == task["payload"]


async def test_a_schedule_stays_in_its_queue_when_the_contract_of_its_type_names_another(
    required: Served, stage: Stage
) -> None:
    """Else its tasks would be in a queue that its owner may not use, and others could not see whose they are."""
    await _queue_of_type(stage, "mail")
    key = await a_new_key(stage.database, "tasks:create queue=mail", "tasks:read queue=mail")
    body = {"every": "PT1M", "task": {"name": "a", "type": "call"}}
    assert (await put(required, body=body, key=key)).status_code == 201
    await _queue_of_type(stage, "other")
    scheduler = Scheduler(stage)
    await scheduler.age(timedelta(minutes=1))
    await scheduler.fire()
    run = await required.post("/schedules/report/run", headers=shown(key))
    assert run.json()["queue"] == "mail"
    assert [task["queue"] for task in await scheduler.tasks()] == ["mail"] * 2


async def _queue_of_type(stage: Stage, queue: str) -> None:
    contract = TypeContract(type="call", schema="{}", defaults={"queue": queue})
    await stage.service.contracts.register(contract, by="a test")
    await stage.service.contracts.refresh()


async def test_secret_values_of_a_template_are_masked_for_readers(
    required: Served, stage: Stage
) -> None:
    schema = '{"type": "object", "properties": {"token": {"type": "string", "writeOnly": true}}}'
    contract = TypeContract(type="call", schema=schema)
    await stage.service.contracts.register(contract, by="a test")
    await stage.service.contracts.refresh()
    writer = await a_new_key(stage.database, "tasks:create", "tasks:read", "tasks:read-secret")
    reader = await a_new_key(stage.database, "tasks:read")
    body = {**NIGHTLY, "task": {"name": "a", "type": "call", "payload": {"token": "hush"}}}
    made = await put(required, body=body, key=writer)
    assert made.json()["task"]["payload"] == {"token": "hush"}
    for path in ("/schedules/report", "/schedules"):
        response = await required.get(path, headers=shown(reader))
        assert response.status_code == 200
        assert "hush" not in response.text
    own = {"name": "a", "payload": {"steps": [{"hidden": "hush"}]}}
    own["payload_secrets"] = ["/steps/0/hidden"]
    assert (await put(required, "own", {**NIGHTLY, "task": own}, key=writer)).status_code == 201
    response = await required.get("/schedules/own", headers=shown(reader))
    assert response.json()["task"]["payload"] == {"steps": [{"hidden": "[masked]"}]}


async def test_a_callback_of_a_template_needs_the_right_to_send_there(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.database, "tasks:create", "tasks:read")
    body = {**NIGHTLY, "task": {"name": "a", "callback_url": "https://example.org/x"}}
    refused = await put(required, body=body, key=key)
    assert (refused.status_code, refused.json()["scope"]) == (403, "outbound")
