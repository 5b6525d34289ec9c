"""The pages over HTTP: what they show, what they refuse, what they cost, and how they are refreshed."""

import asyncio
import csv
import gzip
import io
import re
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from taskmill.dashboard import assets
from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.domain.system import Sweep
from taskmill.settings import Settings
from taskmill.storage import changes
from tests.support.api import LIMITS, Served
from tests.support.pages import change_ticker_of, serving_pages
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.stage import Stage, a_stage

PAGES = (
    *("/", "/ui/tasks", "/ui/tasks?status=failed&queue=default&since=1h"),
    *("/ui/queues", "/ui/workers", "/ui/failures", "/ui/create", "/ui/rejections"),
)
FIRST_VIEW_BYTES = 150_000
HOSTILE = [
    "/?window=1y",
    "/?window=%00",
    "/ui",
    "/ui/",
    "/ui/nothing",
    "/ui/tasks/",
    "/ui/tasks/x",
    "/ui/tasks/%00",
    "/ui/tasks/%ff",
    f"/ui/tasks/{uuid4()}",
    "/ui/tasks/00000000-0000-7000-8000-000000000000?level=loud",
    "/ui/tasks?status=%ff",
    "/ui/tasks?created_after=9999-99-99T99:99",
    "/ui/tasks?after=x",
    "/ui/tasks?label=" + "x" * 400,
    "/ui/tasks?" + "a=b&" * 2000,
    "/ui/tasks/export.csv?queue=%20%20!",
    "/ui/create?like=x",
    f"/ui/create?like={uuid4()}",
    "/ui/create?name=%00",
    "/ui/rejections?before=x",
    "/ui/rejections/x",
    f"/ui/rejections/{uuid4()}",
    "/ui/jobs/x",
    "/ui/live?task=x",
    "/ui/static/x/../../app.py",
    "/ui/static/x/%2e%2e/app.py",
]


def title_of(html: str) -> str:
    found = re.search(r"<title>(.*?) · Taskmill</title>", html)
    assert found is not None
    return found[1]


async def test_pages_are_rendered_with_nothing_and_with_tasks(pages: Served) -> None:
    for path in PAGES:
        assert (await pages.get(path)).status_code == 200
    await pages.create(name='<img src=x onerror=alert(1)> "quoted"', labels={"<b>": "'x'"})
    for path in PAGES:
        response = await pages.get(path)
        assert response.status_code == 200
        assert "<img src=x" not in response.text


async def test_every_response_has_the_security_headers(pages: Served) -> None:
    static = f"/ui/static/{assets.digest()}/app.css"
    for path in (*PAGES, static, "/ui/nothing", "/ui/tasks/export.csv"):
        headers = (await pages.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "x-request-id" in headers


async def test_bad_addresses_get_a_page_that_says_so(pages: Served) -> None:
    for path in HOSTILE:
        response = await pages.get(path)
        assert 400 <= response.status_code < 500, path
        assert "text/html" in response.headers["content-type"] or response.status_code == 400, path


async def test_a_wrong_method_names_the_right_one(pages: Served) -> None:
    response = await pages.post("/ui/tasks")
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]


async def test_bad_forms_are_refused(pages: Served) -> None:
    for form in (
        "what=burn",
        "what=retry&id=x",
        "what=cancel&queue=!",
        "%ff",
        "what=retry" + "&id=" * 2000,
    ):
        response = await pages.post("/ui/sweeps/preview", form.encode())
        assert 400 <= response.status_code < 500
    assert (await pages.post("/ui/sweeps", b"x" * 100_000)).status_code == 413
    assert (await pages.post("/ui/preferences", b"language=xx")).status_code == 422


async def test_a_page_of_another_site_can_do_nothing(pages: Served, stage: Stage) -> None:
    task = await pages.create()
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://elsewhere.example"}):
        response = await pages.post(f"/ui/tasks/{task['id']}/cancel", headers=headers)
        assert response.status_code == 403
    assert (await stage.task(UUID(task["id"]))).status is Status.NEW


