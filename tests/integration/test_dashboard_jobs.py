"""The list of jobs: what each does, how far it is, who started it, and its stop."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest

from taskmill.dashboard.pages.filters import Filters
from taskmill.domain.jobs import JobRequest
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Pace, Sweep, TaskFilter
from taskmill.domain.waiting import WaitingState
from tests.support.api import Served
from tests.support.failing import fail
from tests.support.jobs import over, started
from tests.support.pages import HTMX, fields_of, finished
from tests.support.stage import Stage


def seen(html: str) -> str:
    """Return the text of a page as people see it."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split()).replace(" ,", ",")


async def test_without_jobs_the_page_says_so(pages: Served) -> None:
    assert "No jobs yet" in (await pages.get("/ui/jobs")).text


async def test_jobs_are_listed_with_their_filters_and_their_progress(
    pages: Served, stage: Stage
) -> None:
    for _ in range(2):
        await fail(stage, queue="mail", labels='{"team":"<b>"}')
    form = b"what=retry&queue=mail&status=failed&label=team%3D%3Cb%3E"
    preview = await pages.post("/ui/sweeps/preview", form, headers=HTMX)
    fields = {name: unescape(value) for name, value in fields_of(preview.text).items()}
    begun = await pages.http.post("/ui/sweeps", data=fields)
    await finished(pages, begun.headers["location"])
    html = (await pages.get("/ui/jobs")).text
    text = seen(html)
    assert "Retry tasks status: failed, label: team=<b>, queue: mail" in text
    assert "2 tasks of 2" in text
    assert "127.0.0.1" in text
    # The filter leads to the tasks that it admits.
    [address] = re.findall(r'class="sub message" dir="auto" href="([^"]*)"', html)
    query = parse_qsl(urlsplit(unescape(address)).query)
    assert ("label", "team=<b>") in query
    assert (await pages.get(unescape(address))).status_code == 200


@pytest.mark.parametrize("spacing_s", [0.0, 7_500.0])
async def test_a_retry_at_a_rate_says_when_its_last_task_is_due(
    pages: Served, stage: Stage, spacing_s: float
) -> None:
    for _ in range(2):
        await fail(stage)
    pace = Pace(first_at=await stage.sql.fetchval("SELECT now()"), spacing_s=spacing_s)
    wanted = TaskFilter(statuses=frozenset({Status.FAILED}))
    job = await started(stage, JobRequest(action=Sweep.RETRY, wanted=wanted, pace=pace))
    await over(stage, job)
    for path in ("/ui/jobs", f"/ui/jobs/{job.id}"):
        text = seen((await pages.get(path)).text)
        assert ("2 tasks The last one is due in 2 h" in text) is bool(spacing_s)


async def test_the_menu_shows_jobs_as_a_part_of_tasks(pages: Served) -> None:
    html = (await pages.get("/ui/jobs")).text
    assert re.findall(r'href="([^"]*)"[^>]* aria-current="page"', html) == ["/ui/tasks"]
    assert 'href="/ui/jobs"' in (await pages.get("/ui/tasks")).text


@pytest.mark.parametrize("took_over", [timedelta(milliseconds=1500), timedelta(days=4000)])
async def test_the_link_of_a_job_admits_what_its_filter_does(
    pages: Served, stage: Stage, took_over: timedelta
) -> None:
    now = stage.clock.now().replace(microsecond=0)
    wanted = TaskFilter(
        statuses=frozenset({Status.NEW}),
        queue="a",
        type="b",
        labels=(("k", "v=w"),),
        name="n",
        created_after=now - timedelta(hours=1),
        created_before=now,
        error="E in f",
        lease=uuid4(),
        waiting=WaitingState.HELD,
        source="rest",
        priority=0,
        took_over=took_over,
        attempts_over=0,
    )
    await over(stage, await started(stage, JobRequest(action=Sweep.CANCEL, wanted=wanted)))
    [address] = re.findall(
        r'class="sub message" dir="auto" href="([^"]*)"', (await pages.get("/ui/jobs")).text
    )
    filters = Filters.of(parse_qsl(urlsplit(unescape(address)).query))
    assert (filters.wanted(now), filters.complaints) == (wanted, {})
    assert filters.took_over in ("1.5s", "96000h")


async def test_picked_tasks_are_named_by_their_number(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    await pages.post("/ui/sweeps", f"what=cancel&id={task.id}".encode())
    assert "Cancel tasks 1 picked task" in seen((await pages.get("/ui/jobs")).text)


@pytest.mark.parametrize("headers", [{}, HTMX])
async def test_a_job_is_stopped_from_either_page(
    pages: Served, stage: Stage, headers: dict[str, str]
) -> None:
    await stage.created(queue="a")
    async with stage.sql.transaction():
        await stage.sql.execute("SELECT FROM taskmill.dispatch FOR UPDATE")
        job = await started(stage, JobRequest(action=Sweep.CANCEL, wanted=TaskFilter(queue="a")))
        assert f"/ui/jobs/{job.id}/stop" in (await pages.get("/ui/jobs")).text
        response = await pages.post(f"/ui/jobs/{job.id}/stop", headers=headers)
        shown = response if headers else await pages.get("/ui/jobs")
        assert "It stops after its current step." in shown.text
        assert f"/ui/jobs/{job.id}/stop" not in shown.text
    await over(stage, job)
    assert (await pages.get(f"/ui/jobs/{job.id}")).status_code == 286


async def test_a_job_that_nobody_continues_is_shown_as_such(pages: Served, stage: Stage) -> None:
    job = await started(stage, JobRequest(action=Sweep.CANCEL, wanted=TaskFilter(queue="a")))
    await over(stage, job)
    await stage.sql.execute(
        "UPDATE taskmill.job SET state = 'running', ended_at = NULL, "
        "updated_at = now() - interval '2 minutes', holder = gen_random_uuid(), "
        "held_until = now() + interval '1 hour'"
    )
    shown = await pages.get(f"/ui/jobs/{job.id}")
    assert shown.status_code == 200
    assert "It has not gone on for a minute." in shown.text


async def test_the_list_has_pages(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.dashboard.pages.jobs._ON_A_PAGE", 2)
    for queue in ("first", "second", "third"):
        await started(stage, JobRequest(action=Sweep.CANCEL, wanted=TaskFilter(queue=queue)))
    newest = (await pages.get("/ui/jobs")).text
    assert "third" in newest
    assert "queue: first" not in seen(newest)
    [older] = re.findall(r'rel="next" href="([^"]*)"', newest)
    assert "queue: first" in seen((await pages.get(unescape(older))).text)
    assert (await pages.get("/ui/jobs?before=x")).status_code == 422
