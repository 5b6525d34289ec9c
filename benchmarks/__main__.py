"""The command line of the benchmarks: `make bench`, or `python -m benchmarks [SCENARIO …]`.

Exit status: 0 when everything was measured, whether targets were met or not; 1 when something could not be
measured, or what was measured was not what was meant; with `--strict`, 2 when a target was missed.
"""

import argparse
import asyncio
import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.figures import Figure, Outcome
from benchmarks.lab import Lab, Scale, open_server
from benchmarks.load import LoadFailed
from benchmarks.machine import describe
from benchmarks.programs import ROOT, ProgramFailed
from benchmarks.report import Report

# Those with the most important targets: what a short run measures.
SHORT = (
    "post_tasks",
    "post_two_processes",
    "get_task",
    "bulk_create",
    "schedules_due",
    "noop_drain",
    "broker_drain",
    "pickup_latency",
    "broker_pickup",
    "many_sleeping",
    "lists",
    "searches",
    "search_pages",
    "steady_state",
    "idle_cost",
)
SCENARIOS = (
    *SHORT,
    "key_cost",
    "post_whole_up",
    "whole_up",
    "pairs",
    "schedules_waiting",
    "lone_ticks",
    "wal_and_disk",
    "steady_up",
    "neighbours",
    "key_neighbours",
    "publish_changes",
    "start_time",
    "start_up",
    "idle_memory",
    "create_many",
    "handler_drain",
    "broker_intake",
    "push",
    "feed",
    "stats",
    "explain",
    "dashboard",
    "retention",
    "storage",
)
ROUNDS = {Scale.QUICK: 1, Scale.SHORT: 3, Scale.FULL: 5}

_DATA = ROOT / ".taskmill" / "benchmarks"
_RESULTS = {
    Scale.FULL: ROOT / "benchmarks" / "results",
    Scale.SHORT: ROOT / ".taskmill" / "benchmark-results",
    Scale.QUICK: ROOT / ".taskmill" / "benchmark-results",
}
_EXPECTED = (LoadFailed, ProgramFailed, TimeoutError)


class Scenario(Protocol):
    """The interface of a module in `scenarios`."""

    TITLE: str

    async def run(self, lab: Lab) -> list[Figure]: ...


def main(arguments: Sequence[str]) -> int:
    """Measure, print and store; return the exit status."""
    options = read_options(arguments)
    started_at, load_before = time.monotonic(), os.getloadavg()[0]
    outcomes = []
    with open_server(_DATA) as server:
        lab = Lab(server, _DATA, rounds=options.rounds, scale=options.scale, before=options.before)
        for number, name in enumerate(options.scenarios, start=1):
            passed_s = time.monotonic() - started_at
            print(f"[{number}/{len(options.scenarios)}, {passed_s:.0f} s] {name}", end=": ")
            try:
                outcomes.append(asyncio.run(_measure(name, lab)))
            except KeyboardInterrupt:
                print("\ninterrupted; what was measured is written", flush=True)
                outcomes.append(Outcome(scenario=name, title=name, trouble="interrupted"))
                break
        machine = describe(
            server.version, lab.rabbitmq_version, lab.peer_versions, load_before=load_before
        )
    report = Report(machine=machine, scale=options.scale, rounds=options.rounds, outcomes=outcomes)
    print("", report.table(), *report.troubles(), "", sep="\n")
    print("written to", *report.write(options.out or _RESULTS[options.scale]))
    print(f"{report.verdict}; took {time.monotonic() - started_at:.0f} s")
    return report.exit_status(is_strict=options.strict)


async def _measure(name: str, lab: Lab) -> Outcome:
    scenario: Scenario = importlib.import_module(f"benchmarks.scenarios.{name}")
    print(scenario.TITLE, flush=True)
    began, lab.series = time.monotonic(), []
    figures: Sequence[Figure] = ()
    trouble = None
    try:
        figures = await scenario.run(lab)
    except Exception as failure:  # noqa: BLE001 - one that fails costs the others nothing
        error = cause_of(failure)
        trouble = str(error) or repr(error)
        print(f"  not measured: {trouble}", flush=True)
        if not isinstance(error, _EXPECTED):
            traceback.print_exc()
    return Outcome(
        scenario=name,
        title=scenario.TITLE,
        figures=figures,
        series=lab.series,
        seconds=time.monotonic() - began,
        trouble=trouble,
    )


def cause_of(error: Exception) -> Exception:
    """Return the first error in a group, else the error itself."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help=f"of {', '.join(SCENARIOS)}; by default the first {len(SHORT)}, with --full all",
    )
    scale = parser.add_mutually_exclusive_group()
    scale.set_defaults(scale=Scale.SHORT)
    scale.add_argument(
        "--full",
        action="store_const",
        dest="scale",
        const=Scale.FULL,
        help="thorough; an hour or two",
    )
    scale.add_argument(
        "--quick",
        action="store_const",
        dest="scale",
        const=Scale.QUICK,
        help="rough, to see that it works",
    )
    parser.add_argument("--rounds", type=int, help="rounds of each scenario (3; 5 with --full)")
    parser.add_argument("--strict", action="store_true", help="2 when a target was missed")
    parser.add_argument(
        "--before",
        metavar="REV",
        help="hold whole_up, pairs, schedules_waiting and wal_and_disk against this revision of the repository",
    )
    parser.add_argument("--out", type=Path, help="where the results are written")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or ROUNDS[options.scale]
    options.scenarios = options.scenarios or (SCENARIOS if options.scale is Scale.FULL else SHORT)
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"unknown scenario {min(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
