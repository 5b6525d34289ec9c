"""The pages over HTTP: what holds for all of them, what they refuse, and what they cost."""

import gzip
import re
from uuid import UUID, uuid4

from taskmill.dashboard import assets
from taskmill.domain.lifecycle import Status
from taskmill.settings import Settings
from tests.support.api import LIMITS, Served
from tests.support.pages import FIRST_VIEW_BYTES, HTMX, LISTS, PAGES, serving_pages
from tests.support.stage import Stage

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
    "/ui/queues?window=1y",
    "/ui/queues?order=random()",
    "/ui/queues?page=0",
    "/ui/queues?page=x",
    "/ui/queues?page=99999",
    "/ui/queues?name=" + "x" * 201,
    "/ui/queues?name=%00",
    "/ui/queues/",
    "/ui/workers?page=-1",
    "/ui/workers?name=%ff",
    "/ui/workers/x",
    f"/ui/workers/{uuid4()}",
    "/ui/failures?window=5y",
    "/ui/failures?window=%00",
    "/ui/tasks?worker=x",
    "/ui/tasks?error=" + "x" * 305,
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
    assert (title_of(russian.text), 'lang="ru"' in russian.text) == ("(1) Задачи", True)
    changed = await pages.post("/ui/preferences", b"language=ru&back=/ui/tasks?queue=a")
    assert (changed.status_code, changed.headers["location"]) == (303, "/ui/tasks?queue=a")
    assert (
        title_of((await pages.get("/ui/tasks", headers={"accept-language": "en"})).text)
        == "(1) Задачи"
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
        changed = await pages.post("/ui/preferences", b"theme=dark&back=/ui/tasks")
        assert changed.headers["location"] == "/mill/ui/tasks"
        assert "path=/mill/" in changed.headers["set-cookie"].lower()


async def test_htmx_gets_the_live_part_only(pages: Served) -> None:
    for path in LISTS:
        part = (await pages.get(path, headers=HTMX)).text
        assert "<html" not in part
        assert "empty" in part
    await pages.create(name="seen")
    assert "seen" in (await pages.get("/ui/tasks", headers=HTMX)).text
