"""The tasks of a kind of failures over HTTP and by the command: listed, cancelled, and retried as planned."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.api import cursors, sweep_cursors
from taskmill.domain.error_kinds import kind_id
from taskmill.domain.jobs import JobState
from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.domain.sweep_plans import SweepPlan
from taskmill.domain.system import Sweep, TaskFilter
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.audit import entries
from tests.support.commands import Taskmill, taskmill
from tests.support.failing import fail
from tests.support.jobs import over, running
from tests.support.safety import assert_safe
from tests.support.stage import Stage

__all__ = ["taskmill"]

KIND = "E in shop.call"


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of one chunk of two tasks."""
    monkeypatch.setattr("taskmill.operations.sweep.BUDGET_S", 0.0)
    monkeypatch.setattr("taskmill.operations.sweep.CHUNK", 2)


async def failed(stage: Stage, number: int, **parts: Any) -> list[UUID]:  # noqa: ANN401 - as `fail`
    return [await fail(stage, place="shop.call", **parts) for _ in range(number)]


async def swept(
    api: Served,
    body: dict[str, Any],
    action: str = "retry",
    **options: Any,  # noqa: ANN401 - httpx's own
) -> list[dict[str, Any]]:
    """Return what each step did."""
    done: list[dict[str, Any]] = []
    while not done or done[-1]["next_cursor"] is not None:
        cursor = done[-1]["next_cursor"] if done else None
        response = await api.post(f"/tasks/{action}", {**body, "cursor": cursor}, **options)
        assert response.status_code == 200, response.text
        done.append(response.json())
    return done


async def due_in_s(stage: Stage, ids: Sequence[UUID]) -> list[float]:
    """Return when tasks are due, in s from the first of them."""
    times = [(await stage.task(one)).run_at for one in ids]
    return [(one - times[0]).total_seconds() for one in times]


async def test_the_tasks_of_a_kind_are_listed_page_by_page(api: Served, stage: Stage) -> None:
    ids = await failed(stage, 3)
    await fail(stage, "another one")
    seen: list[str] = []
    parameters = {"error": KIND, "limit": "2"}
    first = (await api.get("/tasks", params=parameters)).json()
    seen += [one["id"] for one in first["items"]]
    following = {**parameters, "cursor": first["next_cursor"]}
    second = (await api.get("/tasks", params=following)).json()
    seen += [one["id"] for one in second["items"]]
    assert (first["total"], second["next_cursor"]) == (3, None)
    assert seen == [str(one) for one in reversed(ids)]
    for other in ({"limit": "2"}, {"limit": "2", "error": "E: another one"}):
        refused = await api.get("/tasks", params={**other, "cursor": first["next_cursor"]})
        assert refused.status_code == 400


@pytest.mark.usefixtures("hasty")
async def test_a_plan_holds_from_step_to_step(api: Served, stage: Stage) -> None:
    ids = await failed(stage, 6)
    before = await stage.sql.fetchval("SELECT now()")
    body = {"error": KIND, "limit": 5, "delay_s": 3_600, "per_second": 2}
    done = await swept(api, body)
    assert [one["changed"] for one in done] == [2, 2, 1]
    assert [one["is_complete"] for one in done] == [False, False, True]
    assert await due_in_s(stage, ids[:5]) == [0.0, 0.5, 1.0, 1.5, 2.0]
    wait = (await stage.task(ids[0])).run_at - before
    assert 3_600 <= wait.total_seconds() < 3_660
    assert (await stage.task(ids[5])).status is Status.FAILED
    asked = [orjson.loads(one.asked) for one in reversed(await entries(stage))]
    assert [one["limit"] for one in asked] == [5, 3, 1]
    assert all(one["error"] == KIND and one["spacing_s"] == 0.5 for one in asked)
    await assert_safe(stage.sql)


