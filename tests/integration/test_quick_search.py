"""One search finds tasks, kinds of failures, queues, types, workers and pages, and only what may be seen."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.lifecycle import Failed
from taskmill.domain.quick_search import MatchBy, SearchText
from taskmill.operations import quick_search
from taskmill.operations.quick_search import MOST, QuickSearch
from taskmill.storage import failures, queues
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.builders import ERROR, a_draft
from tests.support.pages import HTMX, serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def found(pages: Served, text: str, headers: dict[str, str] | None = None) -> str:
    response = await pages.get(f"/ui/search?q={quote(text)}", headers=(headers or {}) | HTMX)
    assert response.status_code == 200, response.text
    assert "<html" not in response.text
    return response.text


def task_ids(html: str) -> list[str]:
    return re.findall(r'class="hit" href="/ui/tasks/([0-9a-f-]{36})"', html)


async def test_a_task_is_found_by_each_of_its_marks(pages: Served, stage: Stage) -> None:
    task = await stage.created(name="Settle the invoice", labels='{"team": "billing"}')
    await stage.created(name="Another")
    wanted = str(task.id)
    for text in (
        wanted,
        wanted.upper(),
        wanted[-8:],
        f"…{wanted[-8:]}",
        wanted[-17:],
        f"#{task.number}",
        "the INVOICE",
        "team=billing",
    ):
        assert task_ids(await found(pages, text)) == [wanted], text
    assert wanted in task_ids(await found(pages, str(task.number)))
    for text in ("team=other", "#999999", wanted[:-1] + ("0" if wanted[-1] != "0" else "1")):
        assert task_ids(await found(pages, text)) == []


async def test_failures_queues_types_workers_and_pages_are_found_by_their_text(
    pages: Served, stage: Stage
) -> None:
    lease = await stage.open_lease(worker="press-1", ttl_s=600)
    taken = await stage.running(lease, queue="printing", type="print-label")
    await stage.end(taken, lease, Failed(error=ERROR))
    await stage.created(queue="blueprints", type="unseen-type")
    await stage.service.contracts.register(
        TypeContract(type="contracted-type", schema='{"type": "object"}'), by="test"
    )
    await failures.fold(stage.maintenance_database)
    html = await found(pages, "print")
    assert re.findall(r"queue=([a-z]+)", html) == ["printing", "blueprints"]
    assert "/ui/types/print-label" in html
    assert "/ui/workers/" in await found(pages, "PRESS")
    assert "/ui/failures/" in await found(pages, "No Such Customer")
    assert "/ui/types/unseen-type" in await found(pages, "unseen")
    assert 'href="/ui/webhooks"' in await found(pages, "webh")
    assert "Nothing found" in await found(pages, "nowhere at all")


async def test_a_key_with_a_value_is_searched_for_in_names_too(pages: Served, stage: Stage) -> None:
    named = await stage.created(name="Sync team=billing")
    labelled = await stage.created(name="Another", labels='{"team": "billing"}')
    both = await stage.created(name="Again team=billing", labels='{"team": "billing"}')
    ids = [str(one.id) for one in (both, labelled, named)]
    assert task_ids(await found(pages, "team=billing")) == ids


async def test_the_page_has_what_the_dialog_has(pages: Served, stage: Stage) -> None:
    task = await stage.created(name="Settle the invoice")
    response = await pages.get("/ui/search?q=invoice")
    assert task_ids(response.text) == [str(task.id)]
    assert 'value="invoice"' in response.text
    assert (await pages.get(f"/ui/search?q={'x' * 201}")).status_code == 422


async def test_what_is_deep_is_found_by_going_on(
    pages: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 10)
    monkeypatch.setattr("taskmill.storage.listing._LARGEST_CHUNK", 10)
    monkeypatch.setattr(quick_search, "_SCAN_S", 0.0)
    monkeypatch.setattr(quick_search, "_LONGER_SCAN_S", 0.0)
    wanted = await stage.created(name="deep")
    await stage.creation.create_all([a_draft(name=f"hay {number}") for number in range(60)])
    html, steps = await found(pages, str(wanted.id)[-12:]), 0
    while going_on := re.findall(r'hx-get="(/ui/search/tasks[^"]*)"', html):
        assert task_ids(html) == []
        assert "searched until" in html
        response = await pages.get(going_on[0].replace("&amp;", "&"), headers=HTMX)
        html, steps = response.text, steps + 1
        assert response.status_code == 200
    assert task_ids(html) == [str(wanted.id)]
    assert steps >= 3


async def test_only_a_few_of_each_kind_are_shown_and_the_list_has_all(
    pages: Served, stage: Stage
) -> None:
    await stage.creation.create_all(
        [a_draft(name=f"many {number}", queue=f"many-{number}") for number in range(MOST + 2)]
    )
    html = await found(pages, "many")
    assert len(task_ids(html)) == MOST
    assert 'href="/ui/tasks?name=many"' in html
    assert len(re.findall(r"queue=many-", html)) == MOST


async def test_going_on_has_a_way_and_a_place(pages: Served, stage: Stage) -> None:
    task = await stage.created()
    for query in (
        f"q=task&by=label&after={task.id}&left=5",
        f"q=task&by=none&after={task.id}&left=5",
        "q=task&by=name&after=here&left=5",
        f"q=task&by=name&after={task.id}&left=6",
    ):
        assert (await pages.get(f"/ui/search/tasks?{query}")).status_code == 422, query


async def test_a_key_for_some_queues_finds_nothing_of_others(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail")
    lease = await stage.open_lease(worker="hidden-worker", ttl_s=600, queues=("hidden",))
    taken = await stage.running(
        lease, queue="hidden", type="hidden-type", name="the same name", labels='{"team": "x"}'
    )
    await stage.end(taken, lease, Failed(error=ERROR))
    await failures.fold(stage.maintenance_database)
    own = await stage.created(queue="mail", name="the same name", labels='{"team": "x"}')
    hidden = await stage.task(taken.task.id)
    for text in ("the same name", "team=x", str(own.id), f"#{own.number}", str(own.id)[-12:]):
        assert task_ids(await found(closed, text, session)) == [str(own.id)], text
    for text in (
        str(hidden.id),
        f"#{hidden.number}",
        str(hidden.id)[-12:],
        "hidden",
        "no such customer",
    ):
        html = await found(closed, text, session)
        assert "Nothing found" in html
        assert 'class="hit"' not in html, text


async def test_who_may_know_no_contract_finds_no_type_of_one(closed: Served, stage: Stage) -> None:
    await stage.service.contracts.register(
        TypeContract(type="contracted-type", schema='{"type": "object"}'), by="test"
    )
    reader = await visitor(closed, stage, "tasks:read")
    knower = await visitor(closed, stage, "tasks:read", "types")
    assert 'class="hit"' not in await found(closed, "contracted", reader)
    assert "/ui/types/contracted-type" in await found(closed, "contracted", knower)


async def test_who_logs_in_again_comes_back_to_the_page_that_searched(closed: Served) -> None:
    for address, goal in (
        ("http://test/ui/tasks?queue=b#top", "%2Fui%2Ftasks%3Fqueue%3Db"),
        ("http://[", "%2Fui%2Fsearch%2Ftasks%3Fq%3Dx"),
    ):
        headers = HTMX | {"hx-current-url": address}
        refused = await closed.get("/ui/search/tasks?q=x", headers=headers)
        assert refused.headers["hx-redirect"] == f"/ui/login?next={goal}"


async def test_types_are_those_of_tasks_of_every_kind(stage: Stage) -> None:
    lease = await stage.open_lease(ttl_s=600)
    for name in ("ended-a", "ended-b"):
        await stage.end(await stage.running(lease, type=name), lease, Failed(error=ERROR))
    await stage.running(lease, type="running-a", queue="other")
    for name, queue in (("waiting-a", "q"), ("waiting-b", "q"), ("waiting-a", "r")):
        await stage.created(type=name, queue=queue)
    types = await queues.task_types(stage.database, 100)
    assert types == {"ended-a", "ended-b", "running-a", "waiting-a", "waiting-b"}
    # Types of what waits are read by queues, of which there may be more than types.
    assert {"waiting-a", "waiting-b"} <= await queues.task_types(stage.database, 1)


async def test_a_search_for_an_id_asks_for_no_names(stage: Stage) -> None:
    task = await stage.created(name="#1")
    result = await QuickSearch(stage.service).find(SearchText.of(str(task.id)))
    assert [one.id for one in result.exact] == [task.id]
    assert result.tasks == []
    by_name = await QuickSearch(stage.service).find(SearchText.of("a"))
    assert [one.by for one in by_name.tasks] == [MatchBy.NAME]
