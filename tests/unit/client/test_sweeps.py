"""Cancelling and retrying many tasks, step by step."""

import orjson

from taskmill.client import TaskmillClient, sweeps
from taskmill.client.sweeps import Sweep
from tests.support.fake_service import FakeService


def test_a_sweep_goes_on_until_it_is_complete(client: TaskmillClient, service: FakeService) -> None:
    tasks = [service.add(queue="a") for _ in range(5)]
    service.add(queue="b")
    service.claim(tasks[4])
    sums: list[int] = []

    counted = client.cancel_matching(dry_run=True, queue="a")
    done = client.cancel_matching(
        queue="a", status="new", on_step=lambda total: sums.append(total.changed)
    )

    assert (counted.matched, counted.changed, counted.is_complete) == (5, 0, True)
    assert (done.matched, done.changed, done.cancel_requested, done.is_complete) == (4, 4, 0, True)
    assert sums == [2, 4]
    sent = orjson.loads(service.requests[-1][3])
    assert (sent["status"], sent["queue"], sent["cursor"]) == (["new"], "a", "3")


async def test_a_sweep_goes_on_asynchronously_as_well(service: FakeService) -> None:
    for _ in range(3):
        service.end(service.add(), "failed")
    async with service.async_client() as client:
        done = await client.retry_matching(all=True)
        cancelled = await client.cancel_matching(label=("a=1", "b=2"))
    assert (done.matched, done.changed) == (3, 3)
    assert cancelled.matched == 3
    assert orjson.loads(service.requests[-1][3])["label"] == ["a=1", "b=2"]


def test_only_a_retry_by_filter_is_not_sent_twice() -> None:
    """A task that was run again may have failed again meanwhile."""
    actions: list[tuple[Sweep, bool]] = [("cancel", False), ("retry", True), ("retry", False)]
    made = [sweeps.step(action, {"all": True}, None, dry_run=dry) for action, dry in actions]
    assert [call.repeatable for call in made] == [True, True, False]
