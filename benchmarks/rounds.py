"""Interleaved rounds of several sides, so that slow changes of the machine affect all of them.

Two processes of one program differ by some percent for as long as they live (4 % of an API's rate, 2026-11-30), so
where a few percent matter all sides are started anew after some rounds: `starts`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from benchmarks.lab import Lab

T = TypeVar("T")

_ROUNDS_A_START = 4


def starts(rounds: int) -> list[int]:
    """Return how many of the rounds are to be measured after each start of the sides."""
    return [min(_ROUNDS_A_START, rounds - begun) for begun in range(0, rounds, _ROUNDS_A_START)]


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
