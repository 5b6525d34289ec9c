"""What pages show to who may read some queues only: all of theirs, and nothing of others."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx
import pytest

from taskmill.dashboard.page_rules import PAGE_RULES, Need
from taskmill.domain.grants import Scope
from taskmill.domain.lifecycle import Failed
from taskmill.domain.retention import LONGEST_KEEP
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.builders import ERROR
from tests.support.pages import HTMX, serving_pages
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

PAGES = [
    "/ui/tasks",
    "/ui/tasks?queue=secret",
    "/ui/tasks?type=send&name=own",
    "/ui/tasks?status=new&status=in_progress",
    "/ui/tasks?error=Boom%3A+it+failed",
    "/ui/search?q=own",
    "/ui/search?q=secret",
    "/ui/search?q=send",
    "/ui/search?q=for-",
    "/ui/search?q=customer",
    "/ui/search?q=abcdef",
    "/ui/tasks/export.csv",
    "/ui/tasks/export.ndjson?type=send",
    "/ui/failures",
    "/ui/failures?window=24h",
    "/ui/queues",
    "/ui/queues?order=oldest&window=24h",
    "/ui/queues?name=s&order=waiting",
    "/ui/workers",
    "/ui/workers?name=for-",
    "/ui/rejections",
    "/ui/rejections?state=open&text=expected",
    "/ui/schedules",
    "/ui/schedules?name=nightly",
    "/ui/events",
    "/ui/events?queue=mail&event=created",
    "/ui/types",
    "/ui/types?window=24h&order=failed",
]


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def some_work(stage: Stage, queue: str, lease_queue: tuple[str, ...]) -> list[UUID]:
    """A failed, a running and two waiting tasks."""
    lease = await stage.open_lease(ttl_s=600, queues=lease_queue, worker=f"for-{lease_queue[0]}")
    failed = await stage.running(lease, queue=queue, type="send", name=f"{queue} own")
    await stage.end(failed, lease, Failed(error=ERROR))
    running = await stage.running(lease, queue=queue, type="send", name=f"{queue} own")
    waiting = [
        await stage.created(queue=queue, type="send", name=f"{queue} own {n}") for n in range(2)
    ]
    return [failed.task.id, running.task.id, *(task.id for task in waiting)]


def stable(response: httpx.Response) -> tuple[int, str]:
    """A page without times, ages, rates and the strip of phases, which pass."""
    passing = r'data-now="[^"]*"|<time.*?</time>|<svg class="(?:spark|axis|bars).*?</svg>|(?:x|width)="[\d.]+%"'
    text = re.sub(passing, "", response.text)
    ages = r"[\d.,]+(?: |\xa0|&nbsp;)?(?:ms|s|min|h|d)\b|\d+\.\d+"
    return response.status_code, re.sub(ages, "", text)


async def test_what_happens_in_other_queues_changes_no_page(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail*")
    own = await some_work(stage, "mail", ("mail",))
    pages = [*PAGES, *(f"/ui/tasks/{task_id}" for task_id in own)]
    headers = [session, session | HTMX]
    before = [stable(await closed.get(path, headers=one)) for path in pages for one in headers]
    foreign = await some_work(stage, "secret", ("secret",))
    await stage.service.set_queue_paused("secret", paused=True)
    await Scheduler(stage).put("nightly", task={"name": "secret own", "queue": "secret"})
    after = [stable(await closed.get(path, headers=one)) for path in pages for one in headers]
    assert {status for status, _ in after} == {200}
    for number, path in enumerate(path for path in pages for _ in headers):
        assert after[number][1].splitlines() == before[number][1].splitlines(), path
    shown = "".join(text for _, text in after)
    assert "mail own 1" in shown
    for hidden in ("secret own", "for-secret", *map(str, foreign)):
        assert hidden not in shown


async def test_a_task_of_others_has_no_page_no_action_and_no_stream(
    closed: Served, stage: Stage
) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:operate")
    foreign, own = await stage.created(queue="secret"), await stage.created(queue="mail")
    unknown = uuid4()
    for method, path in (
        ("GET", "/ui/tasks/{}"),
        ("POST", "/ui/tasks/{}/cancel"),
        ("POST", "/ui/tasks/{}/retry"),
        ("GET", "/ui/live?task={}"),
    ):
        async with asyncio.timeout(10):  # a stream that begins does not end
            there, missing = [
                await closed.http.request(method, path.format(one), headers=session | FORM)
                for one in (foreign.id, unknown)
            ]
        assert there.status_code == missing.status_code == 404, path
        texts = [
            re.sub(f'{one}|data-now="[^"]*"', "", response.text)
            for one, response in ((foreign.id, there), (unknown, missing))
        ]
        assert texts[0] == texts[1], path
    assert (await stage.task(foreign.id)).version == foreign.version
    cancelled = await closed.post(f"/ui/tasks/{own.id}/cancel", headers=session | FORM)
    assert cancelled.status_code == 303
    assert (await stage.task(own.id)).version == own.version + 1


async def test_actions_are_drawn_and_done_in_the_queues_of_the_key_only(
    closed: Served, stage: Stage
) -> None:
    session = await visitor(
        closed, stage, "tasks:read queue=mail,news", "tasks:operate queue=mail,secret"
    )
    tasks = {queue: await stage.created(queue=queue) for queue in ("mail", "news", "secret")}
    queues = (await closed.get("/ui/queues", headers=session)).text
    assert "/ui/queues/mail/pause" in queues
    assert "news" in queues
    assert "/ui/queues/news/pause" not in queues
    assert "secret" not in queues
    assert "/cancel" in (await closed.get(f"/ui/tasks/{tasks['mail'].id}", headers=session)).text
    news = (await closed.get(f"/ui/tasks/{tasks['news'].id}", headers=session)).text
    assert "/cancel" not in news
    for queue, statuses in (("mail", (303, 303)), ("news", (403, 403)), ("secret", (403, 404))):
        paused = await closed.post(f"/ui/queues/{queue}/pause", headers=session | FORM)
        cancelled = await closed.post(f"/ui/tasks/{tasks[queue].id}/cancel", headers=session | FORM)
        assert (paused.status_code, cancelled.status_code) == statuses, queue
    versions = [(await stage.task(task.id)).version for task in tasks.values()]
    assert versions == [2, 1, 1]


async def test_a_queue_that_has_a_time_is_deleted_by_an_admin_only(
    closed: Served, stage: Stage
) -> None:
    await stage.service.set_queue_keep("mail", LONGEST_KEEP)
    operator = await visitor(closed, stage, "tasks:read", "tasks:operate")
    drawn = (await closed.get("/ui/queues/mail", headers=operator)).text
    assert ("/ui/queues/mail/pause" in drawn, "/ui/queues/mail/delete" in drawn) == (True, False)
    refused = await closed.post("/ui/queues/mail/delete", headers=operator | FORM)
    assert refused.status_code == 403
    admin = await visitor(closed, stage, "admin")
    assert "/ui/queues/mail/delete" in (await closed.get("/ui/queues/mail", headers=admin)).text
    deleted = await closed.post("/ui/queues/mail/delete", headers=admin | FORM)
    assert deleted.status_code == 303
    assert await stage.service.queues() == []


async def test_only_pages_that_can_be_opened_are_linked(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:create", "tasks:operate")
    task_id = (await some_work(stage, "mail", ("mail",)))[0]
    overview = await closed.get("/", headers=session)
    assert (overview.status_code, overview.headers["location"]) == (303, "/ui/tasks")
    await Scheduler(stage).put("nightly", task={"name": "x", "queue": "mail"})
    schedules = ("/ui/schedules", "/ui/schedules/nightly", "/ui/schedules/nightly/edit")
    paths = ("/ui/tasks", "/ui/queues", f"/ui/tasks/{task_id}", "/ui/sessions", *schedules)
    for path in paths:
        text = (await closed.get(path, headers=session)).text
        for address in {found.partition("?")[0] for found in re.findall(r'href="(/[^"]*)"', text)}:
            if address not in {"/docs", "/"} and "/static/" not in address:
                response = await closed.get(address, headers=session)
                assert response.status_code == 200, (path, address)
        assert "data-live" in text


def test_only_what_is_for_admins_needs_a_grant_for_all_queues() -> None:
    of_all = {route for route, rule in PAGE_RULES.items() if rule.need is Need.ALL}
    of_admins = {route for route, rule in PAGE_RULES.items() if rule.scope is Scope.ADMIN}
    # What is decided about a kind of failures holds in all queues.
    assert of_all == of_admins | {"POST /ui/failures/{id}/{decision}"}


async def job_of(pages: Served, session: dict[str, str], pairs: list[tuple[str, str]]) -> str:
    """Start a job with a form, and return its address when it is over."""
    form = urlencode(pairs).encode()
    started = await pages.post("/ui/sweeps", form, headers=session | FORM)
    assert started.status_code == 303, started.text
    address = f"/ui/jobs/{started.headers['location'][-36:]}"

    async def probe() -> bool:
        return (await pages.get(address, headers=session)).status_code == 286

    await eventually(probe, "the end of the job")
    return address


async def test_many_tasks_are_counted_and_changed_in_the_queues_of_the_key_only(
    closed: Served, stage: Stage
) -> None:
    grants = ("tasks:read queue=mail,news", "tasks:operate queue=mail,secret")
    session = await visitor(closed, stage, *grants)
    tasks = {
        queue: [await stage.created(queue=queue, type="send") for _ in range(2)]
        for queue in ("mail", "news", "secret")
    }
    assert 'name="what"' in (await closed.get("/ui/tasks", headers=session)).text
    form = [("what", "cancel"), ("type", "send")]
    preview = await closed.post(
        "/ui/sweeps/preview", urlencode(form).encode(), headers=session | FORM
    )
    assert '<p class="big num">2</p>' in preview.text

    async def versions() -> list[int]:
        return [(await stage.task(one.id)).version for each in tasks.values() for one in each]

    picked = [("what", "cancel"), *(("id", str(each[0].id)) for each in tasks.values())]
    await job_of(closed, session, picked)
    assert await versions() == [2, 1, 1, 1, 1, 1]
    address = await job_of(closed, session, form)
    assert await versions() == [2, 2, 1, 1, 1, 1]
    other = await visitor(closed, stage, *grants)
    unknown = await closed.get(f"/ui/jobs/{uuid4()}", headers=other)
    foreign = await closed.get(address, headers=other)
    assert (foreign.status_code, foreign.text) == (unknown.status_code, unknown.text)
    assert (await closed.post(f"{address}/stop", headers=other | FORM)).status_code == 404