@pytest.mark.usefixtures("hasty")
async def test_less_than_one_a_second_holds_from_step_to_step(api: Served, stage: Stage) -> None:
    ids = await failed(stage, 3)
    await swept(api, {"error": KIND, "delay_s": 60, "per_second": 0.01})
    assert await due_in_s(stage, ids) == [0.0, 100.0, 200.0]


@pytest.mark.usefixtures("hasty")
async def test_a_limit_alone_is_due_at_once(api: Served, stage: Stage) -> None:
    ids = await failed(stage, 4)
    done = await swept(api, {"error": KIND, "limit": 3})
    assert [one["changed"] for one in done] == [2, 1]
    assert [(await stage.task(one)).status for one in ids] == [Status.NEW] * 3 + [Status.FAILED]
    waiting = "SELECT count(*) FROM taskmill.dispatch WHERE run_at <= now()"
    assert await stage.sql.fetchval(waiting) == 3


async def test_a_dry_run_counts_no_more_than_the_limit(api: Served, stage: Stage) -> None:
    ids = await failed(stage, 3)
    for body in ({"error": KIND}, {"queue": "default"}, {"type": "pay"}):
        [counted] = await swept(api, {**body, "limit": 2, "dry_run": True})
        assert (counted["matched"], counted["changed"], counted["is_complete"]) == (2, 0, True)
        [all_of_them] = await swept(api, {**body, "dry_run": True})
        assert all_of_them["matched"] == 3
    assert {(await stage.task(one)).status for one in ids} == {Status.FAILED}


@pytest.mark.usefixtures("hasty")
async def test_a_cursor_is_only_for_the_same_plan(api: Served, stage: Stage) -> None:
    ids = await failed(stage, 4)
    body = {"error": KIND, "delay_s": 60}
    first = (await api.post("/tasks/retry", body)).json()
    for other in ({"delay_s": 61}, {"per_second": 1}, {"limit": 3}, {"delay_s": None}):
        changed = {**body, **other, "cursor": first["next_cursor"]}
        refused = await api.post("/tasks/retry", changed)
        assert refused.status_code == 400, other
        assert refused.json()["errors"][0]["pointer"] == "/cursor"
    assert [(await stage.task(one)).status for one in ids[2:]] == [Status.FAILED] * 2


DELAY, LIMIT = SweepPlan(delay_s=60.0), SweepPlan(limit=3)
DUE = 2**50 << 64


@pytest.mark.parametrize("progress", [0, DUE + 1, 2**127, 2**128 - 1, 2**62 << 64], ids=hex)
async def test_a_plan_made_by_hand_is_refused(api: Served, progress: int) -> None:
    assert await continued(api, DELAY, {"delay_s": 60}, DUE) == 200
    assert await continued(api, DELAY, {"delay_s": 60}, progress) == 400


@pytest.mark.parametrize("progress", [0, 4, 2**64 - 1, 10**10, DUE + 3], ids=hex)
async def test_no_more_tasks_remain_than_the_limit(api: Served, progress: int) -> None:
    assert await continued(api, LIMIT, {"limit": 3}, 3) == 200
    assert await continued(api, LIMIT, {"limit": 3}, progress) == 400


async def continued(api: Served, plan: SweepPlan, asked: dict[str, int], progress: int) -> int:
    """Return the status of the response to a cursor with this progress."""
    wanted = TaskFilter(statuses=frozenset({Status.FAILED}), error=KIND)
    digest = sweep_cursors.digest(Sweep.RETRY, wanted, plan)
    made = cursors.encode(UUID(int=0), digest, UUID(int=2**120), UUID(int=progress))
    response = await api.post("/tasks/retry", {"error": KIND, **asked, "cursor": made})
    return response.status_code


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", 1.5),
        ("limit", 10**12),
        ("delay_s", -1),
        ("delay_s", 10**9),
        ("delay_s", "60"),
        ("per_second", 0),
        ("per_second", 0.001),
        ("per_second", 100_001),
        ("error", ""),
        ("error", "x" * 305),
    ],
)
async def test_a_plan_that_does_not_fit_is_named(
    api: Served, stage: Stage, field: str, value: object
) -> None:
    [task_id] = await failed(stage, 1)
    refused = await api.post("/tasks/retry", {"queue": "default", field: value})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == f"/{field}"
    assert (await stage.task(task_id)).status is Status.FAILED


