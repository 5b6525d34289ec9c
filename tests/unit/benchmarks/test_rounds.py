"""Rounds of benchmarks whose sides are started anew."""

import pytest

from benchmarks.rounds import starts


@pytest.mark.parametrize(("rounds", "expected"), [(1, [1]), (4, [4]), (6, [4, 2]), (24, [4] * 6)])
def test_all_rounds_are_measured_some_after_each_start(rounds: int, expected: list[int]) -> None:
    assert starts(rounds) == expected
