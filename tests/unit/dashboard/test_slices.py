"""Pages of a short list, and the sparklines of queues."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.dashboard.pages.queues import sparkline
from taskmill.dashboard.pages.slices import MOST, cut
from taskmill.domain.errors import InvalidInput

BEGIN = datetime(2026, 11, 25, tzinfo=UTC)
TIMES = [BEGIN + timedelta(minutes=number) for number in range(6)]


def test_pages_follow_one_another_and_keep_the_other_parameters() -> None:
    items = list(range(2 * MOST + 1))
    first = cut(items, [("name", "a")])
    assert (first.items, first.newer, first.total) == (items[:MOST], None, len(items))
    assert first.older == [("name", "a"), ("page", "2")]
    second = cut(items, first.older)
    assert (second.items, second.newer) == (items[MOST : 2 * MOST], [("name", "a"), ("page", "1")])
    last = cut(items, second.older or [])
    assert (last.items, last.older) == (items[2 * MOST :], None)


def test_a_page_beyond_the_end_is_the_last_one() -> None:
    assert cut([1, 2], [("page", "9")]).items == [1, 2]
    assert cut([], [("page", "9")]).items == []


@pytest.mark.parametrize("text", ["0", "x", "-1", "\u0661", "99999", "1.5"])
def test_a_page_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        cut([], [("page", text)])


def test_a_chart_shows_each_step_but_the_one_that_is_not_over() -> None:
    ended = {TIMES[1]: 10, TIMES[3]: 5, TIMES[5]: 99}
    assert sparkline(ended, TIMES) == "0.0,23.0 25.0,1.0 50.0,23.0 75.0,12.0 100.0,23.0"


def test_a_chart_of_nothing_is_none() -> None:
    assert sparkline({}, TIMES) is None
    assert sparkline({TIMES[5]: 1}, TIMES) is None
    assert sparkline({TIMES[0]: 1}, TIMES[:1]) is None
