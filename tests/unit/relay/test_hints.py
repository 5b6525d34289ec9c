"""How many tasks one hint names."""

from uuid import UUID

import pytest

from taskmill.relay.hints import split


def sizes(count: int, *, workers: int, slots: int) -> list[int]:
    ids = [UUID(int=number) for number in range(count)]
    parts = list(split(ids, workers=workers, slots=slots))
    assert [task_id for part in parts for task_id in part] == ids
    return [len(part) for part in parts]


@pytest.mark.parametrize(
    ("count", "workers", "slots", "expected"),
    [
        (0, 1, 100, []),
        (1, 1, 100, [1]),
        (4, 1, 100, [1, 1, 1, 1]),
        (8, 1, 100, [2, 2, 2, 2]),
        (10, 1, 100, [3, 3, 3, 1]),
        (1000, 1, 1000, [100] * 10),
        (1000, 2, 2000, [100] * 10),
        (1000, 10, 10_000, [25] * 40),
        # No more than a quarter of the slots of one worker.
        (1000, 1, 40, [10] * 100),
        (8, 1, 1, [1] * 8),
        (8, 4, 4, [1] * 8),
        # A hint queue whose last worker has just gone.
        (3, 0, 0, [1, 1, 1]),
    ],
)
def test_few_tasks_get_a_hint_each_and_many_share_hints_of_up_to_a_hundred(
    count: int, workers: int, slots: int, expected: list[int]
) -> None:
    assert sizes(count, workers=workers, slots=slots) == expected
