"""The pages of queues, workers and failures over HTTP."""

import re
from html import unescape
from uuid import uuid4

import pytest

from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.domain.system import WorkerRequest, WorkerState
from taskmill.domain.task import Fence
from taskmill.domain.webhooks import WebhookDraft
from taskmill.storage import failures, leases
from taskmill.version import VERSION
from tests.support.api import Served
from tests.support.polling import eventually
from tests.support.refusals import refused_message, store_refused
from tests.support.stage import Stage, a_webhooks

PAGES = ("/ui/queues", "/ui/workers", "/ui/failures")

LONGEST = "q" * 63


async def worker(stage: Stage, name: str) -> WorkerState:
    return next(one for one in await stage.service.workers() if one.name == name)


async def fail(stage: Stage, message: str) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await stage.end(taken, lease, Failed(error=ErrorInfo(type="Boom", message=message)))


async def test_they_are_rendered_with_nothing(pages: Served) -> None:
    texts = {
        "/ui/queues": "No queues yet",
        "/ui/workers": "No workers",
        "/ui/failures": "Nothing failed",
    }
    for path, words in texts.items():
        response = await pages.get(path)
        assert (response.status_code, words in response.text) == (200, True)


async def test_names_from_anybody_are_shown_as_text(pages: Served, stage: Stage) -> None:
    hostile = "<img src=x onerror=alert(1)> \"' \N{RIGHT-TO-LEFT OVERRIDE}عامل 🎉" + "w" * 300
    lease_id = await stage.open_lease(worker=hostile)
    await fail(stage, hostile)
    for path in (*PAGES, f"/ui/workers/{lease_id}"):
        response = await pages.get(path)
        assert response.status_code == 200
        assert "<img src=x" not in response.text
    assert "عامل 🎉" in (await pages.get("/ui/workers")).text


async def test_a_queue_shows_how_long_it_keeps_tasks_and_takes_another_time(
    pages: Served, stage: Stage
) -> None:
    await stage.created(queue="brief")
    assert "keeps ended tasks" not in (await pages.get("/ui/queues")).text
    response = await pages.post("/ui/queues/brief/keep?window=24h", data={"keep": " pt36h "})
    its_page = "/ui/queues/brief?window=24h"
    assert (response.status_code, response.headers["location"]) == (303, its_page)
    assert 'name="keep" value="P1DT12H"' in (await pages.get(its_page)).text
    html = unescape((await pages.get("/ui/queues")).text)
    assert re.search(r"keeps ended tasks for 1\sd 12\sh", html)
    assert (await pages.post("/ui/queues/brief/keep", data={"keep": "soon"})).status_code == 422
    assert (await pages.post("/ui/queues/%00/keep", data={"keep": "P1D"})).status_code == 404
    await pages.post("/ui/queues/brief/keep", data={"keep": ""})
    assert [queue.keep for queue in await stage.service.queues()] == [None]


