"""The levels of what handlers log."""

import logging

import pytest

from taskmill.domain.task_log import LineLevel


@pytest.mark.parametrize("level", LineLevel)
def test_a_level_is_found_by_its_number_and_by_those_up_to_the_next(level: LineLevel) -> None:
    assert level.number == getattr(logging, level.name)
    assert LineLevel.of(level.number) is LineLevel.of(level.number + 9) is level


def test_below_the_lowest_level_all_is_debug() -> None:
    assert LineLevel.of(0) is LineLevel.of(9) is LineLevel.DEBUG
