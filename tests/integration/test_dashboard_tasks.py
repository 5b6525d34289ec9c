"""The list of tasks and the page of one over HTTP."""

import re

import orjson

from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.storage import failures
from tests.support.api import Served
from tests.support.pages import FIRST_VIEW_BYTES
from tests.support.stage import Stage


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


async def test_a_page_has_as_many_rows_as_chosen(pages: Served, stage: Stage) -> None:
    for number in range(120):
        await stage.created(name=f"task {number:03}")
    html = (await pages.get("/ui/tasks?rows=100&order=asc")).text
    assert re.findall(r">(task \d{3})<", html) == [f"task {number:03}" for number in range(100)]
    assert re.search(r'rows=100"[^>]*aria-current', html)
    [older] = re.findall(r'rel="next" href="([^"]+)"', html)
    html = (await pages.get(older.replace("&amp;", "&"))).text
    assert re.findall(r">(task \d{3})<", html) == [
        f"task {number:03}" for number in range(100, 120)
    ]
    assert len(re.findall(r">(task \d{3})<", (await pages.get("/ui/tasks?rows=200")).text)) == 120
    assert (await pages.get("/ui/tasks?rows=51")).status_code == 422
    # They are no filter: nothing is offered for all tasks.
    assert "data-offered" not in html


async def test_the_head_of_the_time_reverses_the_order(pages: Served, stage: Stage) -> None:
    await stage.created(queue="mail")
    for query, order, other in (
        ("queue=mail", "descending", "/ui/tasks?queue=mail&amp;order=asc"),
        ("queue=mail&order=asc", "ascending", "/ui/tasks?queue=mail"),
    ):
        html = (await pages.get(f"/ui/tasks?{query}")).text
        assert f'aria-sort="{order}"><a class="sort" href="{other}"' in html


async def test_the_heads_of_lists_lead_to_their_orders(pages: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease(types=("send",))
    taken = await stage.running(lease_id, type="send", queue="mail")
    await stage.end(taken, lease_id, Failed(error=ErrorInfo(type="Oops", message="no")))
    await failures.fold(stage.maintenance_database)
    for path, orders in (
        ("/ui/queues", ["", "waiting", "oldest"]),
        ("/ui/types", ["", "ended", "failed"]),
        ("/ui/failures", ["", "newest", "latest"]),
    ):
        html = (await pages.get(path)).text
        heads = re.findall(r'<th [^>]*><a class="sort" href="([^"]+)"', html)
        assert heads == [f"{path}?order={order}" if order else path for order in orders]
        assert html.count("aria-sort") == 1
        for head in heads:
            assert 'aria-sort="' in (await pages.get(head)).text


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