async def test_bad_actions_are_refused(pages: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    for path, status in (
        ("/ui/queues/nothing/delete", 404),
        ("/ui/queues/%00/pause", 404),
        (f"/ui/queues/{'x' * 64}/resume", 404),
        (f"/ui/workers/{lease_id}/burn", 422),
        (f"/ui/workers/{uuid4()}/stop", 404),
        ("/ui/workers/x/stop", 422),
    ):
        assert (await pages.post(path)).status_code == status, path
        foreign = await pages.post(path, headers={"sec-fetch-site": "cross-site"})
        assert foreign.status_code == 403
    assert (await stage.service.workers())[0].request is None


async def test_a_queue_shows_what_waits_and_is_paused_and_resumed(
    pages: Served, stage: Stage
) -> None:
    for _ in range(3):
        await stage.created(queue=LONGEST)
    html = (await pages.get("/ui/queues")).text
    assert f'id="q-{LONGEST}"' in html
    assert f'status=new&amp;queue={LONGEST}">3</a>' in html
    address = f"/ui/queues/{LONGEST}/pause?name=q&window=5m&evil=1"
    response = await pages.post(address)
    assert (response.status_code, response.headers["location"]) == (
        303,
        "/ui/queues?name=q&window=5m",
    )
    [queue] = await stage.service.queues()
    assert queue.paused_at is not None
    assert "1 paused" in (await pages.get("/ui/queues")).text
    await pages.post(f"/ui/queues/{LONGEST}/resume")
    [queue] = await stage.service.queues()
    assert queue.paused_at is None


async def test_only_a_queue_that_is_empty_has_a_button_to_delete_it(
    pages: Served, stage: Stage
) -> None:
    task = await stage.created(queue="mine")
    address = "/ui/queues/mine/delete"
    assert address not in (await pages.get("/ui/queues/mine")).text
    assert (await pages.post(address)).status_code == 409
    await stage.service.cancel(task.id)
    assert address in (await pages.get("/ui/queues/mine")).text
    response = await pages.post(f"{address}?window=5m&evil=1")
    assert (response.status_code, response.headers["location"]) == (303, "/ui/queues?window=5m")
    assert await stage.service.queues() == []


async def test_hundreds_of_queues_come_in_pages_and_in_the_requested_order(
    pages: Served, stage: Stage
) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.queue (name) SELECT 'queue-' || lpad(n::text, 3, '0')"
        " FROM generate_series(1, 250) AS n"
    )
    await stage.created(queue="queue-200")

    async def shown(address: str) -> tuple[list[str], str]:
        html = (await pages.get(address)).text
        older = re.findall(r'rel="next" href="([^"]+)"', html)
        return re.findall(r'id="q-(queue-\d+)"', html), unescape("".join(older))

    names: list[str] = []
    address = "/ui/queues"
    while address:
        found, address = await shown(address)
        names += found
    assert names == [f"queue-{number:03}" for number in range(1, 251)]
    for order in ("waiting", "oldest"):
        assert (await shown(f"/ui/queues?order={order}"))[0][0] == "queue-200"
    assert (await shown("/ui/queues?name=E-24"))[0] == [f"queue-24{n}" for n in range(10)]
    assert "No queue has such a name" in (await pages.get("/ui/queues?name=zzz")).text
    assert len((await shown("/ui/queues?page=77"))[0]) == 50


async def test_a_queue_shows_its_rates(pages: Served, stage: Stage) -> None:
    await fail(stage, "at once")
    html = (await pages.get("/ui/queues?window=5m")).text
    assert "100 % failed" in html


async def test_a_worker_shows_what_it_is_and_what_it_runs(pages: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease(worker="the-worker")
    taken = await stage.running(lease_id, name="A long task")
    html = (await pages.get("/ui/workers")).text
    assert f'href="/ui/workers/{lease_id}"' in html
    assert f"Taskmill {VERSION}" in html
    html = (await pages.get(f"/ui/workers/{lease_id}")).text
    for words in ("the-worker", "A long task", "Working", f"worker={lease_id}"):
        assert words in html
    listed = (await pages.get(f"/ui/tasks?status=in_progress&worker={lease_id}")).text
    assert f'id="t{taken.task.id}"' in listed
    of_task = (await pages.get(f"/ui/tasks/{taken.task.id}")).text
    assert 'href="/ui/workers?name=tester"' in of_task
    assert "No worker has such a name" in (await pages.get("/ui/workers?name=zzz")).text


@pytest.mark.parametrize("come_from", ["", "?from=list&name=the&evil=1"])
async def test_a_worker_is_made_quiet_then_resumed_then_stopped(
    pages: Served, stage: Stage, come_from: str
) -> None:
    lease_id = await stage.open_lease(worker="the-worker")
    back = "/ui/workers?name=the" if come_from else f"/ui/workers/{lease_id}"
    for what, expected, shown in (
        ("quiet", WorkerRequest.QUIET, "Quiet"),
        ("resume", None, "Working"),
        ("empty", WorkerRequest.QUIET, "Stops when empty"),
        ("stop", WorkerRequest.STOP, "Stopping"),
    ):
        response = await pages.post(f"/ui/workers/{lease_id}/{what}{come_from}")
        assert (response.status_code, response.headers["location"]) == (303, back)
        assert (await worker(stage, "the-worker")).request is expected
        assert f"</i>{shown}</span>" in (await pages.get(f"/ui/workers/{lease_id}")).text
    assert f'action="/ui/workers/{lease_id}/' not in (await pages.get("/ui/workers")).text


async def test_a_worker_that_is_silent_or_has_ended_is_shown_as_such(
    pages: Served, stage: Stage
) -> None:
    silent = await stage.open_lease(worker="silent", ttl_s=0.001)
    ended = await stage.open_lease(worker="ended")
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now(), close_reason = 'stopped' WHERE id = $1", ended
    )
    assert "Silent" in (await pages.get(f"/ui/workers/{silent}")).text
    html = (await pages.get(f"/ui/workers/{ended}")).text
    assert "Ended" in html
    assert "/quiet" not in html
    assert (await pages.post(f"/ui/workers/{ended}/quiet")).status_code == 409


