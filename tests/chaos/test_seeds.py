"""Chaos: short seeds are always the same, whole ones begin with the commit; `make chaos SEEDS=50` runs more."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.seed import Plan, run
from tests.support.search import seed_of

SHORT = [
    Plan(seed=101, with_broker=False, policy="postgres", faults=6, tasks=300),
    Plan(seed=102, with_broker=True, policy="auto", faults=6, tasks=300),
    Plan(
        seed=103,
        with_broker=False,
        policy="postgres",
        faults=6,
        tasks=100,
        posts_per_s=15,
        roles=frozenset({"maintenance"}),
        schedules=30,
    ),
]
WHOLE = [
    Plan(seed=1, with_broker=False, policy="postgres"),
    Plan(seed=2, with_broker=True, policy="auto"),
    Plan(seed=3, with_broker=True, policy="rabbitmq"),
]


def _may_mount() -> bool:
    """Whether this is root with the right to mount (CAP_SYS_ADMIN), which root in a container often lacks."""
    status = Path("/proc/self/status").read_text().split()
    return os.geteuid() == 0 and bool(int(status[status.index("CapEff:") + 1], 16) >> 21 & 1)


def _may_fake_clocks() -> bool:
    return any(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


# Faults that not every machine can do, whether this one can, and what they need.
NEEDS = {
    "clock_jump": (_may_fake_clocks, "libfaketime (Debian: apt-get install libfaketime)"),
    "disk_full": (_may_mount, "root that may mount a disk"),
}


@pytest.mark.parametrize("fault", NEEDS)
def test_every_kind_of_fault_can_be_done_here(fault: str) -> None:
    can, what = NEEDS[fault]
    if not can():
        pytest.skip(f"{fault} is left out of all seeds: it needs {what}")


@pytest.mark.parametrize(
    "plan",
    [*SHORT, *(pytest.param(plan, marks=pytest.mark.slow) for plan in WHOLE)],
    ids=lambda plan: f"{plan.tasks}-{plan.policy}{'-schedules' * bool(plan.schedules)}",
)
async def test_whatever_happens_nothing_is_lost_doubled_or_stranded(
    plan: Plan, pytestconfig: pytest.Config
) -> None:
    if plan in WHOLE:
        plan = replace(plan, seed=plan.seed + seed_of(pytestconfig))
    report = await run(plan)
    assert report.violations == [], str(report)
    assert report.accepted >= plan.tasks
    assert report.faults.total() >= plan.faults
    assert report.absent == [fault for fault, (can, _) in NEEDS.items() if not can()]
