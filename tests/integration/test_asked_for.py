"""A task shows what was asked for: time limit, expiry, retry policy and callback, wherever it is shown."""

import html
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from taskmill.wire.tasks import TaskView
from tests.support.api import Served
from tests.support.builders import a_draft
from tests.support.stage import Stage

ASKED: dict[str, Any] = {
    "timeout_s": 7.5,
    "expires_at": "2050-01-01T00:00:00.000000Z",
    "retry": {"base_s": 2.5, "factor": 3},
    "callback_url": "https://example.org/done?order=5&sig=a%20b",
}
SHOWN = {**ASKED, "retry": {"base_s": 2.5, "factor": 3.0, "max_s": 3600.0, "jitter": 0.1}}
NOTHING = dict.fromkeys(ASKED)


def asked_of(task: dict[str, Any]) -> dict[str, Any]:
    return {name: task[name] for name in ASKED}


async def test_a_task_shows_what_was_asked_for(api: Served) -> None:
    created = await api.create(name="all", **ASKED)
    plain = await api.create(name="none")
    assert (asked_of(created), asked_of(plain)) == (SHOWN, NOTHING)
    for task in (created, plain):
        answer = await api.get(f"/tasks/{task['id']}")
        TaskView.model_validate_json(answer.content)
        assert answer.json() == task
    listed = (await api.get("/tasks", params={"order": "asc"})).json()["items"]
    assert listed == [created, plain]
    again = await api.post("/tasks", {"name": "all", **ASKED}, headers={"idempotency-key": "k"})
    same = await api.post("/tasks", {"name": "all", **ASKED}, headers={"idempotency-key": "k"})
    assert asked_of(same.json()) == asked_of(again.json()) == SHOWN


async def test_a_cancelled_and_a_repeated_task_still_show_it(api: Served) -> None:
    created = await api.create(**ASKED)
    cancelled = await api.post(f"/tasks/{created['id']}/cancel")
    assert asked_of(cancelled.json()) == SHOWN
    again = await api.post(f"/tasks/{created['id']}/retry")
    assert asked_of(again.json()) == {**SHOWN, "expires_at": None}, "a new run does not expire"


async def test_events_and_the_earlier_form_do_not(api: Served) -> None:
    created = await api.create(**ASKED)
    [event] = (await api.get(f"/tasks/{created['id']}/events")).json()["items"]
    old = (await api.get(f"/task_service/api/v1/task/{created['id']}/")).json()
    assert not ASKED.keys() & (event.keys() | old.keys())


async def test_a_task_from_sql_shows_it_too(api: Served, stage: Stage) -> None:
    task_id = await stage.sql.fetchval(
        "SELECT taskmill.create_task(name => 'x', timeout_s => 7.5, expires_at => '2050-01-01T00:00:00Z', "
        "retry => $1::json, callback_url => $2)",
        orjson.dumps(ASKED["retry"]).decode(),
        ASKED["callback_url"],
    )
    assert asked_of((await api.get(f"/tasks/{task_id}")).json()) == SHOWN


async def test_the_page_of_a_task_and_the_form_like_it_show_it(pages: Served) -> None:
    task = await pages.create(**ASKED)
    page = html.unescape((await pages.get(f"/ui/tasks/{task['id']}")).text)
    for words in ("7.5\u00a0s", "2050-01-01", "2.5\u00a0s \u00d7 3", ASKED["callback_url"]):
        assert words in page
    form = html.unescape((await pages.get(f"/ui/create?like={task['id']}")).text)
    for words in ('name="timeout_s" value="7.5"', 'value="2.5"', ASKED["callback_url"]):
        assert words in form


async def test_whoever_creates_many_sees_it_of_each(stage: Stage) -> None:
    until = datetime(2050, 1, 1, tzinfo=UTC)
    made = await stage.service.create_all(
        [a_draft(timeout=timedelta(seconds=n + 1), expires_at=until) for n in range(3)]
    )
    for number, one in enumerate(made):
        read = await stage.task(one.task.id)
        assert (read.timeout, read.expires_at) == (timedelta(seconds=number + 1), until)
        assert read == one.task
