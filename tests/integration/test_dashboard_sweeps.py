"""Cancelling and retrying many tasks from a page: never all by mistake, and never more than were confirmed."""

import re
from uuid import uuid4

import pytest

from taskmill.domain.lifecycle import ErrorInfo, Failed, Status, Succeeded
from taskmill.domain.system import Sweep
from tests.support.api import Served
from tests.support.failing import fail
from tests.support.pages import HTMX, fields_of, finished
from tests.support.stage import Stage

ERROR = ErrorInfo(type="ValueError", message="it broke")


async def one_in_each_status(stage: Stage) -> dict[Status, object]:
    """Make tasks of queue `a`, one in each status but running; return their ids."""
    lease = await stage.open_lease()
    found: dict[Status, object] = {}
    for status, outcome in ((Status.SUCCEEDED, Succeeded()), (Status.FAILED, Failed(error=ERROR))):
        taken = await stage.running(lease, queue="a")
        await stage.end(taken, lease, outcome)
        found[status] = taken.task.id
    cancelled = await stage.created(queue="a")
    await stage.service.cancel(cancelled.id)
    found[Status.CANCELLED] = cancelled.id
    found[Status.NEW] = (await stage.created(queue="a")).id
    return found


@pytest.mark.parametrize("form", [b"what=retry", b"what=cancel", b"what=retry&order=asc"])
async def test_without_a_filter_nothing_is_counted_and_nothing_is_begun(
    pages: Served, stage: Stage, form: bytes
) -> None:
    waits = await stage.created()
    for address in ("/ui/sweeps/preview", "/ui/sweeps"):
        response = await pages.post(address, form, headers=HTMX)
        assert response.status_code == 422
        assert "expected a filter, or picked tasks" in response.text
    html = (await pages.get("/ui/tasks")).text
    assert re.findall(r'name="what" value="(\w+)"[^>]* hidden>', html) == ["retry", "cancel"]
    assert (await stage.task(waits.id)).status is Status.NEW


