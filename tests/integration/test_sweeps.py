"""Cancelling and retrying what a filter admits: in bounded steps, and as for single tasks."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Failed, Status, Succeeded
from taskmill.domain.system import Sweep, SweepStep, TaskFilter
from taskmill.storage.database import Database
from tests.support.api import Served
from tests.support.builders import ERROR, a_draft
from tests.support.safety import assert_safe
from tests.support.stage import Stage

ALL = TaskFilter()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of one chunk of two tasks."""
    monkeypatch.setattr("taskmill.operations.sweep.BUDGET_S", 0.0)
    monkeypatch.setattr("taskmill.operations.sweep.CHUNK", 2)


async def steps(
    stage: Stage, what: Sweep, wanted: TaskFilter, *, dry_run: bool = False
) -> list[SweepStep]:
    """Return all steps of a sweep."""
    done: list[SweepStep] = []
    start = None
    while not done or start is not None:
        done.append(await stage.service.sweep(what, wanted, start, dry_run=dry_run))
        start = done[-1].next_start
    return done


def summed(done: list[SweepStep]) -> tuple[int, int, int]:
    return (
        sum(step.matched for step in done),
        sum(step.changed for step in done),
        sum(step.requested for step in done),
    )


async def a_mixture(stage: Stage) -> dict[str, list[Any]]:
    """Two tasks in each status in queue `a`, and one that waits in queue `b`."""
    lease, made = await stage.open_lease(), {}
    for status in ("succeeded", "failed", "in_progress"):
        made[status] = [(await stage.running(lease, queue="a")) for _ in range(2)]
    for taken in made["succeeded"]:
        await stage.end(taken, lease, Succeeded())
    for taken in made["failed"]:
        await stage.end(taken, lease, Failed(error=ERROR))
    ids: dict[str, list[Any]] = {key: [one.task.id for one in some] for key, some in made.items()}
    cancelled = [await stage.created(queue="a") for _ in range(2)]
    for task in cancelled:
        await stage.service.cancel(task.id)
    ids["cancelled"] = [task.id for task in cancelled]
    ids["new"] = [(await stage.created(queue="a")).id for _ in range(2)]
    ids["other"] = [(await stage.created(queue="b")).id]
    return ids


async def test_a_sweep_cancels_waiting_tasks_and_requests_it_of_running_ones(stage: Stage) -> None:
    ids = await a_mixture(stage)
    [step] = await steps(stage, Sweep.CANCEL, TaskFilter(queue="a"))
    assert (step.matched, step.changed, step.requested) == (4, 2, 2)
    for task_id in ids["new"]:
        assert await stage.event_types(task_id) == ["created", "cancelled"]
    for task_id in ids["in_progress"]:
        assert (await stage.task(task_id)).cancel_requested
        assert (await stage.event_types(task_id))[-1] == "cancel_requested"
    for status in ("succeeded", "failed"):
        for task_id in ids[status]:
            assert (await stage.task(task_id)).status == status
    assert (await stage.task(ids["other"][0])).status is Status.NEW
    await assert_safe(stage.sql)


@pytest.mark.parametrize(
    ("statuses", "expected"), [({Status.NEW}, (2, 2, 0)), ({Status.IN_PROGRESS}, (2, 0, 2))]
)
async def test_a_sweep_changes_only_the_wanted_statuses(
    stage: Stage, statuses: set[Status], expected: tuple[int, int, int]
) -> None:
    await a_mixture(stage)
    wanted = TaskFilter(queue="a", statuses=frozenset(statuses))
    assert summed(await steps(stage, Sweep.CANCEL, wanted)) == expected
    await assert_safe(stage.sql)


async def test_a_sweep_retries_the_wanted_statuses(stage: Stage) -> None:
    ids = await a_mixture(stage)
    failed = TaskFilter(statuses=frozenset({Status.FAILED}))
    assert summed(await steps(stage, Sweep.RETRY, failed)) == (2, 2, 0)
    for task_id in ids["failed"]:
        task = await stage.task(task_id)
        assert (task.status, task.run, task.attempt) == (Status.NEW, 2, 0)
    assert summed(await steps(stage, Sweep.RETRY, failed)) == (0, 0, 0)
    assert summed(await steps(stage, Sweep.RETRY, ALL)) == (4, 4, 0)
    counts = (await stage.service.stats()).queues
    assert counts["a"] == {Status.NEW: 8, Status.IN_PROGRESS: 2}
    await assert_safe(stage.sql)


@pytest.mark.usefixtures("hasty")
async def test_a_sweep_continues_after_each_step_until_nothing_is_left(stage: Stage) -> None:
    made = await stage.creation.create_all([a_draft(labels='{"n":"1"}') for _ in range(7)])
    wanted = TaskFilter(labels=(("n", "1"),))
    counted = await steps(stage, Sweep.CANCEL, wanted, dry_run=True)
    assert summed(counted) == (7, 0, 0)
    assert len(counted) == 4
    done = await steps(stage, Sweep.CANCEL, wanted)
    assert [step.changed for step in done] == [2, 2, 2, 1]
    versions = [(await stage.task(result.task.id)).version for result in made]
    assert versions == [2] * 7
    await assert_safe(stage.sql)


