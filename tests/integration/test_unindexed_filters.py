"""Tasks by source, priority, attempts and how long the last one took; and the menus for filters."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from taskmill.dashboard.pages import windows
from taskmill.domain.lifecycle import Failed, Status, Succeeded
from taskmill.domain.system import PageRequest, Sweep, TaskFilter
from taskmill.storage import listing
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.builders import ERROR, a_draft
from tests.support.pages import HTMX, serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor

VISIBLE = (None, frozenset({"mail", "news"}))


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def found(stage: Stage, wanted: TaskFilter) -> set[UUID]:
    page = await listing.page(stage.database, wanted, PageRequest(limit=50))
    assert page.next_after is None
    return {task.id for task in page.items}


async def one_of_each(stage: Stage, **parts: object) -> dict[Status, UUID]:
    """A task that waits, one that runs, and one that has ended, in the queue mail."""
    lease = await stage.open_lease()
    ended = await stage.running(lease, queue="mail", **parts)
    await stage.end(ended, lease, Failed(error=ERROR))
    running = await stage.running(lease, queue="mail", **parts)
    waiting = await stage.created(queue="mail", delay=timedelta(hours=1), **parts)
    return {
        Status.FAILED: ended.task.id,
        Status.IN_PROGRESS: running.task.id,
        Status.NEW: waiting.id,
    }


@pytest.mark.parametrize("visible", VISIBLE)
@pytest.mark.parametrize(
    ("given", "other", "wanted"),
    [
        ({"source": "amqp"}, {"source": "rest"}, TaskFilter(source="amqp")),
        ({"priority": 0}, {"priority": 1}, TaskFilter(priority=0)),
        ({"priority": 9}, {"priority": 0}, TaskFilter(priority=9)),
    ],
)
async def test_a_task_is_found_by_what_it_was_created_with_wherever_it_is(
    stage: Stage,
    given: dict[str, object],
    other: dict[str, object],
    wanted: TaskFilter,
    visible: frozenset[str] | None,
) -> None:
    theirs = await one_of_each(stage, **given)
    await one_of_each(stage, **other)
    wanted = replaced(wanted, visible=visible)
    assert await found(stage, wanted) == set(theirs.values())
    for status, task_id in theirs.items():
        assert await found(stage, replaced(wanted, statuses=frozenset({status}))) == {task_id}
    assert await found(stage, replaced(wanted, type="none")) == set()


def replaced(wanted: TaskFilter, **parts: object) -> TaskFilter:
    return replace(wanted, **parts)  # type: ignore[arg-type]  # as the caller says


@pytest.mark.parametrize("visible", VISIBLE)
async def test_how_long_is_of_what_ended_and_of_what_runs(
    stage: Stage, visible: frozenset[str] | None
) -> None:
    tasks = await one_of_each(stage)
    await one_of_each(stage)
    ended, running = tasks[Status.FAILED], tasks[Status.IN_PROGRESS]
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(
        "UPDATE taskmill.task SET started_at = finished_at - interval '90 s' WHERE id = $1", ended
    )
    await stage.sql.execute(
        "UPDATE taskmill.running SET started_at = now() - interval '1 h' WHERE task_id = $1",
        running,
    )
    longer = TaskFilter(took_over=timedelta(seconds=60), visible=visible)
    assert await found(stage, longer) == {ended, running}
    assert await found(stage, replaced(longer, took_over=timedelta(seconds=90))) == {running}
    assert await found(stage, replaced(longer, statuses=frozenset({Status.FAILED}))) == {ended}
    assert await found(stage, replaced(longer, statuses=frozenset({Status.NEW}))) == set()


@pytest.mark.parametrize("visible", VISIBLE)
async def test_attempts_are_those_that_have_begun(
    stage: Stage, visible: frozenset[str] | None
) -> None:
    lease = await stage.open_lease()
    twice = await stage.running(lease, queue="mail", max_attempts=3)
    await stage.end(twice, lease, Failed(error=ERROR))
    [again] = await stage.take(lease, queue="mail")
    assert again.task.id == twice.task.id
    once = await stage.running(lease, queue="mail")
    never = await stage.created(queue="mail", delay=timedelta(hours=1))
    over = TaskFilter(attempts_over=1, visible=visible)
    assert await found(stage, over) == {twice.task.id}
    assert await found(stage, replaced(over, attempts_over=0)) == {twice.task.id, once.task.id}
    await stage.end(again, lease, Succeeded(result=None))
    assert await found(stage, over) == {twice.task.id}
    assert never.id not in await found(stage, replaced(over, attempts_over=0))


async def test_a_sweep_changes_and_records_what_such_a_filter_admits(stage: Stage) -> None:
    urgent = await stage.created(priority=0, delay=timedelta(hours=1))
    other = await stage.created(priority=1, delay=timedelta(hours=1))
    slow = TaskFilter(took_over=timedelta(seconds=90), attempts_over=0)
    await stage.service.sweep(Sweep.CANCEL, TaskFilter(priority=0), None, dry_run=False)
    await stage.service.sweep(Sweep.CANCEL, slow, None, dry_run=False)
    assert (await stage.task(urgent.id)).status is Status.CANCELLED
    assert (await stage.task(other.id)).status is Status.NEW
    rows = await stage.sql.fetch("SELECT details FROM taskmill.audit_entry ORDER BY id")
    details = [orjson.loads(row["details"]) for row in rows]
    assert details[0]["priority"] == 0
    assert (details[1]["took_over_s"], details[1]["attempts_over"]) == (90, 0)
    assert "source" not in details[1]


async def test_the_filter_of_the_page_finds_what_fits_and_complains_about_the_rest(
    pages: Served, stage: Stage
) -> None:
    await stage.creation.create_all(
        [
            a_draft(name="wanted", priority=7, source="amqp"),
            a_draft(name="other", priority=6, source="amqp"),
            a_draft(name="third", priority=7),
        ]
    )
    html = (await pages.get("/ui/tasks?priority=7&source=amqp")).text
    assert re.findall(">(wanted|other|third)<", html) == ["wanted"]
    assert '<option value="7" selected>' in html
    # Such a filter is one: what fits can be cancelled.
    assert "data-offered" in html
    for query in ("took_over=5min", "took_over=1.5 h", "took_over=3", "attempts_over=2"):
        assert (await pages.get(f"/ui/tasks?{query}")).status_code == 200, query
    for query in (
        "took_over=soon",
        "took_over=-1",
        "attempts_over=1.5",
        "priority=10",
        "source=mail",
    ):
        assert (await pages.get(f"/ui/tasks?{query}")).status_code == 422, query


async def test_the_menus_have_queues_types_and_workers_with_their_tasks(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "_LONG_TTL_S", 0.0)
    lease = await stage.open_lease(worker="press", ttl_s=600)
    for _ in range(3):
        await stage.created(queue="mail", type="send")
    await stage.take(lease, 2)
    await stage.sql.execute("UPDATE taskmill.lease SET running = 2")
    html = (await pages.get("/ui/tasks/choices?queue=gone&type=send", headers=HTMX)).text
    plain = re.sub("[\u2068\u2069]", "", html)
    assert '<option value="mail">mail (3)' in plain
    assert '<option value="gone" selected>gone' in plain
    assert '<option value="send" selected>send (3)' in plain
    assert f'<option value="{lease}">press (2)' in plain
    await stage.sql.execute("DELETE FROM taskmill.task_minute_delta")
    await stage.sql.execute("DELETE FROM taskmill.task_minute")
    # Of a type that nothing happened to for a day there may be tasks, too.
    html = (await pages.get("/ui/tasks/choices", headers=HTMX)).text
    assert '<option value="send">send (0)' in re.sub("[\u2068\u2069]", "", html)
    assert (await pages.get("/ui/tasks/choices?queue=No+Such")).status_code == 422
    assert 'hx-trigger="load"' in (await pages.get("/ui/tasks?queue=mail")).text
    assert "toggle from:closest details once" in (await pages.get("/ui/tasks")).text


async def test_many_values_are_suggestions(pages: Served, stage: Stage) -> None:
    await stage.creation.create_all([a_draft(queue=f"q{number}") for number in range(201)])
    html = (await pages.get("/ui/tasks/choices")).text
    assert 'list="offered-queue"' in html
    assert '<option value="q200">1</option>' in html


async def test_the_menus_have_only_what_a_key_may_see(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail")
    await stage.open_lease(worker="hidden-worker", ttl_s=600, queues=("hidden",))
    await stage.created(queue="hidden", type="hidden-type")
    await stage.created(queue="mail", type="send")
    html = (await closed.get("/ui/tasks/choices", headers=session)).text
    assert "mail" in html
    assert "send" in html
    assert "hidden" not in html