async def test_what_succeeded_runs_again_only_when_its_status_is_named(
    pages: Served, stage: Stage
) -> None:
    ids = await one_in_each_status(stage)
    preview = await pages.post("/ui/sweeps/preview", b"what=retry&queue=a", headers=HTMX)
    assert '<p class="big num">1</p>' in preview.text
    started = await pages.http.post("/ui/sweeps", data=fields_of(preview.text))
    await finished(pages, started.headers["location"])
    events = {status: await stage.event_types(ids[status]) for status in ids}  # type: ignore[arg-type]  # ids
    assert [status for status in ids if "run_again" in events[status]] == [Status.FAILED]
    by_name = b"what=retry&queue=a&status=succeeded&status=cancelled"
    preview = await pages.post("/ui/sweeps/preview", by_name, headers=HTMX)
    assert '<p class="big num">2</p>' in preview.text


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ("queue=a", ["retry", "cancel"]),
        ("queue=a&status=new", ["cancel"]),
        ("queue=a&status=succeeded", ["retry"]),
        ("queue=a&status=failed&status=new", ["retry", "cancel"]),
        ("queue=b", ["cancel"]),
    ],
)
async def test_only_what_can_apply_is_offered(
    pages: Served, stage: Stage, query: str, offered: list[str]
) -> None:
    await one_in_each_status(stage)
    await stage.created(queue="b")
    html = (await pages.get(f"/ui/tasks?{query}")).text
    assert re.findall(r'name="what" value="(\w+)"[^>]* data-offered', html) == offered


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than two tasks are many."""
    monkeypatch.setattr("taskmill.dashboard.pages.sweeps.MOST_UNTYPED", 2)


@pytest.mark.usefixtures("few")
async def test_a_large_number_is_typed(pages: Served, stage: Stage) -> None:
    tasks = [await stage.created(queue="a") for _ in range(3)]
    preview = await pages.post("/ui/sweeps/preview", b"what=cancel&queue=a", headers=HTMX)
    assert 'name="typed"' in preview.text
    fields = fields_of(preview.text)
    for typed in ({}, {"typed": ""}, {"typed": "2"}, {"typed": "three"}, {"typed": "33"}):
        refused = await pages.http.post("/ui/sweeps", data={**fields, **typed}, headers=HTMX)
        assert refused.status_code == 422
        assert 'name="typed"' in refused.text
    assert {(await stage.task(one.id)).status for one in tasks} == {Status.NEW}
    started = await pages.http.post("/ui/sweeps", data={**fields, "typed": "3"})
    await finished(pages, started.headers["location"])
    assert {(await stage.task(one.id)).status for one in tasks} == {Status.CANCELLED}


@pytest.mark.usefixtures("few")
async def test_when_the_number_was_mistyped_the_pace_stays_as_chosen(
    pages: Served, stage: Stage
) -> None:
    for _ in range(4):
        await fail(stage)
    pace = {"delay_min": "60", "per_second": "2", "limit": "3"}
    form = {"what": "retry", "status": "failed", "expected": "4", "typed": "5", **pace}
    refused = await pages.http.post("/ui/sweeps", data=form, headers=HTMX)
    assert refused.status_code == 422
    assert '<details class="pace" open>' in refused.text
    shown = dict(re.findall(r'type="number" name="(\w+)" value="([^"]*)"', refused.text))
    assert shown == pace


@pytest.mark.usefixtures("few")
async def test_no_more_are_changed_than_were_confirmed(pages: Served, stage: Stage) -> None:
    tasks = [await stage.created(queue="a") for _ in range(5)]
    # As if most of them fit only after the preview; and a post without a preview.
    for more, changed in (({"expected": "3", "typed": "3"}, 3), ({}, 2)):
        form = {"what": "cancel", "queue": "a", **more}
        started = await pages.http.post("/ui/sweeps", data=form)
        shown = await finished(pages, started.headers["location"])
        assert f"{changed} tasks" in shown
        # The second time nothing is left.
        assert ("at its number of tasks" in shown) is (changed == 3)
    assert {(await stage.task(one.id)).status for one in tasks} == {Status.CANCELLED}


@pytest.mark.parametrize("typed", ["1,234", "1\u202f234", "1 234", "1234"])
async def test_a_number_may_be_typed_as_it_is_shown(pages: Served, typed: str) -> None:
    form = {"what": "cancel", "queue": "a", "expected": "1234", "typed": typed}
    assert (await pages.http.post("/ui/sweeps", data=form)).status_code == 303


@pytest.mark.parametrize("what", list(Sweep))
async def test_many_tasks_are_counted_and_then_dealt_with(
    pages: Served, stage: Stage, what: Sweep
) -> None:
    mine = [await stage.created(queue="mine") for _ in range(5)]
    other = await stage.created()
    if what is Sweep.RETRY:
        for task in (*mine, other):
            await stage.service.cancel(task.id)
    status = "&status=cancelled" if what is Sweep.RETRY else ""
    form = f"what={what}&queue=mine{status}".encode()
    preview = await pages.post("/ui/sweeps/preview", form, headers={"hx-request": "true"})
    assert ">5</p>" in preview.text
    started = await pages.post("/ui/sweeps", form)
    assert "5 tasks" in await finished(pages, started.headers["location"])
    statuses = {(await stage.task(task.id)).status for task in mine}
    assert statuses == {Status.NEW if what is Sweep.RETRY else Status.CANCELLED}
    assert (await stage.task(other.id)).version == (2 if what is Sweep.RETRY else 1)


async def test_a_selection_is_dealt_with_and_nothing_else(pages: Served, stage: Stage) -> None:
    tasks = [await stage.created() for _ in range(4)]
    form = f"what=cancel&id={tasks[0].id}&id={tasks[2].id}&id={uuid4()}".encode()
    started = await pages.post("/ui/sweeps", form)
    assert "2 tasks" in await finished(pages, started.headers["location"])
    statuses = [(await stage.task(task.id)).status for task in tasks]
    assert statuses == [Status.CANCELLED, Status.NEW, Status.CANCELLED, Status.NEW]


async def test_a_status_that_does_not_allow_it_is_not_even_counted(
    pages: Served, stage: Stage
) -> None:
    await stage.created()
    preview = await pages.post("/ui/sweeps/preview", b"what=retry&status=new")
    assert "No task that fits can be retried." in preview.text
