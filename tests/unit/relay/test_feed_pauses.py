"""How long the delivery of the feed leaves the processor to the release of tasks."""

from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest

from taskmill.amqp.events import EventExchange
from taskmill.domain.feed import Change, Cursor, FeedPage
from taskmill.relay.feed import FeedDelivery
from tests.support.attempts import no_database
from tests.support.clocks import ManualClock
from tests.support.histories import BEGIN, an_event


def pause_s(*ages_s: float, spent_s: float, is_busy: bool = True) -> float:
    """The pause after a page with changes of these ages, which took so long to deliver."""
    delivery = FeedDelivery(
        no_database(),
        cast("EventExchange", None),  # nothing is published
        holder=UUID(int=1),
        clock=ManualClock(BEGIN),
        is_busy=lambda: is_busy,
    )
    changes = [a_change(age_s) for age_s in ages_s]
    return delivery._pause_s(FeedPage(changes, Cursor(1, 1), is_last=False), spent_s)


def a_change(age_s: float) -> Change:
    event = an_event(at=BEGIN - timedelta(seconds=age_s))
    return Change(Cursor(1, 1), event, "mail", "report", "a", "{}")


@pytest.mark.parametrize(("spent_s", "expected_s"), [(0.0, 0.0), (0.5, 2.0), (1.25, 5.0), (9, 5.0)])
def test_while_hints_are_sent_it_pauses_four_times_as_long_as_it_works(
    spent_s: float, expected_s: float
) -> None:
    assert pause_s(1, spent_s=spent_s) == expected_s


def test_it_does_not_pause_when_nothing_is_released_or_nothing_was_delivered() -> None:
    assert pause_s(1, spent_s=1, is_busy=False) == 0
    assert pause_s(spent_s=1) == 0


def test_it_does_not_pause_while_the_last_change_is_late() -> None:
    assert pause_s(90, 60, spent_s=1) == 4
    assert pause_s(90, 60.001, spent_s=1) == 0
