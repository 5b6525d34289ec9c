"""Each slow test has its turn: it is in one of the slices, which take about as long."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.slices import (
    LIMIT_S,
    SLICES,
    measured,
    pytest_collection_modifyitems,
    pytest_configure,
    slices,
)

OUTPUT = """\
============================= slowest durations ==============================
0.60s call     tests/unit/test_a.py::test_one[a b]
0.30s setup    tests/unit/test_a.py::test_one[a b]
0.60s call     tests/unit/test_a.py::test_two
12.00s call    somewhere/else.py::test_three
"""


def test_each_test_is_in_one_slice_and_no_slice_is_much_longer_than_another() -> None:
    seconds = {f"tests/test_{number}.py": 2.0 + number % 17 for number in range(200)}
    shared = slices([*seconds, "tests/test_new.py"], seconds)
    assert len(shared) == SLICES
    assert sorted(one for ids in shared for one in ids) == sorted([*seconds, "tests/test_new.py"])
    totals = [sum(seconds.get(one, 0.0) for one in ids) for ids in shared]
    assert max(totals) - min(totals) < max(seconds.values()) * 2


def test_slices_do_not_depend_on_the_order_of_tests() -> None:
    seconds = {"a": 3.0, "b": 3.0, "c": 9.0}
    assert slices(["a", "b", "c"], seconds) == slices(["c", "b", "a"], seconds)


def test_a_test_is_slow_by_all_that_it_took() -> None:
    assert measured(OUTPUT) == {"tests/unit/test_a.py::test_one[a b]": 0.6 + 0.3}
    assert 0.6 < LIMIT_S < 0.6 + 0.3


@pytest.mark.parametrize(
    ("named", "expression", "number", "runs"),
    [
        (Path(__file__).parent, "", None, "not slow"),
        (Path(__file__), "", None, ""),
        (f"{__file__}::test_one", "", None, ""),
        (Path(__file__).parent, "slow", None, "slow"),
        (Path(__file__).parent, "", 3, ""),
    ],
)
def test_slow_tests_are_left_out_only_where_nobody_chose_them(
    named: object, expression: str, number: int | None, runs: str
) -> None:
    option = SimpleNamespace(markexpr=expression)
    config: Any = SimpleNamespace(option=option, args=[str(named)], getoption=lambda _: number)
    pytest_configure(config)
    assert option.markexpr == runs


def test_what_needs_a_container_engine_is_in_no_slice() -> None:
    items = [an_item("slow"), an_item("slow", "engine"), an_item()]
    for number in range(1, SLICES + 1):
        ran = list(items)
        hook = SimpleNamespace(pytest_deselected=lambda items: None)  # noqa: ARG005 - as pytest calls it
        config: Any = SimpleNamespace(getoption=lambda _, number=number: number, hook=hook)
        pytest_collection_modifyitems(config, ran)
        assert ran == (items[:1] if number == 1 else [])


def an_item(*markers: str) -> Any:  # noqa: ANN401 - as much of pytest's as is needed
    return SimpleNamespace(
        nodeid=" ".join(markers), get_closest_marker=lambda name: name in markers or None
    )