async def test_a_plan_alone_selects_nothing_and_a_cancel_has_none(api: Served) -> None:
    refused = await api.post("/tasks/retry", {"limit": 5, "delay_s": 60})
    assert refused.json()["errors"][0]["pointer"] == ""
    refused = await api.post("/tasks/cancel", {"queue": "default", "limit": 5})
    assert refused.json()["errors"][0]["pointer"] == "/limit"


async def test_what_waits_for_another_attempt_is_cancelled_by_its_kind(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, max_attempts=2)
    error = ErrorInfo(type="E", message="no", place="shop.call")
    await stage.end(taken, lease_id, Failed(error=error))
    other = await stage.created(type="another")
    [done] = await swept(api, {"error": KIND}, "cancel")
    assert (done["matched"], done["changed"]) == (1, 1)
    assert (await stage.task(taken.task.id)).status is Status.CANCELLED
    assert (await stage.task(other.id)).status is Status.NEW


async def test_a_key_for_some_queues_retries_only_what_is_in_them(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.owner_database, "tasks:read queue=mail", "tasks:operate queue=mail")
    [own] = await failed(stage, 1, queue="mail")
    [other] = await failed(stage, 1, queue="secret")
    listed = await required.get("/tasks", params={"error": KIND}, headers=shown(key))
    assert [one["id"] for one in listed.json()["items"]] == [str(own)]
    steps = await swept(required, {"error": KIND, "limit": 5}, headers=shown(key))
    assert sum(one["changed"] for one in steps) == 1
    assert (await stage.task(own)).status is Status.NEW
    assert (await stage.task(other)).status is Status.FAILED


async def test_the_command_retries_a_kind_as_it_is_planned(
    api: Served, stage: Stage, taskmill: Taskmill
) -> None:
    ids = await failed(stage, 2, queue="mail") + await failed(stage, 1)
    other = await fail(stage, "another one")

    async def printed(*words: str) -> dict[str, Any]:
        arguments = ("failure", "retry", kind_id(KIND), *words, "--json", "--url", api.url)
        status, out, err = await asyncio.to_thread(taskmill, *arguments)
        assert status == 0, err
        [line] = [one for one in out.splitlines() if one.startswith("{")]
        found: dict[str, Any] = orjson.loads(line)
        return found

    assert (await printed("--dry-run"))["matched"] == 3
    assert (await printed("--dry-run", "--queue", "mail"))["matched"] == 2
    done = await printed("--yes", "--limit", "2", "--delay-s", "60", "--per-second", "4")
    assert (done["changed"], done["is_complete"]) == (2, True)
    assert await due_in_s(stage, ids[:2]) == [0.0, 0.25]
    assert (await stage.task(ids[2])).status is Status.FAILED
    assert (await printed("--yes"))["changed"] == 1
    assert (await stage.task(other)).status is Status.FAILED


async def test_the_command_has_the_service_retry_a_kind_as_a_job(
    api: Served, stage: Stage, taskmill: Taskmill
) -> None:
    ids = await failed(stage, 3)
    words = ("--job", "--yes", "--limit", "2", "--per-second", "4", "--url", api.url)
    status, out, err = await asyncio.to_thread(taskmill, "failure", "retry", kind_id(KIND), *words)
    assert status == 0, err
    async with running(stage.service.jobs):
        job = await over(stage, await stage.service.jobs.get(UUID(out.splitlines()[-1])))
    assert (job.state, job.changed, job.request.limit) == (JobState.LIMITED, 2, 2)
    assert await due_in_s(stage, ids[:2]) == [0.0, 0.25]
    [entry] = await entries(stage)
    asked = orjson.loads(entry.asked)
    assert (asked["limit"], asked["spacing_s"], asked["error"]) == (2, 0.25, KIND)
