"""How long the delivery of the feed pauses after failures, and what it logs; without a database or a broker."""

import asyncio
from itertools import pairwise
from uuid import UUID

import pytest

from taskmill.domain.errors import BrokerAway
from taskmill.relay.feed import FeedDelivery
from tests.support.api import LogLines, log_lines
from tests.support.attempts import no_database
from tests.support.clocks import ManualClock
from tests.support.event_loops import leaping
from tests.support.exchange_in_memory import ExchangeInMemory, LinkInMemory
from tests.support.histories import BEGIN

__all__ = ["log_lines"]


class AskedLink(LinkInMemory):
    """A link that does one thing after the other when it is asked: `fail` or be `down`; then it stops all."""

    def __init__(self, does: str) -> None:
        super().__init__()
        self.does = does.split()
        self.stop = asyncio.Event()
        self.asked_at: list[float] = []

    @property
    def is_up(self) -> bool:
        """Note the time, and fail or be down."""
        self.asked_at.append(asyncio.get_running_loop().time())
        if not self.does:
            self.stop.set()
        elif self.does.pop(0) == "fail":
            raise BrokerAway("nobody is there")
        return False


async def pauses(link: AskedLink) -> list[float]:
    """Deliver until the link stops it, and return the pauses between its questions."""
    exchange = ExchangeInMemory()
    exchange.link = link
    delivery = FeedDelivery(
        no_database(),
        exchange,
        holder=UUID(int=1),
        clock=ManualClock(BEGIN),
    )
    with leaping():
        await delivery.run(link.stop)
    return [later - earlier for earlier, later in pairwise(link.asked_at)]


async def test_pauses_double_with_every_failure_up_to_five_seconds() -> None:
    assert await pauses(AskedLink("fail " * 6)) == pytest.approx([0.5, 1, 2, 4, 5, 5])


async def test_a_success_ends_the_row_of_failures() -> None:
    link = AskedLink("fail fail down fail fail")
    assert await pauses(link) == pytest.approx([0.5, 1, 1, 0.5, 1])


async def test_failures_and_a_lease_that_was_not_given_back_are_logged(log_lines: LogLines) -> None:
    await pauses(AskedLink("fail"))
    [failed] = log_lines.named("feed.undelivered")
    assert failed["level"] == "warning"
    assert "nobody is there" in failed["error"]
    [left] = log_lines.named("feed.left_open")
    assert left["level"] == "info"
    assert "the database" in left["error"]
