"""The output and the exit status of the benchmarks."""

import pytest

from benchmarks import plots
from benchmarks.figures import Figure, Outcome, at_least
from benchmarks.machine import Machine
from benchmarks.report import Report

MACHINE = Machine(
    measured_at="2026-11-25T12:34:56+00:00",
    cores=2,
    cpu="a processor",
    memory_gib=24.0,
    system="Linux",
    python="3.11.7",
    postgresql="18.6",
    rabbitmq="4.0.5",
    taskmill="0.1.0",
    fastapi="0.150.0",
    uvicorn="0.40.0",
    aio_pika="10.2.1",
    peers="celery 5.7.0",
    commit="abc",
    load_before=0.0,
)


def rate(*ours: float, least: float = 2) -> Figure:
    return Figure(
        name="drained",
        unit="tasks/s",
        ours=ours,
        against="Celery",
        theirs=[1000] * len(ours),
        target=at_least(least),
    )


def report(*figures: Figure, trouble: str | None = None) -> Report:
    outcome = Outcome(scenario="drain", title="no-op tasks", figures=figures, trouble=trouble)
    return Report(machine=MACHINE, scale="short", rounds=3, outcomes=[outcome])


def test_the_table_has_target_and_measured_value_side_by_side() -> None:
    heading, row = report(rate(2700, 3000, 3300)).table().splitlines()
    assert heading.split()[:3] == ["scenario", "figure", "taskmill"]
    assert row.split("  ")[0] == "drain"
    for cell in ("3,000 tasks/s ±10%", "1,000 tasks/s (Celery)", "3.00", "≥ 2", "met"):
        assert cell in row


def test_a_missed_target_is_shown_in_capitals() -> None:
    missing = report(rate(1000))
    assert missing.table().endswith("MISSED")
    assert "MISSED: drain: drained against Celery" in missing.verdict


@pytest.mark.parametrize(
    ("made", "usual", "strict"),
    [
        (report(rate(3000)), 0, 0),
        (report(rate(1000)), 0, 2),
        (report(trouble="no broker"), 1, 1),
        (report(rate(1000), trouble="no broker"), 1, 1),
    ],
)
def test_only_what_could_not_be_measured_fails_unless_targets_are_strict(
    made: Report, usual: int, strict: int
) -> None:
    assert made.exit_status(is_strict=False) == usual
    assert made.exit_status(is_strict=True) == strict


def test_the_facts_keep_every_round() -> None:
    [outcome] = report(rate(2700, 3000, 3300)).facts()["outcomes"]
    [figure] = outcome["figures"]
    assert figure["ours"] == [2700, 3000, 3300]
    assert figure["ratios"] == [2.7, 3.0, 3.3]
    assert figure["target"] == "≥ 2"
    assert figure["verdict"] == "met"


def test_what_is_held_against_several_peers_has_one_bar() -> None:
    ours = [3000.0, 3300.0]
    figures = [
        Figure(name="drained", unit="/s", ours=ours, against=peer, theirs=[1000.0, 1100.0])
        for peer in ("Celery", "Dramatiq")
    ]
    assert plots.bars_of(figures) == [
        ("drained: Taskmill", 3150, (3000, 3300), True),
        ("drained: Celery", 1050, (1000, 1100), False),
        ("drained: Dramatiq", 1050, (1000, 1100), False),
    ]
