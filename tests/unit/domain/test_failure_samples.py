"""What stands out among tasks that failed: labels that they have much more often than those that succeeded."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given, strategies as st

from taskmill.domain.failure_samples import FailedTask, FailureSample, Labels, outstanding

_labels = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3), max_size=30
)


def a_task(number: int, **parts: object) -> FailedTask:
    usual = {
        "id": UUID(int=number),
        "queue": "mail",
        "type": "pay",
        "labels": {},
        "message": "no",
        "finished_at": None,
        "worker": None,
        "version": None,
    }
    return FailedTask(**{**usual, **parts})  # type: ignore[arg-type]


def found(failed: Sequence[Labels], succeeded: Sequence[Labels]) -> list[tuple[str, str]]:
    return [(one.key, one.value) for one in outstanding(failed, succeeded)]


def test_a_label_of_all_that_failed_and_of_few_that_succeeded_stands_out() -> None:
    failed = [{"team": "a", "zone": "eu"}] * 10
    succeeded = [{"team": "a", "zone": "us"}] * 9 + [{"zone": "eu"}]
    [one] = outstanding(failed, succeeded)
    assert (one.key, one.value, one.failed, one.succeeded) == ("zone", "eu", 1.0, 0.1)


def test_the_most_striking_come_first() -> None:
    failed = [{"a": "x", "b": "y"}] * 6 + [{"b": "y"}] * 4
    assert found(failed, [{}]) == [("b", "y"), ("a", "x")]


def test_a_single_task_and_a_small_difference_do_not_stand_out() -> None:
    assert found([{"a": "x"}], [{}]) == []
    assert found([{"a": "x"}] * 6 + [{}] * 4, [{"a": "x"}] * 5 + [{}] * 5) == []


def test_without_any_that_succeeded_nothing_stands_out() -> None:
    assert found([{"a": "x"}] * 10, []) == []


@given(failed=_labels, succeeded=_labels)
def test_what_stands_out_is_more_frequent_among_those_that_failed(
    failed: list[Labels], succeeded: list[Labels]
) -> None:
    for one in outstanding(failed, succeeded):
        assert 0 <= one.succeeded < one.failed <= 1
        assert any(labels.get(one.key) == one.value for labels in failed)


def test_values_are_counted_and_unknown_ones_left_out() -> None:
    workers = ["one", "two", None, "two"]
    tasks = [a_task(number, worker=worker) for number, worker in enumerate(workers)]
    sample = FailureSample(failed=tasks, succeeded=[])
    assert sample.most_common("worker") == [("two", 2), ("one", 1)]
    assert sample.most_common("version") == []
