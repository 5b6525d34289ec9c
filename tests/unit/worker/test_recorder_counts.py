"""What the recorder counts, how it divides batches by weight, and how long it pauses."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final
from uuid import UUID

import pytest

from taskmill.domain.lifecycle import Failed, Interrupted, Outcome, Reason, Succeeded
from taskmill.observability.flow import FINISHED, HANDED_BACK, RAN, RETRIES
from taskmill.observability.metrics import BATCH_ITEMS
from taskmill.storage.claims import AttemptEnd, EndedAttempt
from tests.support.attempts import AWAY, EndsInMemory, a_recorder, an_attempt, settled
from tests.support.builders import ERROR
from tests.support.event_loops import leaping

MIB: Final = 1024 * 1024


def counts(queue: str) -> dict[str, float]:
    """What is counted of the ends of a queue's attempts, of type `emulate`."""
    return {
        "attempts": RAN.count(queue, "emulate"),
        "succeeded": FINISHED.value(queue, "emulate", "succeeded"),
        "failed": FINISHED.value(queue, "emulate", "failed"),
        "retried": RETRIES.value(queue, "emulate"),
        "handed back": HANDED_BACK.value(queue, "emulate", "worker_stopped"),
    }


@pytest.mark.parametrize(
    ("outcome", "max_attempts", "counted"),
    [
        (Succeeded(), 1, "succeeded"),
        (Failed(error=ERROR), 1, "failed"),
        (Failed(error=ERROR), 2, "retried"),
        (Interrupted(reason=Reason.WORKER_STOPPED), 1, "handed back"),
    ],
)
async def test_each_attempt_is_counted_by_how_it_ended(
    outcome: Outcome, max_attempts: int, counted: str
) -> None:
    attempt = an_attempt(queue="counted", max_attempts=max_attempts)
    attempt.settle(outcome, at=1.0)
    before = counts("counted")
    async with asyncio.timeout(10), a_recorder(EndsInMemory()) as recorder:
        recorder.put(attempt)
    assert counts("counted") == before | {one: before[one] + 1 for one in ("attempts", counted)}


async def test_batches_are_counted_as_finishes() -> None:
    before = BATCH_ITEMS.count("finish")
    async with asyncio.timeout(10), a_recorder(EndsInMemory()) as recorder:
        recorder.put(settled(1))
    assert BATCH_ITEMS.count("finish") == before + 1


async def test_large_results_do_not_share_a_statement() -> None:
    ends, large = EndsInMemory(), Succeeded(result="x" * 6 * MIB)
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for attempt in (settled(1, large), settled(2, large), settled(3, large), settled(4)):
            recorder.put(attempt)
    assert ends.batches == [[1, 2], [3, 4]], "16 MiB at most"


class TimedEnds(EndsInMemory):
    """Remembers when ends were written, by the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.written_at: list[float] = []

    async def end(self, ends: Sequence[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
        """Note the time."""
        self.written_at.append(asyncio.get_running_loop().time())
        return await super().end(ends)


async def test_pauses_double_from_a_fifth_of_a_second_to_two_seconds() -> None:
    ends = TimedEnds()
    ends.failures = [AWAY] * 6
    with leaping():
        async with asyncio.timeout(60), a_recorder(ends) as recorder:
            recorder.put(settled(1))
    pauses = [later - earlier for earlier, later in pairwise(ends.written_at)]
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