async def test_the_first_view_of_a_page_is_small(pages: Served, stage: Stage) -> None:
    for number in range(60):
        await stage.created(name=f"a task with a name of usual length {number}")
    for path in PAGES:
        html = (await pages.get(path)).text
        links = re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', html)
        assert len(links) >= 5
        total = len(gzip.compress(html.encode(), 4))
        for link in links:
            response = await pages.get(link)
            assert response.headers["content-encoding"] == "gzip"
            assert "immutable" in response.headers["cache-control"]
            total += int(response.headers["content-length"])
        assert total < FIRST_VIEW_BYTES


async def test_the_language_is_the_browsers_until_one_is_chosen(pages: Served) -> None:
    russian = await pages.get("/ui/tasks", headers={"accept-language": "ru-RU,ru;q=0.9"})
    assert (title_of(russian.text), 'lang="ru"' in russian.text) == ("Задачи", True)
    kept = await pages.post("/ui/preferences", b"language=ru&back=/ui/tasks?queue=a")
    assert (kept.status_code, kept.headers["location"]) == (303, "/ui/tasks?queue=a")
    assert (
        title_of((await pages.get("/ui/tasks", headers={"accept-language": "en"})).text) == "Задачи"
    )
    dark = await pages.post("/ui/preferences", b"theme=dark&back=//elsewhere.example/")
    assert dark.headers["location"] == "/"
    assert 'data-theme="dark"' in (await pages.get("/")).text


async def test_below_a_prefix_every_address_has_it(stage: Stage) -> None:
    settings = Settings(limits=LIMITS, dashboard={"path_prefix": "/mill"})
    async with serving_pages(stage, settings) as pages:
        task = await pages.create()
        for path in (*PAGES, f"/ui/tasks/{task['id']}"):
            html = (await pages.get(path)).text
            addresses = re.findall(r'(?:href|src|action|hx-get|hx-post|data-live)="([^"#]+)"', html)
            assert len(addresses) > 10
            assert {one for one in addresses if not one.startswith("/mill/")} == set()
        kept = await pages.post("/ui/preferences", b"theme=dark&back=/ui/tasks")
        assert kept.headers["location"] == "/mill/ui/tasks"
        assert "path=/mill/" in kept.headers["set-cookie"].lower()


async def test_htmx_gets_the_live_part_only(pages: Served) -> None:
    await pages.create(name="seen")
    part = (await pages.get("/ui/tasks", headers={"hx-request": "true"})).text
    assert "seen" in part
    assert "<html" not in part


async def test_the_list_goes_forth_and_back_over_all_tasks(pages: Served, stage: Stage) -> None:
    names = [(await stage.created(name=f"task {number:03}")).name for number in range(120)][::-1]
    address, shown, back = "/ui/tasks", [], ""
    for _ in range(3):
        html = (await pages.get(address)).text
        shown += re.findall(r">(task \d{3})<", html)
        back = "".join(re.findall(r'rel="prev" href="([^"]+)"', html))
        address = "".join(re.findall(r'rel="next" href="([^"]+)"', html))
    assert shown == names
    assert address == ""
    html = (await pages.get(back)).text
    assert re.findall(r">(task \d{3})<", html) == names[50:100]
    back = "".join(re.findall(r'rel="prev" href="([^"]+)"', html))
    html = (await pages.get(back)).text
    assert re.findall(r">(task \d{3})<", html) == names[:50]
    assert 'rel="prev"' not in html


async def test_an_id_in_the_search_leads_to_its_task(pages: Served) -> None:
    task = await pages.create()
    response = await pages.get(f"/ui/tasks?name={task['id']}")
    assert (response.status_code, response.headers["location"]) == (303, f"/ui/tasks/{task['id']}")


