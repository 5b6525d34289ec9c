"""Jobs by the client: started once, listed page by page, stopped."""

import orjson
import pytest

from taskmill.client import JobLimitReached, JobNotFound, TaskmillClient
from taskmill.domain.jobs import JobState
from tests.support.fake_service import FakeService


def test_a_job_is_started_with_all_that_was_given(
    client: TaskmillClient, service: FakeService
) -> None:
    job = client.start_job(
        "retry",
        queue="a",
        status="failed",
        label=iter(["a=1"]),
        limit=5,
        per_second=2.5,
        delay_s=60,
    )
    assert (job.action, job.state, job.limit, job.per_second) == ("retry", JobState.RUNNING, 5, 2.5)
    assert orjson.loads(service.requests[-1][3]) == {
        "action": "retry",
        "queue": "a",
        "status": ["failed"],
        "label": ["a=1"],
        "limit": 5,
        "per_second": 2.5,
        "delay_s": 60,
    }


def test_a_start_is_sent_again_with_the_same_key(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(503)
    client.start_job("cancel", all=True)
    first, second = [headers["idempotency-key"] for _, _, headers, _ in service.requests]
    assert first == second
    client.start_job("cancel", all=True)
    client.start_job("cancel", all=True, idempotency_key="mine")
    third, own = [headers["idempotency-key"] for _, _, headers, _ in service.requests[2:]]
    assert (third != first, own) == (True, "mine")


def test_jobs_are_read_page_by_page_and_one_is_stopped(
    client: TaskmillClient, service: FakeService
) -> None:
    ids = [service.jobs.add()["id"] for _ in range(3)]
    assert [str(job.id) for job in client.jobs()] == ids
    assert str(client.job(ids[1]).id) == ids[1]
    assert client.stop_job(ids[1]).stop_requested_by == "127.0.0.1"
    with pytest.raises(JobNotFound):
        client.job("01a21058-2f60-7000-9c41-7d0be2a6f318")
    service.refuse_next(409, type="/problems/job-limit-reached", title="No", detail="no", limit=10)
    with pytest.raises(JobLimitReached) as refused:
        client.start_job("cancel", all=True)
    assert refused.value.limit == 10


async def test_jobs_are_read_asynchronously_as_well(service: FakeService) -> None:
    async with service.async_client() as client:
        started = await client.start_job("cancel", queue="a")
        assert [job.id async for job in client.jobs()] == [started.id]
        assert (await client.stop_job(started.id)).stop_requested_at is not None