async def test_a_lost_worker_is_shown_with_what_it_ran(pages: Served, stage: Stage) -> None:
    lost = await stage.open_lease(worker="lost")
    taken = await stage.running(lost, name="Was under way")
    await leases.record_lost(
        stage.database, [Fence(task_id=taken.task.id, lease_id=lost, claim_no=1)]
    )
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now(), close_reason = 'expired' WHERE id = $1", lost
    )
    listed = (await pages.get("/ui/workers")).text
    assert "</i>Lost</span>" in listed
    assert "1 task taken back" in listed
    html = (await pages.get(f"/ui/workers/{lost}")).text
    assert "1 task that it ran when it was lost" in html
    assert f'<tr id="l{taken.task.id}">' in html
    assert "Was under way" in html


async def test_the_dialog_of_a_stop_says_what_becomes_of_what_runs(
    pages: Served, stage: Stage
) -> None:
    lease = await stage.open_lease(worker="the-\u202eworker")
    idle = (await pages.get(f"/ui/workers/{lease}")).text
    assert "It runs nothing now" in idle
    await stage.running(lease)
    [question] = re.findall(
        r'/stop" data-confirm="([^"]+)"', (await pages.get(f"/ui/workers/{lease}")).text
    )
    for words in ("has 10\u00a0s to end", "another worker runs it again", "such as `taskmill up`"):
        assert words in question
    # A name does not change the direction of the text around it.
    assert "Stop worker \u2068the-worker\u2069?" in question


async def test_what_goes_wrong_with_others_is_on_the_overview(pages: Served, stage: Stage) -> None:
    await store_refused(stage.url, [refused_message(b"{"), refused_message(b"[]")])
    webhooks = a_webhooks(stage.database)
    for _ in range(2):
        await webhooks.create(WebhookDraft(url="https://example.org/"), None)
    await stage.sql.execute(
        "UPDATE taskmill.webhook SET failing_since = now() - interval '1 hour'"
        " WHERE id = (SELECT id FROM taskmill.webhook ORDER BY id LIMIT 1)"
    )
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook_delivery (endpoint, webhook_id, give_up_at, next_at)"
        " SELECT 'webhook:' || id, id, now() + interval '1 day', now() - interval '10 min'"
        " FROM taskmill.webhook"
    )
    html = (await pages.get("/")).text
    assert "4 things need attention" in html
    notices = html.partition('class="card attention trouble"')[2].partition("</section>")[0]
    pages_of = [page for page in re.findall(r'href="([^"]+)"', notices) if "attention" not in page]
    failing = await stage.sql.fetchval(
        "SELECT id FROM taskmill.webhook WHERE failing_since IS NOT NULL"
    )
    assert pages_of == [
        f"/ui/webhooks/{failing}",
        "/ui/webhooks",
        "/ui/workers",
        "/ui/rejections",
    ]
    for words in (
        "2 messages were refused in 24 h",
        "The webhook to \u2068example.org\u2069 has failed for 1\u00a0h; 1 delivery waits.",
        "a delivery has been due for 10\u00a0min",
        "No worker is alive",
    ):
        assert words in notices