async def test_a_task_shows_its_whole_life(pages: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    payload = orjson.dumps({"order": 42, "text": "<b>bold</b>"}).decode()
    taken = await stage.running(lease_id, name="مهمة 🎉", payload=payload, labels='{"team": "x"}')
    trouble = ErrorInfo(type="ValueError", message="Traceback:\n" + "  line\n" * 10_000 + "the end")
    await stage.end(taken, lease_id, Failed(error=trouble))
    response = await pages.get(f"/ui/tasks/{taken.task.id}")
    assert response.status_code == 200
    for words in (
        "مهمة 🎉",
        "ValueError",
        "the end",
        "Claimed",
        "Created",
        "tester",
        "team</bdi>=",
        "42",
    ):
        assert words in response.text
    assert "&lt;b&gt;bold&lt;/b&gt;" in response.text
    assert len(response.text) < FIRST_VIEW_BYTES


async def test_a_huge_payload_is_shown_in_part(pages: Served, stage: Stage) -> None:
    payload = orjson.dumps({"rows": ["x" * 1000] * 1000}).decode()
    task = await stage.created(payload=payload, name="n" * 200)
    response = await pages.get(f"/ui/tasks/{task.id}")
    assert "Open all of it as JSON" in response.text
    assert len(response.text) < FIRST_VIEW_BYTES


async def test_a_task_is_cancelled_and_run_again(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    response = await pages.post(
        f"/ui/tasks/{task.id}/cancel", headers={"sec-fetch-site": "same-origin"}
    )
    assert (response.status_code, response.headers["location"]) == (303, f"/ui/tasks/{task.id}")
    assert (await stage.task(task.id)).status is Status.CANCELLED
    assert (await pages.post(f"/ui/tasks/{task.id}/cancel")).status_code == 409
    await pages.post(f"/ui/tasks/{task.id}/retry")
    assert (await stage.task(task.id)).run == 2


async def finished(pages: Served, started: str) -> str:
    """Wait for the job that a response leads to, and return what is shown of it."""
    job = started.rpartition("job=")[2]

    async def look() -> str:
        response = await pages.get(f"/ui/jobs/{job}")
        return response.text if response.status_code == 286 else ""

    return await eventually(look, "the job is over")


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


async def test_all_tasks_come_as_csv_and_as_lines(pages: Served, stage: Stage) -> None:
    names = ["=1+1", "\N{FULLWIDTH COMMERCIAL AT}SUM(1)", 'a "quoted", name', "строка"] + [
        f"task {number}" for number in range(600)
    ]
    for name in names:
        await stage.created(name=name, queue="mine")
    await stage.created(name="other")
    response = await pages.get("/ui/tasks/export.csv?queue=mine&order=asc")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["name"] for row in rows] == ["'=1+1", f"'{names[1]}", *names[2:]]
    assert rows[0]["status"] == "new"
    response = await pages.get("/ui/tasks/export.ndjson?queue=mine&order=asc")
    assert [orjson.loads(line)["name"] for line in response.text.splitlines()] == names


async def collect_events(
    pages: Served, path: str, found: list[str], until: Callable[[list[str]], bool]
) -> None:
    """Append the names of a stream's events to `found` until `until` holds."""
    async with asyncio.timeout(15), pages.http.stream("GET", path) as response:
        assert response.headers["content-type"] == "text/event-stream"
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                found.append(line.removeprefix("event: "))
                if until(found):
                    break


async def until_begun(events: list[str]) -> None:
    """Wait until the stream has begun: it begins with an event."""

    async def look() -> bool:
        return bool(events)

    await eventually(look, "the stream has begun")


async def test_a_page_is_notified_of_changes_of_its_task_only(pages: Served, stage: Stage) -> None:
    mine, other = await stage.created(), await stage.created()
    events: list[str] = []
    events_of_other: list[str] = []
    async with asyncio.TaskGroup() as group:
        path = "/ui/live?task="
        group.create_task(
            collect_events(pages, f"{path}{mine.id}", events, lambda all_: len(all_) == 2)
        )
        quiet = group.create_task(
            collect_events(pages, f"{path}{other.id}", events_of_other, lambda _: False)
        )
        await until_begun(events)
        await until_begun(events_of_other)
        await stage.service.cancel(mine.id)

        async def has_arrived() -> bool:
            return len(events) == 2

        await eventually(has_arrived, "the event arrives", timeout_s=4)
        quiet.cancel()
    assert events == ["changed", "changed"]
    assert events_of_other == ["changed"]


async def test_a_page_of_everything_is_notified_of_any_change(pages: Served, stage: Stage) -> None:
    events: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(collect_events(pages, "/ui/live", events, lambda all_: len(all_) == 2))
        await until_begun(events)
        await stage.created()
        await changes.number(stage.database, 10)

        async def has_arrived() -> bool:
            return len(events) == 2

        await eventually(has_arrived, "the event arrives", timeout_s=4)


async def test_the_database_is_not_polled_while_no_page_is_open(pages: Served) -> None:
    events: list[str] = []
    await collect_events(pages, "/ui/live", events, lambda all_: len(all_) == 1)
    watching = change_ticker_of(pages)

    async def is_quiet() -> bool:
        return not watching._watchers and not watching._wanted.is_set()

    await eventually(is_quiet, "the last page has gone")


async def test_an_outage_of_the_database_is_reported_and_so_is_its_end(stage: Stage) -> None:
    async with (
        a_network(stage.url) as (network, through),
        a_stage(through) as cut_off,
        serving_pages(cut_off) as pages,
    ):
        assert (await pages.get("/")).status_code == 200
        async with asyncio.TaskGroup() as group:
            events: list[str] = []
            group.create_task(
                collect_events(
                    pages, "/ui/live", events, lambda all_: all_[-2:] == ["away", "changed"]
                )
            )
            await until_begun(events)
            network.refuse(refuses=True)
            network.break_all()
            for path in ("/?window=5m", "/ui/tasks", f"/ui/tasks/{uuid4()}"):
                response = await pages.get(path)
                assert response.status_code == 503
                assert "retry-after" in response.headers
                assert "does not answer" in response.text
                assert "data-outage" in response.text

            async def has_arrived() -> bool:
                return "away" in events

            await eventually(has_arrived, "the outage is reported")
            network.refuse(refuses=False)

        async def is_back() -> bool:
            return (await pages.get("/ui/tasks")).status_code == 200

        await eventually(is_back, "the pages are back")


async def test_a_database_that_takes_no_connections_is_an_outage_on_every_page(
    stage: Stage,
) -> None:
    name = urlsplit(stage.url).path[1:]
    elsewhere = await asyncpg.connect(stage.url.replace(f"/{name}", "/postgres"))
    async with serving_pages(stage) as pages:
        try:
            await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await elsewhere.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            # The first requests use connections that have just ended, the others are refused new ones.
            for path in (*PAGES, f"/ui/tasks/{uuid4()}") * 2:
                if path != "/ui/create":
                    assert (await pages.get(path)).status_code == 503, path
            assert (await pages.get("/tasks?status=new")).status_code == 503
            assert (await pages.get("/ui/create")).status_code == 200
        finally:
            await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await elsewhere.close()

        async def is_back() -> bool:
            return (await pages.get("/ui/tasks")).status_code == 200

        await eventually(is_back, "the pages are back")


async def test_a_job_goes_on_when_the_database_is_back(stage: Stage) -> None:
    tasks = [await stage.created() for _ in range(3)]
    async with (
        a_network(stage.url) as (network, through),
        a_stage(through) as cut_off,
        serving_pages(cut_off) as pages,
    ):
        network.refuse(refuses=True)
        started = await pages.post("/ui/sweeps", b"what=cancel&since=15m")
        job = started.headers["location"].rpartition("job=")[2]

        async def waits() -> bool:
            return "database is away" in (await pages.get(f"/ui/jobs/{job}")).text

        await eventually(waits, "the job waits")
        network.refuse(refuses=False)
        assert "3 tasks" in await finished(pages, started.headers["location"])
    assert {(await stage.task(task.id)).status for task in tasks} == {Status.CANCELLED}
