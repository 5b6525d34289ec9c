"""Pages do what they have announced, and report what they have not done."""

import asyncio
import re
import socket
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import orjson
import pytest

from taskmill.domain.jobs import MOST_OPEN
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Sweep
from tests.support.api import Served
from tests.support.pages import HTMX, fields_of, finished, serving_pages
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.stage import Stage, a_stage


@pytest.mark.parametrize(
    ("what", "status"), [(Sweep.CANCEL, Status.SUCCEEDED), (Sweep.RETRY, Status.NEW)]
)
async def test_a_filter_of_statuses_that_refuse_it_means_no_task_at_all(
    pages: Served, stage: Stage, what: Sweep, status: Status
) -> None:
    waits, is_over = await stage.created(), await stage.created()
    await stage.service.cancel(is_over.id)
    form = f"what={what}&status={status}".encode()
    preview = await pages.post("/ui/sweeps/preview", form)
    assert (
        f"No task that fits can be {'cancelled' if what is Sweep.CANCEL else 'retried'}."
        in preview.text
    )
    started = await pages.post("/ui/sweeps", form)
    assert "0 tasks" in await finished(pages, started.headers["location"])
    assert (await stage.task(waits.id)).status is Status.NEW
    assert (await stage.task(is_over.id)).status is Status.CANCELLED


async def test_what_is_done_is_what_was_counted_however_late_it_is_confirmed(
    pages: Served, stage: Stage
) -> None:
    counted = [await stage.created() for _ in range(2)]
    await stage.sql.execute("SELECT pg_sleep(0.005)")
    preview = await pages.post("/ui/sweeps/preview", b"what=cancel&since=15m")
    assert '<p class="big num">2</p>' in preview.text
    fields = fields_of(preview.text)
    assert fields["since"] == "15m"
    later = await stage.created()
    started = await pages.http.post("/ui/sweeps", data=fields)
    await finished(pages, started.headers["location"])
    assert {(await stage.task(one.id)).status for one in counted} == {Status.CANCELLED}
    assert (await stage.task(later.id)).status is Status.NEW


async def test_a_form_that_is_sent_twice_begins_one_job(pages: Served, stage: Stage) -> None:
    await stage.created()
    fields = fields_of((await pages.post("/ui/sweeps/preview", b"what=cancel&since=15m")).text)
    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(pages.http.post("/ui/sweeps", data=fields)) for _ in range(3)]
    assert len({one.result().headers["location"] for one in sent}) == 1
    found = await stage.sql.fetch("SELECT id FROM taskmill.job")
    assert [row["id"] for row in found] == [UUID(fields["job"])]


async def test_what_is_no_moment_and_no_job_is_refused(pages: Served) -> None:
    for form in (b"what=cancel&at=yesterday", b"what=cancel&job=x"):
        assert (await pages.post("/ui/sweeps", form)).status_code == 422


async def test_one_job_too_many_is_reported_as_such_and_not_as_an_outage(
    pages: Served, stage: Stage
) -> None:
    await stage.created()
    async with stage.sql.transaction():
        # No job ends meanwhile.
        await stage.sql.execute("SELECT FROM taskmill.dispatch FOR UPDATE")
        for _ in range(MOST_OPEN):
            assert (await pages.post("/ui/sweeps", b"what=cancel&since=15m")).status_code == 303
        refused = await pages.post("/ui/sweeps", b"what=cancel&since=15m")
    assert refused.status_code == 409
    assert "Nothing was started" in refused.text


async def test_a_job_that_is_not_there_is_polled_no_further_and_not_reported_as_stopped(
    pages: Served,
) -> None:
    job = uuid4()
    response = await pages.get(f"/ui/jobs/{job}", headers=HTMX)
    # This status ends the polling.
    assert response.status_code == 286
    assert "There is no such job" in response.text
    stopped = await pages.post(f"/ui/jobs/{job}/stop", headers=HTMX)
    assert stopped.status_code == 404
    assert "There is no such job" in stopped.text


async def test_a_page_that_refuses_an_action_leads_back_to_the_page_of_the_form(
    pages: Served, stage: Stage
) -> None:
    task = await stage.created()
    await stage.service.cancel(task.id)
    path = f"/ui/tasks/{task.id}/cancel"
    referer = f"{pages.url}/ui/tasks?status=new&queue=a"
    response = await pages.post(path, headers={"referer": referer})
    assert response.status_code == 409
    assert (
        '<a class="button main" href="/ui/tasks?status=new&amp;queue=a">Back</a>' in response.text
    )
    assert 'name="back" value="/ui/tasks?status=new&amp;queue=a"' in response.text
    for elsewhere in (
        "https://evil.example/tasks",
        "https://evil.example//ui",
        "javascript:alert(1)",
        "[",
        "",
    ):
        response = await pages.post(path, headers={"referer": elsewhere})
        assert '<a class="button main" href="/">Back</a>' in response.text


