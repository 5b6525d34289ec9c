"""Many tasks are retried after a delay, some each second, or only the oldest of them."""

import re
from html import unescape

import pytest

from taskmill.domain.lifecycle import Status
from tests.support.api import Served
from tests.support.audit import entries
from tests.support.failing import fail
from tests.support.pages import HTMX, fields_of, finished, pages
from tests.support.stage import Stage

__all__ = ["pages"]


async def test_some_tasks_are_retried_later_and_slowly(pages: Served, stage: Stage) -> None:
    ids = [await fail(stage, place="shop.call") for _ in range(4)]
    form = b"what=retry&status=failed&error=E+in+shop.call"
    preview = await pages.post("/ui/sweeps/preview", form, headers=HTMX)
    fields = fields_of(preview.text) | {"delay_min": "60", "per_second": "2", "limit": "3"}
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


@pytest.mark.parametrize("field", ["delay_min=x", "per_second=-1", "delay_min=10081", "limit=1.5"])
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
