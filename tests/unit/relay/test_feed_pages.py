"""How the delivery of the feed goes from page to page and keeps its lease; without a database or a broker."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest

from taskmill.domain.feed import START, Change, Cursor, FeedPage
from taskmill.relay.feed import FeedDelivery
from taskmill.storage import cursor_leases
from tests.support.attempts import no_database
from tests.support.clocks import ManualClock
from tests.support.event_loops import leaping
from tests.support.exchange_in_memory import ExchangeInMemory
from tests.support.histories import BEGIN, an_event

FIRST: Final = Cursor(1, 1)
SECOND: Final = Cursor(1, 2)


class Delivery(FeedDelivery):
    """Delivers one page that a test gives it, and records what it reads and moves."""

    def __init__(self, page: FeedPage, exchange: ExchangeInMemory, clock: ManualClock) -> None:
        self.moves: list[tuple[Cursor, Cursor, float]] = []
        self.read: list[Cursor] = []
        super().__init__(no_database(), exchange, holder=UUID(int=1), clock=clock)
        self._given = page

    async def _page(self, after: Cursor) -> FeedPage:
        assert after == START
        return self._given

    async def _read_ahead(self, after: Cursor) -> None:
        self.read.append(after)

    async def _move(self, after: Cursor, cursor: Cursor) -> bool:
        self.moves.append((after, cursor, asyncio.get_running_loop().time()))
        return True


def a_page(*, is_last: bool) -> FeedPage:
    event = an_event(at=BEGIN)
    changes = [Change(cursor, event, "mail", "report", "a", "{}") for cursor in (FIRST, SECOND)]
    return FeedPage(changes, SECOND, is_last=is_last)


@pytest.mark.parametrize(("is_last", "read"), [(True, []), (False, [SECOND])])
async def test_only_if_there_is_more_it_reads_ahead(read: list[Cursor], *, is_last: bool) -> None:
    clock = ManualClock(BEGIN)
    stop = asyncio.Event()
    stop.set()
    delivery = Delivery(a_page(is_last=is_last), ExchangeInMemory(), clock)
    assert await delivery._deliver_page(START, stop) == SECOND
    assert delivery.read == read


@pytest.mark.parametrize(("until", "is_bound"), [(SECOND, False), (Cursor(1, 3), True)])
async def test_what_a_scan_found_is_delivered_up_to_its_end(
    until: Cursor, *, is_bound: bool
) -> None:
    delivery = Delivery(a_page(is_last=False), ExchangeInMemory(), ManualClock(BEGIN))
    delivery._bound_until = until
    await delivery._deliver_page(START, asyncio.Event())
    assert delivery._is_bound is is_bound


async def test_while_confirms_are_slow_it_renews_the_lease_every_sixth_of_its_time() -> None:
    exchange = ExchangeInMemory()
    exchange.may_confirm.clear()
    delivery = Delivery(a_page(is_last=True), exchange, ManualClock(BEGIN))
    with leaping():
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        loop.call_later(8, exchange.may_confirm.set)
        await delivery._publish(FIRST, a_page(is_last=True).changes)
    assert {(after, cursor) for after, cursor, _ in delivery.moves} == {(FIRST, FIRST)}
    assert [at - began_at for *_, at in delivery.moves] == pytest.approx([2.5, 5, 7.5])


async def test_an_unchanged_cursor_is_written_every_third_of_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Cursor] = []

    async def move(_: object, __: object, cursor: Cursor) -> bool:
        written.append(cursor)
        return True

    monkeypatch.setattr(cursor_leases, "move", move)
    clock = ManualClock(BEGIN)
    delivery = FeedDelivery(no_database(), ExchangeInMemory(), holder=UUID(int=1), clock=clock)
    delivery._delivered = {FIRST, SECOND}
    clock.advance(timedelta(seconds=4.75))
    assert await delivery._move(FIRST, FIRST)
    assert written == []
    clock.advance(timedelta(seconds=0.25))
    assert await delivery._move(FIRST, FIRST)
    assert written == [FIRST]
    assert delivery._delivered == {SECOND}, "only what is beyond the cursor has to be remembered"