async def test_an_action_that_meets_an_outage_is_not_repeated_by_itself(
    stage: Stage,
) -> None:
    task = await stage.created()
    async with (
        a_network(stage.url) as (network, through),
        a_stage(through) as cut_off,
        serving_pages(cut_off) as pages,
    ):
        network.refuse(refuses=True)
        network.break_all()
        shown = await pages.get(f"/ui/tasks/{task.id}")
        acted = await pages.post(f"/ui/tasks/{task.id}/cancel")
        assert (shown.status_code, acted.status_code) == (503, 503)
        assert "data-outage" in shown.text
        assert "data-outage" not in acted.text
        assert "it is not known whether the action was done" in acted.text
        network.refuse(refuses=False)


async def test_a_search_backwards_that_has_not_found_anything_yet_can_go_on(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.dashboard.pages.tasks._FIRST_SCAN_S", 0)
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 2)
    # No index knows a text of two letters.
    first = await stage.created(name="so")
    for _ in range(4):
        await stage.created(name="usual")
    last = await stage.created(name="so")
    response = await pages.get(f"/ui/tasks?name=so&before={first.id}")
    assert response.status_code == 200
    [go_on] = re.findall(r'<a class="button main" href="([^"]*scan=longer)"', response.text)
    response = await pages.get(go_on.replace("&amp;", "&"))
    assert f'id="t{last.id}"' in response.text


async def test_a_list_that_has_found_nothing_yet_searches_further_by_itself(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_SCAN_S", "_LONGER_SCAN_S"):
        monkeypatch.setattr(f"taskmill.dashboard.pages.tasks.{name}", 0)
    for name in ("_FIRST_CHUNK", "_LARGEST_CHUNK"):
        monkeypatch.setattr(f"taskmill.storage.listing.{name}", 2)
    first = await stage.created(name="so")
    for _ in range(9):
        await stage.created(name="usual")
    response, steps = await pages.get("/ui/tasks?name=so"), 0
    # Nothing else refreshes it meanwhile, from the beginning on.
    assert 'hx-trigger="refresh from:body"' not in response.text
    while going_on := re.findall(r'hx-get="([^"]*)" hx-trigger="load', response.text):
        assert "Searching" in response.text
        response, steps = (
            await pages.get(going_on[0].replace("&amp;", "&"), headers=HTMX),
            steps + 1,
        )
    assert f'id="t{first.id}"' in response.text
    assert steps >= 3


@pytest.mark.parametrize(
    ("forwarded", "scheme"), [("https", "https"), ("HTTPS, http", "https"), ("javascript", "http")]
)
async def test_snippets_are_shown_with_the_address_that_the_browser_has(
    pages: Served, forwarded: str, scheme: str
) -> None:
    headers = {"host": "192.0.2.7:8443", "x-forwarded-proto": forwarded}
    response = await pages.post("/ui/create/snippets", b"name=a", headers=headers)
    assert f"curl -X POST {scheme}://192.0.2.7:8443/tasks" in response.text


async def test_every_method_of_an_address_is_named(pages: Served) -> None:
    response = await pages.http.put("/ui/create")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize(
    ("accepted", "is_zipped"),
    [
        *(("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("GZIP ; q=1", True)),
        *(("gzip;q=0", False), ("br, gzip; q=0.000", False), ("", False), ("agzip", False)),
    ],
)
async def test_a_response_is_compressed_for_readers_that_accept_it(
    pages: Served, accepted: str, *, is_zipped: bool
) -> None:
    response = await pages.get("/", headers={"accept-encoding": accepted})
    assert (response.headers.get("content-encoding") == "gzip") is is_zipped


async def test_a_stalled_reader_of_an_export_is_cut_off(
    stage: Stage, pages: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.dashboard.pages.export._STALLED_S", 0.2)
    payload = orjson.dumps({"x": "y" * 500_000}).decode()
    for _ in range(60):
        await stage.created(payload=payload, delay=timedelta(hours=1))
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)  # noqa: FBT003 - the library's signature
    address = urlsplit(pages.url)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(narrow, (address.hostname, address.port))
    await loop.sock_sendall(
        narrow, b"GET /ui/tasks/export.ndjson HTTP/1.1\r\nhost: localhost\r\n\r\n"
    )

    async def is_cut() -> bool:
        return not any("run_asgi" in repr(task) for task in asyncio.all_tasks())

    await loop.sock_recv(narrow, 10)
    try:
        await eventually(is_cut, "the connection is cut")
        with suppress(ConnectionResetError):
            while piece := await loop.sock_recv(narrow, 1 << 20):
                assert not piece.endswith(b"\r\n0\r\n\r\n")
    finally:
        narrow.close()
