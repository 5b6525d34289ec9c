"""The page of the audit log."""

import re
from html import unescape

from taskmill.domain.audit import Actor, ActorKind, AuditAction, Origin, Target, TargetType
from tests.support.api import Served
from tests.support.stage import Stage

ROOT = Origin(actor=Actor(kind=ActorKind.MACHINE, name="root"))


async def record(stage: Stage, target: str, origin: Origin = ROOT) -> None:
    async with stage.service.audit.record(
        AuditAction.QUEUE_PAUSE, Target(TargetType.QUEUE, target), origin=origin
    ):
        pass


def rows(html: str) -> int:
    return html.count('<tr id="a')


async def test_an_action_is_shown_with_its_actor_and_outcome(pages: Served, stage: Stage) -> None:
    assert "Nothing was recorded" in (await pages.get("/ui/audit")).text
    task = await stage.created(queue="mail")
    await pages.post(f"/ui/tasks/{task.id}/cancel")
    await pages.post("/ui/queues/none/delete")
    await record(stage, "mail")
    html = (await pages.get("/ui/audit")).text
    assert rows(html) == 3
    assert f'href="/ui/tasks/{task.id}"' in html
    assert "queue-not-found" in html
    assert "127.0.0.1" in html
    assert "on the machine" in html
    russian = (await pages.get("/ui/audit", headers={"accept-language": "ru"})).text
    assert "Отказано" in russian


async def test_details_are_escaped(pages: Served, stage: Stage) -> None:
    details = {"name": "<script>", "labels": {"team": "a"}}
    async with stage.service.audit.record(AuditAction.TASKS_CANCEL, details=details):
        pass
    html = (await pages.get("/ui/audit")).text
    assert "<script>" not in html.partition("<body")[2]
    assert 'name: <script>, labels: {"team":"a"}' in re.sub("[\u2066-\u2069]", "", unescape(html))


async def test_it_is_filtered_and_goes_page_by_page(pages: Served, stage: Stage) -> None:
    for number in range(53):
        await record(stage, f"q{number % 2}")
    first = (await pages.get("/ui/audit?actor=root")).text
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = (await pages.get(unescape(older))).text
    assert (rows(first), rows(second)) == (50, 3)
    assert 'href="/ui/audit?actor=root">Newest' in second
    assert rows((await pages.get("/ui/audit?target=q1")).text) == 26
    assert rows((await pages.get("/ui/audit?action=queue.pause&target=q0&actor=root")).text) == 27
    assert "No entry matches" in (await pages.get("/ui/audit?action=queue.resume")).text
    for query in ("action=x", "before=x", f"actor={'x' * 201}"):
        assert (await pages.get(f"/ui/audit?{query}")).status_code == 422
