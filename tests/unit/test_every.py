"""A test of many things fails with each that failed, and says how many there were."""

import pytest

from tests.support.every import every


@every("number", [1, 2])
def test_a_test_has_its_fixtures_too(number: int, tmp_path: object) -> None:
    assert number in {1, 2}
    assert tmp_path


def test_all_that_failed_are_reported_by_name() -> None:
    tried: list[int] = []

    @every("number", range(4))
    def test_odd(number: int) -> None:
        tried.append(number)
        assert number % 2

    with pytest.raises(ExceptionGroup, match="of 4") as failure:
        test_odd()
    assert tried == [0, 1, 2, 3]
    assert [one.__notes__ for one in failure.value.exceptions] == [["number is 0"], ["number is 2"]]


def test_a_test_of_nothing_fails() -> None:
    with pytest.raises(AssertionError):
        every("number", [])(print)()
