"""What operators ask of workers: to take no more tasks, to stop, to go on."""

import asyncio
from uuid import UUID, uuid4

import pytest

from taskmill.app import Context
from taskmill.domain.errors import WorkerGone, WorkerNotFound
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import WorkerRequest
from tests.support.api import Served
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.workers import RunningWorker, WorkerOptions, a_worker, finished

FAST = WorkerOptions(ttl_s=0.6)


async def nothing(_: Context) -> None: ...


async def until_requested(worker: RunningWorker, request: WorkerRequest | None) -> None:
    async def probe() -> bool:
        return worker.keeper.request is request

    await eventually(probe, f"the worker to learn of {request}")


async def begun(stage: Stage, task_id: UUID) -> None:
    async def probe() -> bool:
        return (await stage.task(task_id)).status is Status.IN_PROGRESS

    await eventually(probe, "the task runs")


async def lease_of(worker: RunningWorker) -> UUID:
    await worker.has_lease()
    assert worker.keeper.lease_id is not None
    return worker.keeper.lease_id


async def test_a_quiet_worker_ends_what_it_runs_and_takes_nothing(stage: Stage) -> None:
    may_end = asyncio.Event()

    async def waits(_: Context) -> None:
        await may_end.wait()

    async with a_worker(stage, {"waits": waits, "other": nothing}, FAST) as worker:
        running = await stage.created(type="waits")
        lease_id = await lease_of(worker)
        changed = await stage.service.set_worker_request(lease_id, WorkerRequest.QUIET)
        assert changed.request is WorkerRequest.QUIET
        await until_requested(worker, WorkerRequest.QUIET)
        later = await stage.created(type="other")
        may_end.set()
        assert (await finished(stage, running.id)).status is Status.SUCCEEDED
        explained = await stage.service.explain(later.id)
        sentences = [
            blocker.sentence
            for blocker in explained.blockers
            if "asked to take no more" in blocker.sentence
        ]
        assert [sentence.endswith(": worker.") for sentence in sentences] == [True]
        assert (await stage.task(later.id)).status is Status.NEW
        await stage.service.set_worker_request(lease_id, None)
        assert (await finished(stage, later.id)).status is Status.SUCCEEDED


async def test_a_quiet_worker_stays_quiet_under_another_lease(stage: Stage) -> None:
    async with a_worker(stage, {"*": nothing}, FAST) as worker:
        first = await lease_of(worker)
        await stage.service.set_worker_request(first, WorkerRequest.QUIET)
        await until_requested(worker, WorkerRequest.QUIET)
        await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", first)

        async def has_another() -> bool:
            return worker.keeper.last_lease_id != first

        await eventually(has_another, "another lease")
        second = worker.keeper.last_lease_id
        stored = await stage.sql.fetchval(
            "SELECT request FROM taskmill.lease WHERE id = $1", second
        )
        assert stored == "quiet"
        with pytest.raises(WorkerGone):
            await stage.service.set_worker_request(first, WorkerRequest.STOP)


async def test_a_worker_that_is_asked_to_stop_ends_its_process(stage: Stage) -> None:
    ends = asyncio.Event()
    options = WorkerOptions(ttl_s=0.6, end_process=ends.set)
    async with a_worker(stage, {"*": nothing}, options) as worker:
        await stage.service.set_worker_request(await lease_of(worker), WorkerRequest.STOP)
        await eventually(lambda: is_set(ends), "the end of the process")


async def test_a_worker_that_is_to_stop_when_empty_finishes_its_tasks_takes_none_and_ends(
    stage: Stage,
) -> None:
    may_end, ends = asyncio.Event(), asyncio.Event()

    async def waits(_: Context) -> None:
        await may_end.wait()

    options = WorkerOptions(ttl_s=0.6, end_process=ends.set)
    async with a_worker(stage, {"waits": waits, "other": nothing}, options) as worker:
        lease_id = await lease_of(worker)
        running = await stage.created(type="waits")
        await begun(stage, running.id)
        changed = await stage.service.set_worker_request(
            lease_id, WorkerRequest.STOP, when_empty=True
        )
        assert (changed.request, changed.stop_when_empty) == (WorkerRequest.QUIET, True)
        await until_requested(worker, WorkerRequest.QUIET)
        later = await stage.created(type="other")
        # Once it learns of a new request, it has seen the new task, too.
        await stage.service.set_worker_request(lease_id, None)
        await until_requested(worker, None)
        assert (await finished(stage, later.id)).status is Status.SUCCEEDED
        await stage.service.set_worker_request(lease_id, WorkerRequest.STOP, when_empty=True)
        await until_requested(worker, WorkerRequest.QUIET)
        assert not ends.is_set()
        remaining = await stage.created(type="other")
        may_end.set()
        await eventually(lambda: is_set(ends), "the end of the process")
        assert (await stage.task(running.id)).status is Status.SUCCEEDED
        assert (await stage.task(remaining.id)).status is Status.NEW


async def test_a_worker_without_tasks_ends_at_once_also_after_another_lease(stage: Stage) -> None:
    ends = asyncio.Event()
    options = WorkerOptions(ttl_s=0.6, end_process=ends.set)
    async with a_worker(stage, {"*": nothing}, options) as worker:
        await stage.service.set_worker_request(
            await lease_of(worker), WorkerRequest.STOP, when_empty=True
        )
        await eventually(lambda: is_set(ends), "the end of the process")


async def is_set(event: asyncio.Event) -> bool:
    return event.is_set()


async def test_an_unknown_worker_takes_no_requests(stage: Stage) -> None:
    with pytest.raises(WorkerNotFound):
        await stage.service.set_worker_request(uuid4(), WorkerRequest.QUIET)


async def test_each_request_has_its_address(api: Served, stage: Stage) -> None:
    async with a_worker(stage, {"*": nothing}, FAST) as worker:
        lease_id = await lease_of(worker)
        for address, request in (("quiet", "quiet"), ("stop", "stop"), ("resume", None)):
            response = await api.post(f"/workers/{lease_id}/{address}")
            assert (response.status_code, response.json()["request"]) == (202, request)
            [listed] = (await api.get("/workers")).json()["items"]
            assert (listed["id"], listed["request"]) == (str(lease_id), request)
        for query, seen in (("true", ("quiet", True)), ("false", ("stop", False))):
            response = await api.post(f"/workers/{lease_id}/stop?when_empty={query}")
            item = response.json()
            assert (item["request"], item["stop_when_empty"]) == seen
        for query in ("when_empty=1", "when_empty=", "empty=true"):
            assert (await api.post(f"/workers/{lease_id}/stop?{query}")).status_code == 422
    gone = await api.post(f"/workers/{lease_id}/quiet")
    assert (gone.status_code, gone.json()["type"]) == (409, "/problems/worker-gone")
    unknown = await api.post(f"/workers/{uuid4()}/quiet")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/worker-not-found")
    assert (await api.post("/workers/x/quiet")).status_code == 422
    assert (await api.post(f"/workers/{lease_id}/dance")).status_code == 404
