"""Jobs are in the database: what each does, for whom, and when it ends."""

from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import timedelta
from uuid import uuid4

import asyncpg
import orjson
import pytest

from taskmill.domain.audit import Actor, ActorKind, AuditAction, AuditOutcome
from taskmill.domain.job_errors import JobLimitReached
from taskmill.domain.jobs import MOST_OPEN, JobProblem, JobRequest, JobState
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Pace, Sweep, TaskFilter
from taskmill.domain.waiting import WaitingState
from taskmill.operations import api_keys, job_steps
from taskmill.operations.jobs import Jobs
from taskmill.runtime.offload import Caller, caller
from taskmill.runtime.os_user import os_user
from taskmill.storage import jobs as rows
from tests.support.api_keys import a_new_key
from tests.support.audit import entries
from tests.support.failing import fail
from tests.support.jobs import (
    CANCEL,
    FAILED,
    ended_job,
    held,
    over,
    running,
    started,
    statuses,
    waiting,
)
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of two tasks."""
    monkeypatch.setattr("taskmill.operations.job_steps.CHUNK", 2)


@pytest.fixture
async def process(stage: Stage) -> AsyncIterator[Jobs]:
    """A process that goes on with jobs."""
    async with running(stage.service.jobs):
        yield stage.service.jobs


@pytest.mark.usefixtures("process", "small")
async def test_a_job_goes_step_by_step_through_what_there_was_when_it_began(stage: Stage) -> None:
    mine, other = await waiting(stage, 5), await waiting(stage, 1, "b")
    job = await ended_job(stage, CANCEL)
    assert (job.state, job.matched, job.changed, job.requested) == (JobState.DONE, 5, 5, 0)
    assert await statuses(stage, mine + other) == [Status.CANCELLED] * 5 + [Status.NEW]
    await assert_safe(stage.sql)


@pytest.mark.usefixtures("small")
async def test_tasks_that_come_later_are_left_alone(stage: Stage) -> None:
    counted = await waiting(stage, 3)
    job = await started(stage, CANCEL)
    later = await waiting(stage, 1)
    async with running(stage.service.jobs):
        await over(stage, job)
    assert await statuses(stage, counted + later) == [Status.CANCELLED] * 3 + [Status.NEW]


@pytest.mark.usefixtures("process", "small")
async def test_a_job_changes_no_more_tasks_than_it_may(stage: Stage) -> None:
    tasks = await waiting(stage, 6)
    request = JobRequest(action=Sweep.CANCEL, wanted=TaskFilter(queue="a"), limit=3)
    job = await ended_job(stage, request)
    assert (job.state, job.matched, job.changed) == (JobState.LIMITED, 3, 3)
    assert await statuses(stage, tasks) == [Status.CANCELLED] * 3 + [Status.NEW] * 3


async def test_after_failures_a_step_is_smaller(stage: Stage) -> None:
    tasks = await waiting(stage, 3)
    job, holder = await started(stage, CANCEL), uuid4()
    found = await held(stage, job, holder)
    assert await job_steps.step(stage.database, found, holder, failures=9) is None
    # Of 1,000 tasks one is left after nine failures, and never less.
    assert await statuses(stage, tasks) == [Status.CANCELLED, Status.NEW, Status.NEW]
    again = await rows.hold(stage.database, job.id, holder, hold_s=60)
    assert again is not None
    assert await job_steps.step(stage.database, again, holder, failures=99) is None
    assert await statuses(stage, tasks) == [Status.CANCELLED, Status.CANCELLED, Status.NEW]


@pytest.mark.usefixtures("process", "small")
async def test_tasks_are_due_one_after_the_other_from_step_to_step(stage: Stage) -> None:
    ids = [await fail(stage) for _ in range(5)]
    first_at = await stage.sql.fetchval("SELECT now() + interval '1 hour'")
    pace = Pace(first_at=first_at, spacing_s=0.5)
    await ended_job(stage, JobRequest(action=Sweep.RETRY, wanted=FAILED, pace=pace))
    due = [((await stage.task(one)).run_at - first_at).total_seconds() for one in ids]
    assert due == [0.0, 0.5, 1.0, 1.5, 2.0]
    dispatched = await stage.sql.fetch("SELECT run_at FROM taskmill.dispatch ORDER BY task_id")
    assert [(row["run_at"] - first_at).total_seconds() for row in dispatched] == due


@pytest.mark.usefixtures("process")
async def test_a_pace_that_began_in_the_past_is_due_now(stage: Stage) -> None:
    task_id = await fail(stage)
    before = await stage.sql.fetchval("SELECT now()")
    pace = Pace(first_at=before - timedelta(hours=1))
    await ended_job(stage, JobRequest(action=Sweep.RETRY, wanted=FAILED, pace=pace))
    assert (await stage.task(task_id)).run_at >= before


async def test_what_a_job_is_to_do_is_stored_as_it_was_asked_for(stage: Stage) -> None:
    now = await stage.sql.fetchval("SELECT now()")
    request = JobRequest(
        action=Sweep.RETRY,
        wanted=TaskFilter(
            statuses=frozenset({Status.FAILED, Status.CANCELLED}),
            queue="a",
            type="b",
            labels=(("team", "x"), ("ü", '"')),
            name="n",
            created_after=now - timedelta(days=1),
            created_before=now,
            error="E in f",
            lease=uuid4(),
            waiting=WaitingState.HELD,
            id_end="abc",
            source="rest",
            priority=0,
            took_over=timedelta(milliseconds=1500),
            attempts_over=0,
        ),
        limit=7,
        expected=9,
        pace=Pace(first_at=now, spacing_s=0.25),
    )
    # Of what is not stored, a job would change tasks that nobody meant.
    others = [one for one in fields(TaskFilter) if one.name != "visible"]
    assert [one.name for one in others if getattr(request.wanted, one.name) == one.default] == []
    job = await started(stage, request)
    assert (await stage.service.jobs.get(job.id)).request == request
    assert job.request == request
    assert job.origin.actor == Actor(kind=ActorKind.MACHINE, name=os_user())


async def test_a_filter_of_a_later_release_fails_and_selects_nothing_else(stage: Stage) -> None:
    tasks = await waiting(stage, 1)
    job = await started(stage, CANCEL)
    await stage.sql.execute(
        """UPDATE taskmill.job SET wanted = '{"queue": "a", "shape": "round"}'"""
    )
    async with running(stage.service.jobs):
        ended = await over(stage, job)
    assert (ended.state, ended.problem) == (JobState.FAILED, JobProblem.INTERNAL_ERROR)
    assert await statuses(stage, tasks) == [Status.NEW]
    # It is shown, so that a page has all the others, too.
    assert [one.id for one in await stage.service.jobs.page(before=None, limit=10)] == [job.id]


async def test_the_same_id_again_starts_nothing(stage: Stage) -> None:
    job_id = stage.ids()
    first, again = [await stage.service.jobs.start(job_id, CANCEL) for _ in range(2)]
    assert first.job == again.job
    assert (first.replayed, again.replayed) == (False, True)
    page = await stage.service.jobs.page(before=None, limit=10)
    assert [one.id for one in page] == [job_id]


async def test_only_so_many_jobs_go_on_at_a_time(stage: Stage) -> None:
    jobs = [await started(stage, CANCEL) for _ in range(MOST_OPEN)]
    with pytest.raises(JobLimitReached):
        await started(stage, CANCEL)
    # The same form again is not one too many.
    assert (await stage.service.jobs.start(jobs[0].id, CANCEL)).job.id == jobs[0].id
    async with running(stage.service.jobs):
        for job in jobs:
            await over(stage, job)
    await started(stage, CANCEL)


async def test_jobs_are_listed_newest_first_page_by_page(stage: Stage) -> None:
    ids = [(await started(stage, CANCEL)).id for _ in range(3)]
    first = await stage.service.jobs.page(before=None, limit=2)
    assert ([one.id for one in first], first.has_more) == (ids[:0:-1], True)
    rest = await stage.service.jobs.page(before=first[-1].id, limit=2)
    assert ([one.id for one in rest], rest.has_more) == (ids[:1], False)


@pytest.mark.usefixtures("process")
async def test_a_job_is_one_entry_of_the_audit_log_and_its_stop_another(stage: Stage) -> None:
    await waiting(stage, 2)
    job = await ended_job(stage, CANCEL)

    async def are_ended() -> bool:
        return all(one.ended_at is not None for one in await entries(stage))

    await eventually(are_ended, "the outcome")
    [entry] = await entries(stage)
    assert (entry.action, entry.outcome) == (AuditAction.TASKS_CANCEL, AuditOutcome.DONE)
    assert orjson.loads(entry.asked) == {"job": str(job.id), "queue": "a"}
    done = {"state": "done", "matched": 2, "changed": 2, "requested": 0}
    assert orjson.loads(entry.done or "") == done
    await stage.service.jobs.stop(job.id)
    stop = (await entries(stage))[0]
    assert (stop.action, stop.target_id) == (AuditAction.JOB_STOP, str(job.id))


async def test_a_job_without_an_entry_changes_nothing(stage: Stage) -> None:
    tasks = await waiting(stage, 1)
    job = await started(stage, CANCEL)
    await stage.sql.execute("ALTER TABLE taskmill.audit_entry RENAME TO hidden")
    async with running(stage.service.jobs):
        ended = await over(stage, job)
    assert (ended.state, ended.problem) == (JobState.FAILED, JobProblem.INTERNAL_ERROR)
    assert await statuses(stage, tasks) == [Status.NEW]


async def test_a_job_ends_with_the_api_key_that_asked_for_it(stage: Stage) -> None:
    tasks = await waiting(stage, 1)
    key = await a_new_key(stage.database, "tasks:read", "tasks:operate", name="operator")
    token = caller.set(Caller(host="192.0.2.1", key=key.key))
    try:
        job = await started(stage, CANCEL)
    finally:
        caller.reset(token)
    assert job.origin.actor.key_id == key.key.id
    await api_keys.revoke(stage.owner_database, "operator")
    async with running(stage.service.jobs):
        ended = await over(stage, job)
    assert (ended.state, ended.problem) == (JobState.FAILED, JobProblem.KEY_ENDED)
    assert await statuses(stage, tasks) == [Status.NEW]


@pytest.mark.usefixtures("process")
async def test_a_status_that_does_not_allow_it_means_no_task(stage: Stage) -> None:
    tasks = await waiting(stage, 1)
    wanted = TaskFilter(statuses=frozenset({Status.NEW}))
    job = await ended_job(stage, JobRequest(action=Sweep.RETRY, wanted=wanted))
    assert (job.state, job.matched) == (JobState.DONE, 0)
    assert await statuses(stage, tasks) == [Status.NEW]


async def test_jobs_that_are_over_are_deleted_after_their_time(stage: Stage) -> None:
    old, young, open_ = [await started(stage, CANCEL) for _ in range(3)]
    await stage.sql.execute(
        "UPDATE taskmill.job SET state = 'done', ended_at = now() - interval '31 days' "
        "WHERE id = $1",
        old.id,
    )
    await stage.sql.execute(
        "UPDATE taskmill.job SET state = 'done', ended_at = now() WHERE id = $1", young.id
    )
    pruned = await stage.maintenance_database.fetch("prune_jobs", 30.0, 10)
    assert len(pruned) == 1
    page = await stage.service.jobs.page(before=None, limit=10)
    assert [one.id for one in page] == [open_.id, young.id]


async def test_the_database_refuses_a_job_beyond_its_number(stage: Stage) -> None:
    await started(stage, JobRequest(action=Sweep.CANCEL, limit=1))
    with pytest.raises(asyncpg.CheckViolationError):
        await stage.sql.execute("UPDATE taskmill.job SET matched = 2")
