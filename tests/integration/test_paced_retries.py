"""Many tasks are retried after a delay, some each second, or only the oldest of them."""

import re
from html import unescape

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Pace, Sweep, TaskFilter
from tests.support.api import Served
from tests.support.audit import entries
from tests.support.failing import fail
from tests.support.pages import HTMX, fields_of, finished, pages
from tests.support.stage import Stage

__all__ = ["pages"]

FAILED = TaskFilter(error="E in shop.call")


async def test_tasks_are_due_one_after_the_other_from_step_to_step(stage: Stage) -> None:
    ids = [await fail(stage, place="shop.call") for _ in range(5)]
    first_at = await stage.sql.fetchval("SELECT now() + interval '1 hour'")
    pace = Pace(first_at=first_at, spacing_s=0.5)
    step = await stage.service.sweep_step(Sweep.RETRY, FAILED, None, most=2, pace=pace)
    assert step.next_start is not None
    following = pace.after(step.changed)
    await stage.service.sweep_step(Sweep.RETRY, FAILED, step.next_start, pace=following)
    due = [((await stage.task(one)).run_at - first_at).total_seconds() for one in ids]
    assert due == [0.0, 0.5, 1.0, 1.5, 2.0]
    waiting = await stage.sql.fetch("SELECT run_at FROM taskmill.dispatch ORDER BY task_id")
    assert [(row["run_at"] - first_at).total_seconds() for row in waiting] == due


async def test_a_pace_that_began_in_the_past_is_due_now(stage: Stage) -> None:
    task_id = await fail(stage, place="shop.call")
    before = await stage.sql.fetchval("SELECT now()")
    pace = Pace(first_at=await stage.sql.fetchval("SELECT now() - interval '1 hour'"))
    await stage.service.sweep_step(Sweep.RETRY, FAILED, None, pace=pace)
    assert (await stage.task(task_id)).run_at >= before


async def test_some_tasks_are_retried_later_and_slowly(pages: Served, stage: Stage) -> None:
    ids = [await fail(stage, place="shop.call") for _ in range(4)]
    form = b"what=retry&status=failed&error=E+in+shop.call"
    preview = await pages.post("/ui/sweeps/preview", form, headers=HTMX)
    fields = fields_of(preview.text) | {"delay_min": "60", "per_s": "2", "most": "3"}
    started = await pages.http.post("/ui/sweeps", data=fields)
    shown = await finished(pages, started.headers["location"])
    assert "Retried 3 tasks" in " ".join(unescape(re.sub("<[^>]*>", " ", shown)).split())
    tasks = [await stage.task(one) for one in ids]
    assert [one.status for one in tasks] == [Status.NEW] * 3 + [Status.FAILED]
    due = [(one.run_at - tasks[0].run_at).total_seconds() for one in tasks[:3]]
    assert due == [0.0, 0.5, 1.0]
    assert 3500 < (tasks[0].run_at - stage.clock.now()).total_seconds() <= 3600
    [entry] = await entries(stage)
    assert "first_at" in entry.asked


@pytest.mark.parametrize("field", ["delay_min=x", "per_s=-1", "delay_min=10081", "most=1.5"])
async def test_a_pace_that_is_none_is_refused(pages: Served, stage: Stage, field: str) -> None:
    await fail(stage, place="shop.call")
    form = f"what=retry&status=failed&{field}".encode()
    response = await pages.post("/ui/sweeps", form, headers=HTMX)
    assert response.status_code == 422
    assert field.partition("=")[0] in response.text


async def test_a_cancel_knows_no_pace(pages: Served, stage: Stage) -> None:
    waits = await stage.created(queue="mail")
    preview = await pages.post("/ui/sweeps/preview", b"what=cancel&queue=mail", headers=HTMX)
    assert "delay_min" not in preview.text
    fields = fields_of(preview.text) | {"delay_min": "60"}
    started = await pages.http.post("/ui/sweeps", data=fields)
    await finished(pages, started.headers["location"])
    assert (await stage.task(waits.id)).status is Status.CANCELLED
