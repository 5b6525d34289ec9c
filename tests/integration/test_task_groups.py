"""The question whether to change many tasks says of which queues and types they are, and how much work that is."""

import re
from html import unescape

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.domain.task_groups import TaskGroups
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.failing import fail
from tests.support.pages import HTMX, serving_pages
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor


def seen(html: str) -> str:
    """Return the text of a page as people see it."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


async def groups(stage: Stage, what: Sweep, **parts: object) -> TaskGroups:
    return await stage.service.groups(what, TaskFilter(**parts))  # type: ignore[arg-type]  # fields of a filter


async def test_tasks_are_grouped_by_queue_and_type_as_the_action_would_meet_them(
    stage: Stage,
) -> None:
    for queue, type_ in (("a", "mail"), ("a", "mail"), ("b", "mail"), ("b", "pay")):
        await fail(stage, queue=queue, type=type_)
    await stage.created(queue="a", type="waits")
    await stage.running(await stage.open_lease(), queue="c", type="runs")
    again = await groups(stage, Sweep.RETRY)
    assert again == TaskGroups(tasks={("a", "mail"): 2, ("b", "mail"): 1, ("b", "pay"): 1})
    cancelled = await groups(stage, Sweep.CANCEL)
    assert cancelled == TaskGroups(tasks={("a", "waits"): 1, ("c", "runs"): 1}, running=1)
    assert await groups(stage, Sweep.RETRY, statuses=frozenset({Status.NEW})) == TaskGroups()


async def test_of_many_tasks_the_oldest_and_the_newest_are_grouped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.task_groups.BUDGET_S", 0.0)
    monkeypatch.setattr("taskmill.operations.task_groups.CHUNK", 2)
    for type_ in ("oldest", "old", "middle", "new", "newest"):
        await stage.created(type=type_)
    found = await groups(stage, Sweep.CANCEL)
    assert [name for name, _ in found.types] == ["new", "newest", "old", "oldest"]
    assert not found.is_whole
    # The two newest of three have one that the oldest have, too.
    found = await groups(stage, Sweep.CANCEL, type="middle")
    assert found == TaskGroups(tasks={("default", "middle"): 1})


async def test_with_a_limit_only_the_oldest_are_grouped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for type_ in ("oldest", "old", "middle", "new", "newest"):
        await fail(stage, type=type_)
    monkeypatch.setattr("taskmill.operations.task_groups.CHUNK", 2)
    for limit, types in ((1, ["oldest"]), (3, ["middle", "old", "oldest"])):
        found = await stage.service.groups(Sweep.RETRY, TaskFilter(), limit=limit)
        assert ([name for name, _ in found.types], found.is_whole) == (types, True)
    monkeypatch.setattr("taskmill.operations.task_groups.BUDGET_S", 0.0)
    found = await stage.service.groups(Sweep.RETRY, TaskFilter(), limit=3)
    assert ([name for name, _ in found.types], found.is_whole) == (["old", "oldest"], False)


async def test_the_question_names_queues_types_work_and_slots(pages: Served, stage: Stage) -> None:
    for _ in range(2):
        await fail(stage, queue="mail", type="send")
    await fail(stage, queue="shop", type="pay")
    preview = await pages.post("/ui/sweeps/preview", b"what=retry&status=failed", headers=HTMX)
    text = seen(preview.text)
    assert "Queues mail 2 , shop 1 Types send 2 , pay 1 Work " in text
    # Each had a lease of its own, with 100 slots.
    assert "Slots for them 300 at least" in text
    await stage.sql.execute("UPDATE taskmill.lease SET request = 'quiet'")
    preview = await pages.post("/ui/sweeps/preview", b"what=retry&queue=mail", headers=HTMX)
    assert "No live worker runs these types in these queues" in seen(preview.text)


async def test_many_queues_are_not_cut_off_silently(pages: Served, stage: Stage) -> None:
    for n in range(8):
        await stage.created(queue=f"q{n}")
    preview = await pages.post("/ui/sweeps/preview", b"what=cancel&status=new", headers=HTMX)
    assert "q5 1 and 2 more" in seen(preview.text)
    assert "Slots for them" not in preview.text


async def test_a_cancel_says_how_many_tasks_run(pages: Served, stage: Stage) -> None:
    lease = await stage.open_lease()
    ids = [(await stage.running(lease)).task.id for _ in range(2)]
    form = "what=cancel&" + "&".join(f"id={one}" for one in ids)
    preview = await pages.post("/ui/sweeps/preview", form.encode(), headers=HTMX)
    assert "2 of them run now" in seen(preview.text)


async def test_a_key_for_some_queues_learns_of_these_only(stage: Stage) -> None:
    ids = [(await stage.created(queue=queue, type=f"of-{queue}")).id for queue in ("mail", "news")]
    async with serving_pages(stage, REQUIRED) as closed:
        grants = ("tasks:read queue=mail", "tasks:operate queue=mail")
        session = await visitor(closed, stage, *grants)
        picked = "what=cancel&" + "&".join(f"id={one}" for one in ids)
        for form in ("what=cancel&status=new", picked):
            preview = await closed.post("/ui/sweeps/preview", form.encode(), headers=session | FORM)
            assert "of-mail" in preview.text
            assert "news" not in preview.text.replace(str(ids[1]), "")
