"""Seeds of chaos: short ones always, whole ones with the slow tests; `make chaos SEEDS=50` runs more of these."""

import pytest

from tests.chaos.seed import Plan, run

SHORT = [
    Plan(seed=101, with_broker=False, policy="postgres", faults=6, tasks=300),
    Plan(seed=102, with_broker=True, policy="auto", faults=6, tasks=300),
]
WHOLE = [
    Plan(seed=1, with_broker=False, policy="postgres"),
    Plan(seed=2, with_broker=True, policy="auto"),
    Plan(seed=3, with_broker=True, policy="rabbitmq"),
]


@pytest.mark.parametrize(
    "plan",
    [*SHORT, *(pytest.param(plan, marks=pytest.mark.slow) for plan in WHOLE)],
    ids=lambda plan: f"{plan.tasks}-{plan.policy}",
)
async def test_whatever_happens_nothing_is_lost_doubled_or_stranded(plan: Plan) -> None:
    report = await run(plan)
    assert report.wrongs == [], str(report)
    assert report.accepted >= plan.tasks
    assert report.faults.total() >= plan.faults
