"""The page of one queue: its charts, failures, slowest tasks, workers and pause, and who may see it."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskmill.domain.lifecycle import Failed, Succeeded
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.builders import ERROR
from tests.support.pages import serving_pages
from tests.support.plans import check, explaining
from tests.support.rolling import now
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor


async def run(stage: Stage, queue: str, type_: str, *, fails: bool = False, name: str = "t") -> str:
    lease = await stage.open_lease(ttl_s=600, queues=(queue,), worker=f"of-{queue}")
    task = await stage.running(lease, type=type_, queue=queue, name=name)
    await stage.end(task, lease, Failed(error=ERROR) if fails else Succeeded())
    return str(task.task.id)


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def test_a_queue_has_its_charts_its_failures_and_who_serves_it(
    pages: Served, stage: Stage
) -> None:
    await run(stage, "mail", "send", fails=True)
    await run(stage, "mail", "fetch", fails=True)
    await run(stage, "other", "charge", fails=True)
    await stage.created(queue="mail", type="send")
    html = (await pages.get("/ui/queues/mail")).text
    for name in ("throughput", "failures", "waiting", "running", "backlog", "slots"):
        assert f'id="chart-{name}"' in html
    assert re.search(r'id="chart-failures"[^>]*data-names="(fetch\|send|send\|fetch)"', html)
    assert re.findall(r'id="chart-backlog"[^>]*data-points="[^"]*,([0-9]+)\]\]"', html) == ["1"]
    assert "of-mail" in html
    assert "/ui/failures/" in html
    for words in ("of-other", "charge"):
        assert words not in html
    assert "/ui/queues/mail" in (await pages.get("/ui/queues")).text


async def test_the_slowest_tasks_come_first_and_lead_to_their_pages(
    pages: Served, stage: Stage
) -> None:
    quick, slow, other = [await run(stage, "mail", "send") for _ in range(3)]
    foreign = await run(stage, "elsewhere", "send")
    await stage.sql.execute("SET session_replication_role = replica")
    for task_id, seconds in ((quick, 1), (slow, 90), (other, 30), (foreign, 300)):
        await stage.sql.execute(
            "UPDATE taskmill.task SET started_at = finished_at - make_interval(secs => $2)"
            " WHERE id = $1",
            task_id,
            seconds,
        )
    for path, expected in (
        ("/ui/queues/mail", [slow, other, quick]),
        ("/ui/types/send", [foreign, slow, other, quick]),
    ):
        html = (await pages.get(path)).text
        [card] = re.findall(r'<h2 id="slowest">.*?</section>', html, re.DOTALL)
        assert re.findall(r"/ui/tasks/([0-9a-f-]{36})", card) == expected
        assert "1\N{NO-BREAK SPACE}min 30\N{NO-BREAK SPACE}s" in card
    before = (await pages.get("/ui/queues/mail?from=2026-01-01T00:00Z&to=2026-01-02T00:00Z")).text
    assert "No task was found that was created in this span of time" in before


async def test_a_queue_is_paused_and_resumed_on_its_page(pages: Served, stage: Stage) -> None:
    await run(stage, "mail", "send")
    html = (await pages.get("/ui/queues/mail?window=24h")).text
    [action] = re.findall(r'action="([^"]*/ui/queues/mail/pause[^"]*)"', html)
    response = await pages.post(action.replace("&amp;", "&"), b"", headers=FORM)
    assert response.headers["location"] == "/ui/queues/mail?window=24h"
    html = (await pages.get("/ui/queues/mail?window=24h")).text
    assert "Paused" in html
    [marks] = set(re.findall(r'data-marks="([^"]*)"', html))
    assert "Queue mail paused" in marks
    assert "1 worker started: of-mail" in marks
    overview = (await pages.get("/?window=24h")).text
    assert "Queue mail paused" in overview
    assert "Queue mail paused" not in (await pages.get("/ui/types/elsewhere")).text
    assert "(paused)" in (await pages.get("/ui/types/send")).text
    [action] = re.findall(r'action="([^"]*/ui/queues/mail/resume[^"]*)"', html)
    await pages.post(action.replace("&amp;", "&"), b"", headers=FORM)
    assert "/pause" in (await pages.get("/ui/queues/mail")).text


async def test_kinds_of_failures_that_are_counted_over_more_than_the_page_shows_say_so(
    pages: Served, stage: Stage
) -> None:
    await run(stage, "mail", "send", fails=True)
    for path in ("/ui/queues/mail", "/ui/types/send"):
        for given, shown in (
            *(("?window=5m", "Last hour"), ("?window=6h", "Last 24 hours"), ("", None)),
            ("?window=7d", None),
        ):
            html = (await pages.get(f"{path}{given}")).text
            [card] = re.findall(r'<h2 id="kinds">.*?</section>', html, re.DOTALL)
            assert ("Last " in card) == (shown is not None)
            assert shown is None or shown in card
        recent = await now(stage) - timedelta(days=5)
        day = f"{recent:%Y-%m-%d}"
        html = (await pages.get(f"{path}?from={day}T10:07Z&to={day}T10:09Z")).text
        [card] = re.findall(r'<h2 id="kinds">.*?</section>', html, re.DOTALL)
        assert re.search(f"{day} 00:00.* \N{EN DASH} .*00:00", card)


async def test_a_queue_lacks_a_worker_only_where_tasks_wait_for_one(
    pages: Served, stage: Stage
) -> None:
    task = await stage.created(queue="mail", type="send")
    html = (await pages.get("/ui/queues/mail")).text
    assert "No live worker serves it: its tasks wait." in html
    assert ">No worker<" in html.replace("</i>", ">")
    await stage.service.cancel(task.id)
    html = (await pages.get("/ui/queues/mail")).text
    assert "No worker process serves it." in html
    assert "its tasks wait" not in html
    assert ">No worker<" not in html.replace("</i>", ">")


async def test_an_unknown_queue_has_no_page(pages: Served) -> None:
    for path in ("/ui/queues/nowhere", "/ui/queues/No%20name"):
        assert (await pages.get(path)).status_code == 404


async def test_who_sees_some_queues_sees_only_their_pages(closed: Served, stage: Stage) -> None:
    await run(stage, "mail", "send", fails=True, name="a letter")
    await run(stage, "foreign", "secret-type", fails=True, name="a secret")
    session = await visitor(closed, stage, "tasks:read queue=mail")
    page = await closed.get("/ui/queues/mail", headers=session)
    assert page.status_code == 200
    assert "a letter" in page.text
    assert "1 worker started: of-mail" in page.text
    assert "/pause" not in page.text
    for words in ("foreign", "secret"):
        assert words not in page.text
    for name in ("foreign", "nowhere"):
        assert (await closed.get(f"/ui/queues/{name}", headers=session)).status_code == 403
    of_type = (await closed.get("/ui/types/secret-type", headers=session)).text
    assert "a secret" not in of_type


async def test_slow_tasks_are_found_among_the_newest(stage: Stage) -> None:
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(
        """
        INSERT INTO taskmill.task (
            id, name, type, queue, priority, final_status, max_attempts, max_losses, run_at, created_at,
            started_at, finished_at, labels, source
        )
        SELECT
            (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
                || lpad(to_hex(n % 4096), 3, '0') || '8' || right(md5(n::text), 15))::uuid,
            'task', 't' || n % 3, 'q' || n % 3, 4, CASE n % 3 WHEN 1 THEN 'failed' ELSE 'succeeded' END, 2, 3,
            at, at, at, at, '{}', 'rest'
        FROM (SELECT n, now() - make_interval(secs => n) AS at FROM generate_series(1, 20000) AS n) AS born
        """
    )
    await stage.sql.execute("ANALYZE taskmill.task")
    low, high = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    async with explaining(stage.database) as session:
        for name, arguments in (
            ("list_slowest_of_queue", ("q1", low, high, 200, 5)),
            ("list_slowest_of_type", ("t1", low, high, 200, 5, None)),
        ):
            rows, plan = await session.fetch(name, *arguments)
            assert len(rows) == 5
            check(plan, rows=1000, pages=1000)