async def test_an_outage_within_a_step_returns_what_was_done_and_where_to_continue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.sweep.CHUNK", 2)
    made = [(await stage.created(queue="a")).id for _ in range(6)]
    fetch, calls = stage.database.fetch, iter(range(100))

    async def away_at_the_second_chunk(name: str, *arguments: object, **form: bool) -> object:
        if name == "cancel_waiting_tasks" and next(calls) == 1:
            raise Unavailable(1, "the database")
        return await fetch(name, *arguments, **form)

    monkeypatch.setattr(stage.database, "fetch", away_at_the_second_chunk)
    first, second = await steps(stage, Sweep.CANCEL, TaskFilter(queue="a"))
    assert (first.matched, first.changed) == (2, 2)
    assert (second.matched, second.changed) == (4, 4)
    assert {(await stage.task(task_id)).status for task_id in made} == {Status.CANCELLED}


async def test_an_outage_at_the_beginning_of_a_step_is_raised(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.created(queue="a")
    fetch = stage.database.fetch

    async def away(name: str, *arguments: object, **form: bool) -> object:
        if name == "cancel_waiting_tasks":
            raise Unavailable(1, "the database")
        return await fetch(name, *arguments, **form)

    monkeypatch.setattr(stage.database, "fetch", away)
    with pytest.raises(Unavailable):
        await steps(stage, Sweep.CANCEL, TaskFilter(queue="a"))


@pytest.mark.usefixtures("hasty")
async def test_a_sweep_changes_only_tasks_that_existed_when_it_began(stage: Stage) -> None:
    await stage.creation.create_all([a_draft() for _ in range(3)])
    first = await stage.service.sweep(Sweep.CANCEL, ALL, None, dry_run=False)
    assert first.next_start is not None
    later = await stage.created()
    second = await stage.service.sweep(Sweep.CANCEL, ALL, first.next_start, dry_run=False)
    assert (second.changed, second.next_start) == (1, None)
    assert (await stage.task(later.id)).status is Status.NEW


async def test_a_dry_run_counts_and_changes_nothing(stage: Stage) -> None:
    await a_mixture(stage)
    before = await stage.sql.fetch("SELECT id, version FROM taskmill.current_task ORDER BY id")
    by_counters = await steps(stage, Sweep.CANCEL, TaskFilter(queue="a"), dry_run=True)
    by_listing = await steps(stage, Sweep.RETRY, TaskFilter(type="emulate"), dry_run=True)
    assert (summed(by_counters), summed(by_listing)) == ((4, 0, 0), (6, 0, 0))
    assert (
        await stage.sql.fetch("SELECT id, version FROM taskmill.current_task ORDER BY id") == before
    )


async def test_a_task_that_moved_between_two_statements_is_found_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is claimed before waiting tasks are cancelled, and handed back before running ones are requested to."""
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    fetch, is_first = Database.fetch, True

    async def fetch_and_move(
        self: Database, name: str, *arguments: object, **form: bool
    ) -> list[asyncpg.Record]:
        nonlocal is_first
        if name == "request_cancels" and is_first:
            is_first = False
            await stage.end(taken, lease, Failed(error=ERROR))
            await stage.service.retry(taken.task.id)
        return await fetch(self, name, *arguments, **form)

    monkeypatch.setattr(Database, "fetch", fetch_and_move)
    [step] = await steps(stage, Sweep.CANCEL, ALL)
    assert (step.matched, step.changed, step.requested) == (1, 1, 0)
    assert (await stage.task(taken.task.id)).status is Status.CANCELLED
    await assert_safe(stage.sql)


async def test_sweeps_do_not_deadlock_with_claims_or_each_other(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    await stage.creation.create_all([a_draft(delay=timedelta(0)) for _ in range(200)])

    async def work() -> None:
        for _ in range(10):
            for taken in await stage.take(lease, 15):
                await stage.end(taken, lease, Failed(error=ERROR))

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        for what in (Sweep.CANCEL, Sweep.RETRY, Sweep.CANCEL, Sweep.RETRY):
            group.create_task(steps(stage, what, ALL))
    await assert_safe(stage.sql)


async def test_a_sweep_over_http_returns_what_it_did_and_where_to_continue(
    api: Served,
    stage: Stage,
    hasty: None,  # noqa: ARG001 - for what it does
) -> None:
    await stage.creation.create_all([a_draft(queue="a", name=f"n{n}") for n in range(3)])
    body = {"queue": "a", "status": ["new"], "name": "N"}
    response = await api.post("/tasks/cancel", {**body, "dry_run": True})
    assert response.status_code == 200
    assert (response.json()["matched"], response.json()["dry_run"]) == (2, True)
    assert response.json()["groups"] == {
        "items": [{"queue": "a", "type": "emulate", "tasks": 3}],
        "more": 0,
        "running": 0,
        "are_complete": True,
    }
    first = (await api.post("/tasks/cancel", body)).json()
    cursor = first.pop("next_cursor")
    assert first == {
        "matched": 2,
        "changed": 2,
        "cancel_requested": 0,
        "dry_run": False,
        "is_complete": False,
        "groups": None,
    }
    second = (await api.post("/tasks/cancel", {**body, "cursor": cursor})).json()
    assert (second["changed"], second["is_complete"], second["next_cursor"]) == (1, True, None)
    retried = (await api.post("/tasks/retry", {"all": True})).json()
    assert (retried["matched"], retried["changed"]) == (0, 0)
    retried = (await api.post("/tasks/retry", {"status": ["cancelled"], "queue": "a"})).json()
    assert (retried["changed"], retried["is_complete"]) == (2, False)
    for other in ({"queue": "b"}, {**body, "status": ["in_progress"]}):
        refused = await api.post("/tasks/cancel", {**other, "cursor": cursor})
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["pointer"] == "/cursor"
    refused = await api.post("/tasks/retry", {"queue": "a", "cursor": cursor})
    assert refused.status_code == 400


@pytest.mark.parametrize("action", ["cancel", "retry"])
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"dry_run": True}, ""),
        ({"status": []}, ""),
        ({"all": False}, ""),
        ({"all": True, "queue": "a"}, "/all"),
        ({"status": ["lost"]}, "/status/0"),
        ({"status": "failed"}, "/status"),
        ({"queue": "A"}, "/queue"),
        ({"queue": ["a"]}, "/queue"),
        ({"type": ""}, "/type"),
        ({"label": ["a"]}, "/label/0"),
        ({"label": ["a=1", "a=2"]}, "/label"),
        ({"label": {"a": "1"}}, "/label"),
        ({"name": ""}, "/name"),
        ({"created_after": "yesterday"}, "/created_after"),
        ({"created_before": 5}, "/created_before"),
        ({"queue": "a", "dry_run": "yes"}, "/dry_run"),
        ({"queue": "a", "most": 5}, "/most"),
        ({"all": True, "cursor": 5}, "/cursor"),
        ([], ""),
    ],
)
async def test_an_unclear_sweep_is_refused_and_does_nothing(
    api: Served, stage: Stage, action: str, body: object, pointer: str
) -> None:
    made = await stage.created()
    refused = await api.post(f"/tasks/{action}", body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert await stage.task(made.id) == made


async def test_a_sweep_accepts_only_statuses_that_allow_it(api: Served) -> None:
    refused = await api.post("/tasks/cancel", {"status": ["new", "failed"]})
    assert refused.json()["errors"][0]["pointer"] == "/status/1"
    refused = await api.post("/tasks/retry", {"status": ["new"]})
    assert refused.json()["errors"][0]["pointer"] == "/status/0"


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "ü", "A" * 54, "/" * 56, "_" * 53 + "8=", "A" * 3000, "a b", "\u0000"],
)
async def test_a_sweep_accepts_no_cursor_that_it_did_not_make(api: Served, cursor: str) -> None:
    refused = await api.post("/tasks/cancel", {"all": True, "cursor": cursor})
    assert refused.status_code in {400, 422}


async def test_a_sweep_refuses_text_that_can_not_be_stored(api: Served) -> None:
    refused = await api.post("/tasks/cancel", b'{"name": "\\ud800"}')
    assert refused.status_code in {400, 422}


async def test_a_cursor_made_by_hand_is_refused_or_harmless(api: Served) -> None:
    """Its digest is no signature: a client with one cursor can make others."""
    from uuid import UUID  # noqa: PLC0415

    from taskmill.api import cursors, listings  # noqa: PLC0415

    statuses = frozenset({Status.NEW, Status.IN_PROGRESS})
    digest = listings.digest(TaskFilter(statuses=statuses), Sweep.CANCEL)
    for after, until, status in (
        (0, 2**128 - 1, 400),
        (2**128 - 1, 0, 200),
        (2**128 - 1, 2**120, 200),
        (0, 2**122, 400),
    ):
        cursor = cursors.encode(UUID(int=after), digest, UUID(int=until))
        response = await api.post("/tasks/cancel", {"all": True, "cursor": cursor})
        assert response.status_code == status


async def test_the_paths_of_sweeps_are_no_ids(api: Served) -> None:
    for action in ("cancel", "retry"):
        assert (await api.get(f"/tasks/{action}")).status_code == 405
        assert (await api.post(f"/tasks/{action}?all=true", {"all": True})).status_code == 422
