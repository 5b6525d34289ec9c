"""Runs seeds of chaos: `python -m tests.chaos --seeds 50`. The exit status is 1 when anything was violated."""

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.chaos import seed_process
from tests.chaos.seed import Plan, Report

# Seeds alternate: without a broker, and with one under both policies.
_TRANSPORTS = ((False, "postgres"), (True, "auto"), (True, "rabbitmq"))
_SHOWN = 12
# What happens to the servers happens to all processes; of these only those are harmed that fire schedules.
_FIRING = frozenset({"maintenance"})


def plans(arguments: argparse.Namespace) -> Iterator[Plan]:
    """Return the plans of the seeds."""
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        with_broker, policy = _TRANSPORTS[seed % len(_TRANSPORTS)]
        if arguments.schedules:
            with_broker, policy = _TRANSPORTS[0]
        yield Plan(
            seed=seed,
            with_broker=with_broker,
            policy=policy,
            faults=arguments.faults,
            tasks=arguments.tasks,
            posts_per_s=arguments.posts_per_s,
            schedules=arguments.schedules,
            roles=_FIRING if arguments.schedules else frozenset(),
        )


def main() -> int:
    """Run the seeds, some at a time, and print what they did."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds (default 10)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--faults", type=int, default=16, help="faults in each seed (default 16)")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks in each seed (default 2000)")
    parser.add_argument(
        "--jobs", type=int, default=cores, help=f"seeds at a time (default: cores, here {cores})"
    )
    parser.add_argument(
        "--posts-per-s", type=float, default=60.0, help="tasks created a second (default 60)"
    )
    parser.add_argument(
        "--schedules",
        type=int,
        default=0,
        metavar="COUNT",
        help="schedules with a tick every second, fired by three processes of maintenance, to which most "
        "faults happen (default 0); without a broker",
    )
    arguments = parser.parse_args()
    reports: list[Report] = []
    # Not forked: each seed starts its own threads and event loops.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, arguments.jobs), mp_context=spawn) as pool:
        planned = plans(arguments)
        for future in as_completed([pool.submit(seed_process.report, plan) for plan in planned]):
            report = future.result()
            reports.append(report)
            _print(f"[{len(reports)}/{arguments.seeds}] {report}")
            for violation in report.violations[:_SHOWN]:
                _print(f"    {violation}")
            if report.logs is not None:
                _print(f"    its logs are in {report.logs}")
    _sum_up(reports)
    return int(any(report.violations for report in reports))


def _sum_up(reports: list[Report]) -> None:
    faults: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults + report.deaths)
        absent.update(report.absent)
    _print("")
    _print(f"{len(reports)} seeds, {sum(len(r.violations) for r in reports)} violations")
    _print(f"  tasks accepted      {sum(r.accepted for r in reports)}")
    _print(f"  tasks ended         {sum(r.terminal for r in reports)}")
    _print(f"  stale ends refused  {sum(r.stale_refused for r in reports)}")
    _print(f"  slowest to settle   {max(r.settled_s for r in reports):.1f} s")
    for name, times in sorted(faults.items()):
        _print(f"  {name:<27} {times}")
    for name, seeds in sorted(absent.items()):
        _print(f"  {name:<27} absent in {seeds} seeds: this machine can't do it")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
