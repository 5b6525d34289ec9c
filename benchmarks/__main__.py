"""The command line of the benchmarks: `make bench`, or `python -m benchmarks [SCENARIO …]`."""

import argparse
import asyncio
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.figures import Figure, Outcome
from benchmarks.lab import Lab, open_server
from benchmarks.load import LoadFailed
from benchmarks.machine import describe
from benchmarks.programs import ROOT, ProgramFailed
from benchmarks.report import Report

SCENARIOS = (
    "post_tasks",
    "get_task",
    "create_many",
    "noop_drain",
    "handler_drain",
    "pickup_latency",
    "broker_drain",
    "broker_intake",
    "broker_pickup",
    "many_sleeping",
    "list_status",
    "explain",
    "stats",
    "dashboard",
    "storage",
    "feed",
    "push",
)
_DATA = ROOT / ".taskmill" / "benchmarks"
_MEASURED = (LoadFailed, ProgramFailed, TimeoutError)


class Scenario(Protocol):
    """What a module in `scenarios` has."""

    TITLE: str

    async def run(self, lab: Lab) -> list[Figure]: ...


def main(arguments: Sequence[str]) -> int:
    """Measure, show and keep; 0 when every target was met, 1 otherwise."""
    options = _options(arguments)
    started_at = time.monotonic()
    with open_server(_DATA) as server:
        lab = Lab(server, _DATA, rounds=options.rounds, is_quick=options.quick)
        outcomes = [asyncio.run(_measure(name, lab)) for name in options.scenarios]
        machine = describe(server.version, lab.rabbitmq_version)
    report = Report(machine=machine, rounds=options.rounds, outcomes=outcomes)
    print("", report.table(), *report.troubles(), "", sep="\n")
    if options.quick:
        print("a quick run: its figures are not kept")
    else:
        print("kept in", *report.write(options.out))
    verdict = "every target was met" if report.is_good else "NOT every target was met"
    print(f"{verdict}; took {time.monotonic() - started_at:.0f} s")
    return 0 if report.is_good else 1


async def _measure(name: str, lab: Lab) -> Outcome:
    scenario: Scenario = importlib.import_module(f"benchmarks.scenarios.{name}")
    print(f"{name}: {scenario.TITLE}", flush=True)
    try:
        figures = await scenario.run(lab)
    except _MEASURED as error:
        print(f"  not measured: {error}", flush=True)
        return Outcome(scenario=name, title=scenario.TITLE, trouble=str(error) or repr(error))
    return Outcome(scenario=name, title=scenario.TITLE, figures=figures)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help=f"of {', '.join(SCENARIOS)}; all by default",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each scenario (3)")
    parser.add_argument("--quick", action="store_true", help="short and rough, to try things out")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "benchmarks" / "results",
        help="where the results are kept",
    )
    options = parser.parse_args(arguments)
    options.scenarios = options.scenarios or SCENARIOS
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"unknown scenario {min(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
