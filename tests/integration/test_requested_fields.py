"""A task shows what its request had: timeout, expiry, retry policy and callback, wherever it is shown."""

import html
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from taskmill.wire.tasks import TaskView
from tests.support.api import Served
from tests.support.builders import a_draft
from tests.support.stage import Stage

REQUEST: dict[str, Any] = {
    "timeout_s": 7.5,
    "expires_at": "2050-01-01T00:00:00.000000Z",
    "retry": {"base_s": 2.5, "factor": 3},
    "callback_url": "https://example.org/done?order=5&sig=a%20b",
}
SHOWN = {**REQUEST, "retry": {"base_s": 2.5, "factor": 3.0, "max_s": 3600.0, "jitter": 0.1}}
NOTHING = dict.fromkeys(REQUEST)


def requested_fields(task: dict[str, Any]) -> dict[str, Any]:
    return {name: task[name] for name in REQUEST}


async def test_a_task_shows_what_was_requested(api: Served) -> None:
    created = await api.create(name="all", **REQUEST)
    plain = await api.create(name="none")
    assert (requested_fields(created), requested_fields(plain)) == (SHOWN, NOTHING)
    for task in (created, plain):
        response = await api.get(f"/tasks/{task['id']}")
        TaskView.model_validate_json(response.content)
        assert response.json() == task
    listed = (await api.get("/tasks", params={"order": "asc"})).json()["items"]
    assert listed == [created, plain]
    again = await api.post("/tasks", {"name": "all", **REQUEST}, headers={"idempotency-key": "k"})
    same = await api.post("/tasks", {"name": "all", **REQUEST}, headers={"idempotency-key": "k"})
    assert requested_fields(same.json()) == requested_fields(again.json()) == SHOWN


async def test_a_cancelled_and_a_retried_task_still_show_it(api: Served) -> None:
    created = await api.create(**REQUEST)
    cancelled = await api.post(f"/tasks/{created['id']}/cancel")
    assert requested_fields(cancelled.json()) == SHOWN
    again = await api.post(f"/tasks/{created['id']}/retry")
    assert requested_fields(again.json()) == {**SHOWN, "expires_at": None}, (
        "a new run does not expire"
    )


async def test_events_and_the_earlier_format_do_not(api: Served) -> None:
    created = await api.create(**REQUEST)
    [event] = (await api.get(f"/tasks/{created['id']}/events")).json()["items"]
    old = (await api.get(f"/task_service/api/v1/task/{created['id']}/")).json()
    assert not REQUEST.keys() & (event.keys() | old.keys())


async def test_a_task_from_sql_shows_it_too(api: Served, stage: Stage) -> None:
    task_id = await stage.sql.fetchval(
        "SELECT taskmill.create_task(name => 'x', timeout_s => 7.5, expires_at => '2050-01-01T00:00:00Z', "
        "retry => $1::json, callback_url => $2)",
        orjson.dumps(REQUEST["retry"]).decode(),
        REQUEST["callback_url"],
    )
    assert requested_fields((await api.get(f"/tasks/{task_id}")).json()) == SHOWN


async def test_the_page_of_a_task_and_the_form_like_it_show_it(pages: Served) -> None:
    task = await pages.create(**REQUEST)
    page = html.unescape((await pages.get(f"/ui/tasks/{task['id']}")).text)
    for words in ("7.5\u00a0s", "2050-01-01", "2.5\u00a0s \u00d7 3", REQUEST["callback_url"]):
        assert words in page
    form = html.unescape((await pages.get(f"/ui/create?like={task['id']}")).text)
    for words in ('name="timeout_s" value="7.5"', 'value="2.5"', REQUEST["callback_url"]):
        assert words in form


async def test_many_tasks_created_at_once_show_it(stage: Stage) -> None:
    until = datetime(2050, 1, 1, tzinfo=UTC)
    made = await stage.creation.create_all(
        [a_draft(timeout=timedelta(seconds=n + 1), expires_at=until) for n in range(3)]
    )
    for number, one in enumerate(made):
        read = await stage.task(one.task.id)
        assert (read.timeout, read.expires_at) == (timedelta(seconds=number + 1), until)
        assert read == one.task
