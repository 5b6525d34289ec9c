"""Rescheduling in the dashboard: a button, a form, its faults, and who sees them."""

import re
from datetime import UTC, timedelta

from taskmill.domain.lifecycle import Status
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.pages import fields_of, serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


async def send(pages: Served, path: str, **fields: str) -> tuple[int, str]:
    response = await pages.http.post(path, data=fields, headers=SAME_ORIGIN)
    return response.status_code, response.text


async def test_a_task_that_is_not_due_runs_now_by_a_button(pages: Served, stage: Stage) -> None:
    task = await stage.created(delay=timedelta(hours=1))
    address = f"/ui/tasks/{task.id}/reschedule"
    assert "Run now" in (await pages.get(f"/ui/tasks/{task.id}")).text
    assert (await send(pages, address, now="1"))[0] == 303
    assert (await stage.task(task.id)).run_at <= stage.clock.now()
    html = (await pages.get(f"/ui/tasks/{task.id}")).text
    assert "Run now" not in html
    assert "Rescheduled" in html


async def test_the_form_changes_only_what_is_filled_in_otherwise(
    pages: Served, stage: Stage
) -> None:
    task = await stage.created(queue="mail", priority=4, delay=timedelta(hours=1))
    address = f"/ui/tasks/{task.id}/reschedule"
    html = (await pages.get(address)).text
    due = task.run_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert f'value="{due}"' in html
    form = {**fields_of(html), "run_at": due, "priority": "9", "queue": "urgent"}
    assert (await send(pages, address, **form))[0] == 303
    changed = await stage.task(task.id)
    assert (changed.queue, changed.priority, changed.run_at) == ("urgent", 9, task.run_at)
    form = {"version": "2", "run_at": "2090-01-31T09:00", "priority": "9", "queue": "urgent"}
    assert (await send(pages, address, **form))[0] == 303
    changed = await stage.task(task.id)
    assert changed.run_at.isoformat() == "2090-01-31T09:00:00+00:00"
    form["version"] = "3"
    assert (await send(pages, address, **form))[0] == 303
    assert (await stage.task(task.id)).version == 3


async def test_a_due_time_that_a_browser_writes_without_seconds_stays_as_it_is(
    pages: Served, stage: Stage
) -> None:
    hour = stage.clock.now().replace(minute=0, second=0, microsecond=500) + timedelta(hours=2)
    task = await stage.created(run_at=hour)
    address = f"/ui/tasks/{task.id}/reschedule"
    form = {"version": "1", "run_at": hour.strftime("%Y-%m-%dT%H:%M"), "priority": "9"}
    assert (await send(pages, address, **form))[0] == 303
    changed = await stage.task(task.id)
    assert (changed.priority, changed.run_at) == (9, hour)


async def test_faults_are_shown_at_their_fields(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    address = f"/ui/tasks/{task.id}/reschedule"
    status, html = await send(pages, address, version="1", queue="No Such", priority="4")
    assert status == 422
    assert 'href="#f-queue"' in html
    assert 'value="No Such"' in html
    assert await stage.task(task.id) == task


async def test_a_version_that_no_task_can_have_changes_nothing(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    for version in ("0", "x", "²", "9" * 5000):
        address = f"/ui/tasks/{task.id}/reschedule"
        assert (await send(pages, address, version=version, priority="9"))[0] == 422
    assert await stage.task(task.id) == task


async def test_a_task_that_has_changed_meanwhile_is_left_alone(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    address = f"/ui/tasks/{task.id}/reschedule"
    assert (await send(pages, address, version="1", priority="9"))[0] == 303
    status, html = await send(pages, address, version="1", priority="0")
    assert (status, (await stage.task(task.id)).priority) == (412, 9)
    assert "one that has changed since" in html
    assert fields_of(html)["version"] == "2"


async def test_what_does_not_wait_has_no_form(pages: Served, stage: Stage) -> None:
    taken = await stage.running(await stage.open_lease())
    address = f"/ui/tasks/{taken.task.id}/reschedule"
    assert (await pages.get(address)).status_code == 409
    assert (await send(pages, address, now="1"))[0] == 409
    assert "/reschedule" not in (await pages.get(f"/ui/tasks/{taken.task.id}")).text


async def test_a_cancelled_task_has_a_receipt(pages: Served, stage: Stage) -> None:
    waiting = await stage.created()
    await pages.post(f"/ui/tasks/{waiting.id}/cancel", headers=SAME_ORIGIN)
    html = (await pages.get(f"/ui/tasks/{waiting.id}")).text
    assert "Cancelled while it waited" in html
    taken = await stage.running(await stage.open_lease())
    await pages.post(f"/ui/tasks/{taken.task.id}/cancel", headers=SAME_ORIGIN)
    assert (await stage.task(taken.task.id)).status is Status.IN_PROGRESS
    html = (await pages.get(f"/ui/tasks/{taken.task.id}")).text
    assert re.search(r"Its worker was asked to stop it.*tester", html, re.DOTALL)


async def test_a_visitor_moves_tasks_where_they_may_be_created_and_read(stage: Stage) -> None:
    task = await stage.created(queue="mail")
    grants = ("tasks:read queue=mail,bulk", "tasks:create queue=bulk,other")
    async with serving_pages(stage, REQUIRED) as closed:
        headers = SAME_ORIGIN | await visitor(closed, stage, *grants, "tasks:operate queue=mail")
        refused, moved = [
            await closed.http.post(
                f"/ui/tasks/{task.id}/reschedule", data={"queue": queue}, headers=headers
            )
            for queue in ("other", "bulk")
        ]
    assert (refused.status_code, moved.status_code) == (403, 303)
    assert "tasks:read" in refused.text
    assert (await stage.task(task.id)).queue == "bulk"


async def test_a_queue_too_many_for_a_visitors_key_is_shown_in_the_form(stage: Stage) -> None:
    task = await stage.created(queue="mail")
    grants = ("tasks:read", "tasks:create", "tasks:operate")
    async with serving_pages(stage, REQUIRED) as closed:
        headers = SAME_ORIGIN | await visitor(closed, stage, *grants, quotas=("queues=1",))
        moved, refused = [
            await closed.http.post(
                f"/ui/tasks/{task.id}/reschedule", data={"queue": queue}, headers=headers
            )
            for queue in ("first", "second")
        ]
    assert (moved.status_code, refused.status_code) == (303, 409)
    assert 'value="second"' in refused.text
    assert 'href="#f-queue"' in refused.text
    assert "this API key has 1 queues that its tasks made already" in refused.text
    assert (await stage.task(task.id)).queue == "first"
