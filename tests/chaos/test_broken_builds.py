"""The checker works: programs that are broken on purpose are caught, and by the right invariant."""

from dataclasses import dataclass

import pytest

from tests.chaos.breakages import NAMES
from tests.chaos.seed import Plan, run


@dataclass(frozen=True, kw_only=True)
class Case:
    """The violation by which a broken build is caught, and the faults and tasks that provoke it."""

    violation: str
    only: frozenset[str]
    policy: str = "postgres"
    delays_s: tuple[float, ...] = (0, 0.1, 0.4)
    posts_per_s: float = 40.0
    roles: frozenset[str] = frozenset({"worker"})
    schedules: int = 0


CASES = {
    # Another worker has the task when the stale one ends it: tasks take longer than a lease lasts.
    "fence": Case(
        violation="not_its_lease",
        only=frozenset({"freeze"}),
        delays_s=(3, 5, 7),
        posts_per_s=12,
    ),
    # More waits than the workers have slots for: they claim all the time.
    "rescue": Case(
        violation="unfinished", only=frozenset({"rows_locked"}), delays_s=(1, 2), posts_per_s=70
    ),
    "hints": Case(violation="unfinished", only=frozenset({"kill"}), policy="rabbitmq"),
    "key": Case(
        violation="doubled",
        only=frozenset({"answer_lost", "failpoint"}),
        roles=frozenset({"worker", "api"}),
    ),
    "tick": Case(
        violation="schedule_tick_twice",
        only=frozenset({"freeze"}),
        roles=frozenset({"maintenance"}),
        schedules=20,
    ),
    "idle_worker": Case(violation="not_back: worker-2", only=frozenset({"kill"})),
    "early": Case(violation="ran_early", only=frozenset({"kill"})),
    "again": Case(violation="ran_again_unasked", only=frozenset({"kill"})),
    "counter": Case(violation="counters say", only=frozenset({"kill"})),
}


def test_every_breakage_has_a_case() -> None:
    assert set(CASES) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("broken", CASES)
async def test_a_broken_build_is_caught_by_the_invariant_that_it_breaks(broken: str) -> None:
    case = CASES[broken]
    plan = Plan(
        seed=7,
        with_broker=case.policy != "postgres",
        policy=case.policy,
        faults=8,
        tasks=300,
        posts_per_s=case.posts_per_s,
        delays_s=case.delays_s,
        broken=broken,
        only=case.only,
        roles=case.roles,
        settle_s=25,
        schedules=case.schedules,
    )
    report = await run(plan)
    is_caught = any(case.violation in violation for violation in report.violations)
    assert is_caught, [str(report), *report.violations[:10]]
