"""Types as operators see them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taskmill.domain.activity import OTHER_TYPES, Flow
from taskmill.domain.contracts import ContractVersion, RegisteredType
from taskmill.domain.explain_snapshot import EVERY_TYPE
from taskmill.domain.lifecycle import EventType
from taskmill.domain.system import Liveness, WorkerState
from taskmill.domain.task_types import type_states

NOON = datetime(2031, 1, 31, 12, tzinfo=UTC)


def a_worker(number: int, *types: str, **parts: Any) -> WorkerState:  # noqa: ANN401 - of a worker
    worker = WorkerState(
        id=UUID(int=number),
        name=f"worker-{number}",
        queues=[],
        types=list(types),
        slots=4,
        running=0,
        started_at=NOON,
        renewed_at=NOON,
        expires_at=NOON + timedelta(seconds=15),
        closed_at=None,
        close_reason=None,
        request=None,
        remote=False,
        state=Liveness.ALIVE,
    )
    return replace(worker, **parts)


def a_contract(name: str) -> RegisteredType:
    version = ContractVersion(
        version=1, schema="{}", defaults="{}", registered_at=NOON, registered_by="rest"
    )
    return RegisteredType(name=name, current=version, changed_at=NOON, workers=0)


def a_flow(succeeded: int, failed: int) -> Flow:
    return Flow(counts={EventType.SUCCEEDED: succeeded, EventType.FAILED: failed})


def test_a_type_is_known_by_its_contract_its_workers_or_its_tasks() -> None:
    states = type_states(
        [a_contract("c")],
        [a_worker(1, "b"), a_worker(2, "gone", state=Liveness.CLOSED)],
        {("q", "a"): a_flow(1, 0), ("q", OTHER_TYPES): a_flow(9, 9)},
    )
    assert [one.name for one in states] == ["a", "b", "c"]
    assert [one.contract is not None for one in states] == [False, False, True]
    assert [one.worker_count for one in states] == [0, 1, 0]


def test_what_happened_to_a_type_is_the_sum_over_its_queues() -> None:
    groups = {("q", "a"): a_flow(1, 2), ("r", "a"): a_flow(3, 4), ("r", "b"): a_flow(5, 0)}
    states = type_states([], [], groups)
    assert [(one.ended, one.failed) for one in states] == [(10, 6), (5, 0)]


def test_a_worker_of_every_type_runs_each_and_is_none_by_itself() -> None:
    [state] = type_states([a_contract("c")], [a_worker(1, EVERY_TYPE)], {})
    assert (state.name, state.worker_count) == ("c", 1)


def test_claims_of_one_that_pulls_are_one_worker() -> None:
    pulling = [a_worker(n, "a", name="shell", remote=True) for n in range(3)]
    [state] = type_states([], [*pulling, a_worker(9, "a")], {})
    assert (state.worker_count, len(state.workers)) == (2, 4)
