"""Several tasks of one claim, by every path to a worker: the most urgent first, then due longest, then by id."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from taskmill.domain.remote import LeaseRequest
from taskmill.domain.task import Task
from taskmill.storage import remote_leases
from taskmill.storage.bucket_scan import BucketScan
from taskmill.storage.remote_leases import ResponseLimit
from tests.support.api import Served
from tests.support.builders import a_draft
from tests.support.dispatching import Recorder, all_ended
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker

_PAST = datetime(2024, 1, 1, tzinfo=UTC)
SIZE = 40


async def mixed(stage: Stage, *, types: Sequence[str] = ("emulate",)) -> list[UUID]:
    """Create tasks of all priorities that are due at a few times; return their ids in the promised order."""
    draw = random.Random(20)  # noqa: S311 - no secret
    made = await stage.creation.create_all(
        [
            a_draft(
                priority=draw.randrange(10),
                run_at=_PAST + timedelta(hours=draw.randrange(4)),
                type=draw.choice(types),
            )
            for _ in range(SIZE)
        ]
    )
    return [task.id for task in sorted((one.task for one in made), key=_urgency)]


def _urgency(task: Task) -> tuple[int, datetime, UUID]:
    return -task.priority, task.run_at, task.id


async def test_a_claim_returns_its_tasks_in_order(stage: Stage) -> None:
    expected = await mixed(stage, types=("a", "b"))
    taken = await stage.take(await stage.open_lease())
    assert [one.task.id for one in taken] == expected


async def test_a_lease_that_is_filled_in_steps_has_its_tasks_in_order(stage: Stage) -> None:
    expected = await mixed(stage, types=("a", "b"))
    buckets = sorted(await BucketScan().scan(stage.database), key=lambda bucket: -bucket.priority)
    claimed = await remote_leases.claim(
        stage.database,
        stage.ids(),
        LeaseRequest(
            worker="w",
            queues=frozenset(),
            types=frozenset({"a", "b"}),
            limit=SIZE,
            ttl_s=60,
            wait_s=0,
        ),
        buckets,
        ResponseLimit(response_bytes=64 * 3, payload_bytes=64),
    )
    assert claimed is not None
    assert [one.task.id for one in claimed.taken] == expected
    assert [task.id for task in claimed.lease.tasks] == expected


async def test_a_lease_over_http_has_its_tasks_in_order(api: Served, stage: Stage) -> None:
    expected = await mixed(stage)
    response = await api.post(
        "/leases", {"worker": "w", "types": ["emulate"], "limit": SIZE, "wait_s": 10}
    )
    assert [UUID(task["id"]) for task in response.json()["tasks"]] == expected


async def test_a_python_worker_starts_the_tasks_of_a_claim_in_order(stage: Stage) -> None:
    expected, recorder = await mixed(stage, types=("a", "b")), Recorder()
    options = WorkerOptions(slots=SIZE, claim_size=SIZE)
    async with a_worker(stage, {"*": recorder.held}, options):
        await recorder.has_begun(SIZE)
        recorder.may_end.set()
        await all_ended(stage)
    assert recorder.begun == expected
