"""What of schedules is shown to whom, and who may do what with them."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.pages import serving_pages
from tests.support.scheduling import Scheduler
from tests.support.sql_schedules import put_schedule
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

ACTIONS = {
    "pause": "tasks:operate",
    "resume": "tasks:operate",
    "run": "tasks:create",
    "backfill": "tasks:create",
    "edit": "tasks:create",
    "delete": "tasks:create",
}


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def some(stage: Stage) -> Scheduler:
    """A schedule of each of two queues, with what became of some ticks."""
    scheduler = Scheduler(stage)
    for name, queue in (("own", "mail"), ("foreign", "secret")):
        await scheduler.put(name, task={"name": name, "queue": queue, "type": "send"})
    await scheduler.age(timedelta(minutes=2))
    await scheduler.fire()
    return scheduler


async def test_only_schedules_of_the_own_queues_are_shown(closed: Served, stage: Stage) -> None:
    await some(stage)
    session = await visitor(closed, stage, "tasks:read queue=mail")
    listed = (await closed.get("/ui/schedules", headers=session)).text
    assert 'href="/ui/schedules/own"' in listed
    assert "foreign" not in listed
    assert "foreign" not in (
        await closed.get("/ui/schedules?name=foreign", headers=session)
    ).text.replace('value="foreign"', "").replace("name=foreign", "").replace("name%3Dforeign", "")
    assert (await closed.get("/ui/schedules/own", headers=session)).status_code == 200


@pytest.mark.parametrize("rest", ["", *(f"/{action}" for action in ACTIONS)])
async def test_a_schedule_of_others_is_as_one_that_is_not_there(
    closed: Served, stage: Stage, rest: str
) -> None:
    scheduler = await some(stage)
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:operate", "tasks:create")
    method = "POST" if rest else "GET"
    answers = set()
    for name in ("foreign", "missing"):
        response = await closed.http.request(
            method, f"/ui/schedules/{name}{rest}", headers=session | FORM
        )
        text = re.sub(f'{name}|data-now="[^"]*"', "", response.text)
        answers.add((response.status_code, text))
    [(status, _)] = answers
    assert status == 404
    assert (await scheduler.get("foreign")).paused_at is None


async def test_a_reader_gets_no_buttons_and_may_do_nothing(closed: Served, stage: Stage) -> None:
    scheduler = await some(stage)
    before = await scheduler.get("own")
    session = await visitor(closed, stage, "tasks:read queue=mail")
    for path in ("/ui/schedules", "/ui/schedules/own"):
        text = (await closed.get(path, headers=session)).text
        assert "new-schedule" not in text
        assert not [one for one in ACTIONS if f"/ui/schedules/own/{one}" in text]
    for action in ACTIONS:
        sent = await closed.post(f"/ui/schedules/own/{action}", headers=session | FORM)
        assert sent.status_code == 403, action
    for path in ("/ui/new-schedule", "/ui/schedules/own/edit", "/ui/schedules/own/delete"):
        assert (await closed.get(path, headers=session)).status_code == 403, path
    for path in ("/ui/new-schedule", "/ui/new-schedule/preview"):
        assert (await closed.post(path, headers=session | FORM)).status_code == 403, path
    assert await scheduler.get("own") == before or (await scheduler.get("own")).revision == 1


@pytest.mark.parametrize("scope", ["tasks:operate", "tasks:create"])
async def test_each_right_has_its_buttons(closed: Served, stage: Stage, scope: str) -> None:
    await some(stage)
    session = await visitor(closed, stage, "tasks:read queue=mail", f"{scope} queue=mail")
    text = (await closed.get("/ui/schedules/own", headers=session)).text
    drawn = {one for one in ACTIONS if f"/ui/schedules/own/{one}" in text}
    expected = {one for one, wanted in ACTIONS.items() if wanted == scope}
    assert drawn == expected - {"resume"}, "it is not paused"
    for action, wanted in ACTIONS.items():
        sent = await closed.post(f"/ui/schedules/own/{action}", headers=session | FORM)
        assert (sent.status_code == 403) is (wanted != scope), (action, sent.status_code)
        if action == "delete":
            assert sent.status_code == (303 if scope == "tasks:create" else 403)


async def test_what_the_code_has_no_longer_may_be_paused_although_it_is(
    closed: Served, stage: Stage
) -> None:
    scheduler = await some(stage)
    await scheduler.schedules.pause("own")
    session = await visitor(closed, stage, "tasks:read", "tasks:operate")
    assert "/own/pause" not in (await closed.get("/ui/schedules/own", headers=session)).text
    await stage.sql.execute(
        "UPDATE taskmill.schedule SET managed_by = 'shop', undeclared_at = paused_at"
        " FROM taskmill.schedule_cursor WHERE schedule_id = id"
    )
    text = (await closed.get("/ui/schedules/own", headers=session)).text
    assert {one for one in ("pause", "resume") if f"/own/{one}" in text} == {"pause", "resume"}
    before = await scheduler.get("own")
    sent = await closed.post("/ui/schedules/own/pause", headers=session | FORM)
    assert sent.status_code == 303
    assert (await scheduler.get("own")).paused_at != before.paused_at
    assert "/own/pause" not in (await closed.get("/ui/schedules/own", headers=session)).text


async def test_a_right_for_another_type_is_none_for_this_schedule(
    closed: Served, stage: Stage
) -> None:
    await some(stage)
    session = await visitor(closed, stage, "tasks:read", "tasks:create type=other")
    text = (await closed.get("/ui/schedules/own", headers=session)).text
    assert "/ui/schedules/own/run" not in text
    refused = await closed.post("/ui/schedules/own/run", headers=session | FORM)
    assert refused.status_code == 403


async def test_a_schedule_is_made_in_the_queues_of_the_key_and_belongs_to_it(
    closed: Served, stage: Stage
) -> None:
    session = await visitor(
        closed, stage, "tasks:read queue=mail", "tasks:create queue=mail,secret"
    )
    values = {"schedule": "mine", "cron": "@daily", "queue": "mail"}
    made = await closed.post("/ui/new-schedule", urlencode(values).encode(), headers=session | FORM)
    assert made.status_code == 303
    owner = await stage.sql.fetchval("SELECT owner FROM taskmill.schedule WHERE name = 'mine'")
    assert owner is not None
    for queue in ("secret", "other"):
        body = urlencode(values | {"schedule": "new", "queue": queue}).encode()
        refused = await closed.post("/ui/new-schedule", body, headers=session | FORM)
        assert refused.status_code == 403, queue
        moved = urlencode({**values, "queue": queue, "revision": "1"}).encode()
        kept = await closed.post("/ui/schedules/mine/edit", moved, headers=session | FORM)
        assert kept.status_code == 403, queue
    names = await stage.sql.fetch("SELECT name, queue FROM taskmill.schedule")
    assert [tuple(row) for row in names] == [("mine", "mail")]


async def test_a_task_of_another_queue_is_neither_linked_nor_judged(
    closed: Served, stage: Stage
) -> None:
    scheduler = await some(stage)
    [task, *_] = await scheduler.tasks("foreign")
    await stage.sql.execute("UPDATE taskmill.schedule SET queue = 'mail' WHERE name = 'foreign'")
    session = await visitor(closed, stage, "tasks:read queue=mail")
    text = (await closed.get("/ui/schedules/foreign", headers=session)).text
    assert str(task["id"]) not in text
    assert "Task created" in text
    everything = await visitor(closed, stage, "tasks:read")
    assert str(task["id"]) in (await closed.get("/ui/schedules/foreign", headers=everything)).text


async def test_actions_have_entries_in_the_audit_log(closed: Served, stage: Stage) -> None:
    await some(stage)
    grants = ("tasks:read", "tasks:operate", "tasks:create", "admin")
    session = await visitor(closed, stage, *grants)
    for action in ("pause", "resume", "run", "delete"):
        sent = await closed.post(f"/ui/schedules/own/{action}", headers=session | FORM)
        assert sent.status_code == 303
    rows = await stage.sql.fetch(
        "SELECT action FROM taskmill.audit_entry WHERE target_id = 'own' AND actor_name LIKE 'key-%' ORDER BY id"
    )
    actions = [row["action"] for row in rows]
    assert actions[-4:] == [f"schedule.{one}" for one in ("pause", "resume", "run", "delete")]
    log = (await closed.get("/ui/audit", headers=session)).text
    assert 'href="/ui/schedules/own"' in log


async def test_what_sql_has_asked_for_belongs_to_its_queue(closed: Served, stage: Stage) -> None:
    for name, queue in (("own", "mail"), ("foreign", "secret")):
        await put_schedule(stage.sql, name, task={"name": "x", "queue": queue})
    session = await visitor(closed, stage, "tasks:read queue=mail")
    listed = (await closed.get("/ui/schedules", headers=session)).text
    assert 'href="/ui/schedules/own"' in listed
    assert "foreign" not in listed
    answers = [
        (await closed.get(f"/ui/schedules/{name}", headers=session)).status_code
        for name in ("own", "foreign", "missing")
    ]
    assert answers == [200, 404, 404]