async def test_axes_and_numbers_are_in_the_readers_language(pages: Served, stage: Stage) -> None:
    await stage.created(queue="many")
    await stage.sql.execute(
        "INSERT INTO taskmill.task_count (queue, status, tasks) VALUES ('many', 'succeeded', 1234567)"
    )
    russian = {"accept-language": "ru"}
    overview = (await pages.get("/", headers=russian)).text
    assert 'data-large="\u00a0млн,\u00a0ты\u0441."' in overview
    assert "1\u202f234\u202f567" in overview
    english = (await pages.get("/", headers={"accept-language": "en"})).text
    assert 'data-large="M,k"' in english
    assert "1,234,567" in english


async def test_claims_of_one_that_pulls_are_one_worker(pages: Served, stage: Stage) -> None:
    for number in range(3):
        await stage.sql.execute(
            "INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at, remote)"
            " VALUES ($1, 'shell', '{}', '{a}', 2, now() + $2 * interval '1 min', true)",
            stage.ids(),
            number,
        )
    html = (await pages.get("/ui/workers")).text
    assert "pulls over HTTP, 3 claims" in html
    assert html.count('id="w') - html.count('id="workers') == 1
    assert "/quiet" not in html


async def test_failures_are_grouped_and_lead_to_their_tasks(pages: Served, stage: Stage) -> None:
    for number in range(3):
        await fail(stage, f"host {number} & co. do not answer")
    await fail(stage, "other")
    await failures.fold(stage.maintenance_database)
    html = (await pages.get("/ui/failures")).text
    assert "4 tasks failed · 2 kinds" in html
    assert html.index("host # &amp; co.") < html.index("other")
    [kind, _] = re.findall(r'href="(/ui/failures/[^"]+)" title', html)
    [address, *_] = re.findall(r'href="(/ui/tasks\?[^"]+)"', (await pages.get(kind)).text)
    listed = (await pages.get(unescape(address))).text
    assert listed.count('name="id"') == 3
    for window in ("24h", "7d", "30d"):
        assert "4 tasks failed" in (await pages.get(f"/ui/failures?window={window}")).text


async def test_all_of_a_kind_run_again_after_a_preview(pages: Served, stage: Stage) -> None:
    for number in range(3):
        await fail(stage, f"host {number} does not answer")
    await fail(stage, "other")
    form = b"what=retry&status=failed&error=Boom%3A+host+%23+does+not+answer"
    preview = await pages.post("/ui/sweeps/preview", form, headers={"hx-request": "true"})
    assert ">3</p>" in preview.text
    assert "failed like this" in preview.text
    await pages.post("/ui/sweeps", form)

    async def are_new() -> bool:
        query = "SELECT count(*) FROM taskmill.current_task WHERE status = 'new'"
        return bool(await stage.sql.fetchval(query) == 3)

    await eventually(are_new, "three run again")
    assert (
        await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.current_task WHERE status = $1", Status.FAILED
        )
        == 1
    )


async def test_kinds_beyond_the_limit_are_shown_as_all_others(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.failures.MOST_KINDS", 1)
    for word in ("one", "two", "three"):
        await fail(stage, word)
    await failures.fold(stage.maintenance_database)
    html = (await pages.get("/ui/failures")).text
    assert "2 other tasks failed in kinds beyond the number" in html
    assert html.count('hx-post="/ui/sweeps/preview"') == 1


async def test_pages_that_are_full_of_long_names_stay_small(pages: Served, stage: Stage) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.queue (name) SELECT rpad('q' || n, 63, 'x') FROM generate_series(1, 300) AS n"
    )
    await stage.sql.execute(
        "INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at)"
        " SELECT gen_random_uuid(), rpad('w' || n, 200, 'ж'), array_fill('q'::text, ARRAY[300]),"
        " array_fill(repeat('t', 63), ARRAY[300]), 9, now() + interval '1 h' FROM generate_series(1, 300) AS n"
    )
    await stage.sql.execute(
        "INSERT INTO taskmill.failure_delta (type, error, task_id)"
        " SELECT repeat('t', 63), rpad('E: ' || md5(n::text), 302, 'ж'), gen_random_uuid()"
        " FROM generate_series(1, 300) AS n"
    )
    [some_worker, *_] = await stage.service.workers()
    for path in (*PAGES, f"/ui/workers/{some_worker.id}"):
        response = await pages.get(path, headers={"accept-encoding": "gzip"})
        assert response.status_code == 200
        assert int(response.headers["content-length"]) < 30_000, path
