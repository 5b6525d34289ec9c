"""Interleaved rounds of several sides, so that slow changes of the machine affect all of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from benchmarks.lab import Lab

T = TypeVar("T")


async def interleaved(
    lab: Lab,
    sides: Mapping[str, Callable[[], Awaitable[T]]],
    *,
    describe: Callable[[T], str],
    rounds: int | None = None,
) -> dict[str, list[T]]:
    """Measure each side once a round, in an order that alternates; return the rounds of each.

    `describe` renders one measurement; `rounds` overrides the run's number of rounds.
    """
    measured: dict[str, list[T]] = {side: [] for side in sides}
    count = rounds or lab.rounds
    for number in range(count):
        for side in lab.order(number, *sides):
            measured[side].append(await sides[side]())
            print(
                f"  round {number + 1}/{count}: {side} {describe(measured[side][-1])}", flush=True
            )
    return measured


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s"
