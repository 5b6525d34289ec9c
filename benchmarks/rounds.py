"""Rounds of several sides, interleaved: what changes slowly on the machine changes for all of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from benchmarks.lab import Lab

T = TypeVar("T")


async def interleaved(
    lab: Lab,
    sides: Mapping[str, Callable[[], Awaitable[T]]],
    *,
    told: Callable[[T], str],
    rounds: int | None = None,
) -> dict[str, list[T]]:
    """Measure each side once a round, in an order that alternates; return the rounds of each.

    `told` says what is shown of one measurement, and `rounds` how many, instead of the run's own number.
    """
    measured: dict[str, list[T]] = {side: [] for side in sides}
    count = rounds or lab.rounds
    for number in range(count):
        for side in lab.turn(number, *sides):
            measured[side].append(await sides[side]())
            print(f"  round {number + 1}/{count}: {side} {told(measured[side][-1])}", flush=True)
    return measured


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s"
