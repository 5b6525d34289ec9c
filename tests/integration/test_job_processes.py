"""Any process shows, stops and continues a job, and none does anything twice, whichever ends meanwhile."""

import asyncio
from uuid import uuid4

import pytest

from taskmill.domain.grants import Scope
from taskmill.domain.job_errors import JobNotFound
from taskmill.domain.jobs import JobRequest, JobState
from taskmill.domain.lifecycle import Permanent, Status
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.domain.visibility import Visibility
from taskmill.operations import job_steps
from taskmill.operations.visibility import limited_to
from taskmill.runtime.offload import Caller, caller
from taskmill.runtime.os_user import os_user
from tests.support.api_keys import a_new_key
from tests.support.audit import entries
from tests.support.builders import ERROR
from tests.support.failing import fail
from tests.support.jobs import (
    CANCEL,
    FAILED,
    another,
    held,
    over,
    running,
    started,
    statuses,
    waiting,
)
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.stage import Stage


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of two tasks."""
    monkeypatch.setattr("taskmill.operations.job_steps.CHUNK", 2)


@pytest.mark.usefixtures("small")
async def test_another_process_goes_on_where_one_was_killed_and_nothing_is_done_twice(
    stage: Stage,
) -> None:
    ids = [await fail(stage, queue="a") for _ in range(6)]
    job = await started(stage, JobRequest(action=Sweep.RETRY, wanted=FAILED, limit=4))
    killed = uuid4()
    assert await job_steps.step(stage.database, await held(stage, job, killed), killed) is None
    assert [(await stage.task(one)).run for one in ids] == [2, 2, 1, 1, 1, 1]
    # They fail again meanwhile; the job has them behind it.
    lease = await stage.open_lease()
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Permanent(error=ERROR))
    await stage.sql.execute("UPDATE taskmill.job SET held_until = now() - interval '1 s'")
    async with running(another(stage)):
        ended = await over(stage, job)
    assert (ended.state, ended.matched, ended.changed) == (JobState.LIMITED, 4, 4)
    assert [(await stage.task(one)).run for one in ids] == [2, 2, 2, 2, 1, 1]
    await assert_safe(stage.sql)


@pytest.mark.usefixtures("small")
async def test_a_process_that_stops_in_order_hands_its_jobs_to_the_next_one(stage: Stage) -> None:
    await waiting(stage, 3)
    job, stop = await started(stage, CANCEL), asyncio.Event()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute("SELECT FROM taskmill.dispatch FOR UPDATE")
        group.create_task(stage.service.jobs.run(stop))
        await until_blocked(stage)
        stop.set()
    [row] = await stage.sql.fetch("SELECT state, holder, held_until, matched FROM taskmill.job")
    assert tuple(row) == ("running", None, None, 2)
    async with running(another(stage)):
        ended = await over(stage, job)
    assert (ended.state, ended.changed) == (JobState.DONE, 3)


async def test_a_process_that_has_lost_a_job_commits_nothing_more_for_it(stage: Stage) -> None:
    tasks = await waiting(stage, 2)
    job, slow, quick = await started(stage, CANCEL), uuid4(), uuid4()
    as_it_was = await held(stage, job, slow)
    await stage.sql.execute("UPDATE taskmill.job SET held_until = now() - interval '1 s'")
    await held(stage, job, quick)
    with pytest.raises(JobNotFound):
        await job_steps.step(stage.database, as_it_was, slow)
    assert await statuses(stage, tasks) == [Status.NEW] * 2
    assert await job_steps.step(stage.database, as_it_was, quick) is JobState.DONE
    # The same step once more, as if a process did not know that it was committed.
    with pytest.raises(JobNotFound):
        await job_steps.step(stage.database, as_it_was, quick)
    found = await stage.service.jobs.get(job.id)
    assert (found.matched, found.changed) == (2, 2)
    assert await statuses(stage, tasks) == [Status.CANCELLED] * 2


async def test_picked_tasks_are_changed_once_though_the_process_ended_before_it_reported_that(
    stage: Stage,
) -> None:
    ids = [await fail(stage) for _ in range(2)]
    job = await started(stage, JobRequest(action=Sweep.RETRY, ids=[*ids, uuid4()]))
    killed = uuid4()
    done = await job_steps.step(stage.database, await held(stage, job, killed), killed)
    assert done is JobState.DONE
    lease = await stage.open_lease()
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Permanent(error=ERROR))
    await stage.sql.execute("UPDATE taskmill.job SET held_until = now() - interval '1 s'")
    async with running(another(stage)):
        ended = await over(stage, job)
    assert (ended.state, ended.matched, ended.changed) == (JobState.DONE, 3, 2)
    assert [(await stage.task(one)).run for one in ids] == [2, 2]


@pytest.mark.usefixtures("small")
async def test_picked_tasks_are_changed_step_by_step_too(stage: Stage) -> None:
    ids = [await fail(stage) for _ in range(3)]
    job = await started(stage, JobRequest(action=Sweep.RETRY, ids=ids[::-1]))
    killed = uuid4()
    assert await job_steps.step(stage.database, await held(stage, job, killed), killed) is None
    assert [(await stage.task(one)).run for one in ids] == [2, 2, 1]
    await stage.sql.execute("UPDATE taskmill.job SET held_until = now() - interval '1 s'")
    async with running(another(stage)):
        ended = await over(stage, job)
    assert (ended.state, ended.matched, ended.changed) == (JobState.DONE, 3, 3)
    assert [(await stage.task(one)).run for one in ids] == [2, 2, 2]


async def test_any_process_stops_a_job(stage: Stage) -> None:
    tasks = await waiting(stage, 2)
    job = await started(stage, CANCEL)
    stopped = await another(stage).stop(job.id)
    assert stopped.is_stopping
    async with running(stage.service.jobs):
        ended = await over(stage, job)
    assert (ended.state, ended.changed, ended.stop_requested_by) == (JobState.STOPPED, 0, os_user())
    assert await statuses(stage, tasks) == [Status.NEW] * 2
    again = await stage.service.jobs.stop(job.id)
    assert (again.state, again.stop_requested_at) == (JobState.STOPPED, ended.stop_requested_at)
    with pytest.raises(JobNotFound):
        await stage.service.jobs.stop(uuid4())


@pytest.mark.usefixtures("small")
async def test_a_stop_waits_for_no_step_and_what_the_step_does_stays_done(stage: Stage) -> None:
    tasks = await waiting(stage, 4)
    job = await started(stage, CANCEL)
    async with running(stage.service.jobs):
        async with stage.sql.transaction():
            await stage.sql.execute("SELECT FROM taskmill.dispatch FOR UPDATE")
            await until_blocked(stage)
            async with asyncio.timeout(5):
                stopped = await another(stage).stop(job.id)
            assert (stopped.is_stopping, stopped.matched) == (True, 0)
        ended = await over(stage, job)
    assert (ended.state, ended.matched, ended.changed) == (JobState.STOPPED, 2, 2)
    assert await statuses(stage, tasks) == [Status.CANCELLED] * 2 + [Status.NEW] * 2
    await assert_safe(stage.sql)


@pytest.mark.usefixtures("small")
async def test_two_processes_at_once_do_each_job_once(stage: Stage) -> None:
    ids = [await fail(stage, queue=queue) for queue in "abcdef" for _ in range(3)]
    async with running(stage.service.jobs), running(another(stage)):
        wanted = [TaskFilter(statuses=FAILED.statuses, queue=queue) for queue in "abcdef"]
        jobs = [await started(stage, JobRequest(action=Sweep.RETRY, wanted=one)) for one in wanted]
        ended = [await over(stage, job) for job in jobs]
    assert [(one.state, one.matched, one.changed) for one in ended] == [(JobState.DONE, 3, 3)] * 6
    assert [(await stage.task(one)).run for one in ids] == [2] * len(ids)
    held = await stage.sql.fetchval("SELECT count(*) FROM taskmill.job WHERE holder IS NOT NULL")
    assert held == 0
    assert len(await entries(stage)) == len(jobs)
    await assert_safe(stage.sql)


async def test_a_job_has_the_rights_of_its_key_in_whichever_process_it_goes_on(
    stage: Stage,
) -> None:
    own, foreign = await waiting(stage, 2, "mail"), await waiting(stage, 2, "secret")
    grants = ("tasks:read queue=mail", "tasks:operate queue=mail")
    key = await a_new_key(stage.database, *grants)
    scopes = (Scope.TASKS_READ, Scope.TASKS_OPERATE)
    everything = JobRequest(action=Sweep.CANCEL)
    picked = JobRequest(action=Sweep.CANCEL, ids=[*own, *foreign])
    token = caller.set(Caller(host="192.0.2.1", key=key.key))
    with limited_to(Visibility(key=key.key, scopes=scopes)):
        jobs = [await started(stage, request) for request in (everything, picked)]
    caller.reset(token)
    async with running(another(stage)):
        ended = [await over(stage, job) for job in jobs]
    assert sum(one.changed for one in ended) == 2
    assert await statuses(stage, own + foreign) == [Status.CANCELLED] * 2 + [Status.NEW] * 2
    # Another key for some queues does not find them.
    other = await a_new_key(stage.database, *grants)
    with limited_to(Visibility(key=other.key, scopes=scopes)):
        with pytest.raises(JobNotFound):
            await stage.service.jobs.get(jobs[0].id)
        with pytest.raises(JobNotFound):
            await stage.service.jobs.stop(jobs[0].id)
        assert len(await stage.service.jobs.page(before=None, limit=10)) == 0
