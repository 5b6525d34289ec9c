"""What a no-op task costs a whole `taskmill up`, from the first POST until all is quiet again.

Every role runs, as `up` starts it, with its PostgreSQL and its RabbitMQ, so that background work counts. The
processor time of all processes is read before, when the last task has ended, and when all has been quiet for four
seconds: all changes are delivered, and no more is used than by an idle system. With `--before REV` the same is
done, in turns, with a checkout of that revision, which runs with this one's environment.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from benchmarks.checkouts import NOW, compared
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.process_tree import Used, used_s
from benchmarks.rounds import interleaved
from benchmarks.whole import up_running

TITLE = "processor time of every process of `taskmill up` for a no-op task, until all is quiet"

_MOST = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds a task, by process: while tasks ran, and from the last one's end until all was quiet."""

    until_end: Used
    after_end: Used
    quiet_after_s: float

    @property
    def total(self) -> float:
        return sum(self.until_end.values()) + sum(self.after_end.values())

    def __str__(self) -> str:
        parts = (
            f"{name}: {self.until_end.get(name, 0):.0f} + {self.after_end.get(name, 0):.0f}"
            for name in sorted({*self.until_end, *self.after_end})
        )
        after = sum(self.after_end.values())
        return (
            f"{self.total:.0f} µs a task, {after:.0f} of them after the last end, "
            f"for {self.quiet_after_s:.0f} s ({'; '.join(parts)})"
        )


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=20_000, full=50_000)
    with compared(lab.before, lab.folder) as checkouts:
        costs = await interleaved(
            lab,
            {side: partial(_measure, lab, folder, tasks) for side, folder in checkouts.items()},
            describe=str,
        )
    return _figures(costs, lab.before)


def _figures(costs: Mapping[str, Sequence[Cost]], before: str | None) -> list[Figure]:
    names = sorted({name for cost in costs[NOW] for name in (*cost.until_end, *cost.after_end)})
    theirs = costs[before] if before else []
    return [
        Figure(
            name="until all is quiet",
            unit="µs a task",
            ours=[cost.total for cost in costs[NOW]],
            against=before or "",
            theirs=[cost.total for cost in theirs],
            target=at_most(_MOST) if before else None,
        ),
        Figure(
            name="of that after the last end",
            unit="µs a task",
            ours=[sum(cost.after_end.values()) for cost in costs[NOW]],
            against=before or "",
            theirs=[sum(cost.after_end.values()) for cost in theirs],
        ),
        *(
            Figure(
                name=f"{name}, {when}",
                unit="µs a task",
                ours=[used.get(name, 0.0) for used in ours],
                against=before or "",
                theirs=[used.get(name, 0.0) for used in their],
            )
            for name in names
            for when, ours, their in (
                (
                    "until the last end",
                    [cost.until_end for cost in costs[NOW]],
                    [cost.until_end for cost in theirs],
                ),
                (
                    "after it",
                    [cost.after_end for cost in costs[NOW]],
                    [cost.after_end for cost in theirs],
                ),
            )
        ),
    ]


async def _measure(lab: Lab, checkout: Path, tasks: int) -> Cost:
    async with up_running(lab, checkout) as up:
        began = used_s(up.program.pid)
        await up.post(tasks)
        await up.until_ended()
        ended, ended_at = used_s(up.program.pid), monotonic()
        quiet, quiet_at = await up.until_quiet()
    return Cost(
        until_end=_per_task(began, ended, tasks),
        after_end=_per_task(ended, quiet, tasks),
        quiet_after_s=quiet_at - ended_at,
    )


def _per_task(before: Used, after: Used, tasks: int) -> Used:
    return {
        name: seconds / tasks * 1e6 for name, seconds in (Counter(after) - Counter(before)).items()
    }
