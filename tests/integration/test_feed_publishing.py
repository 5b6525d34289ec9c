"""What the relay publishes of the feed, in which order, and how far its cursor moves, without a broker."""

from datetime import timedelta
from typing import Final

import pytest

from taskmill.domain.feed import Cursor
from taskmill.observability.metrics import FEED_PUBLISHED, FEED_RETURNED
from tests.support.api import LogLines
from tests.support.exchange_in_memory import (
    HOLDER,
    OTHER,
    CountedPauses,
    ExchangeInMemory,
    delivering,
    facts,
    given_away,
    has_logged,
    has_reached,
    is_held,
    made,
)
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS, Stage

MAIL: Final = "task.new.mail"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TAKE_LEASE_S", "_FIRST_PAUSE_S", "_POLL_S", "_SCAN_S"):
        monkeypatch.setattr(f"taskmill.relay.feed.{name}", 0.02)


def counted() -> tuple[float, float]:
    """How many changes were taken, and how many returned."""
    return FEED_PUBLISHED._value.get(), FEED_RETURNED._value.get()


async def test_changes_are_published_in_order_and_the_lease_is_given_back(
    stage: Stage, log_lines: LogLines
) -> None:
    exchange, before = ExchangeInMemory(MAIL), counted()
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        cursors = await made(stage, ["mail", "mail", "other", "mail"])
        await has_reached(stage, cursors[-1])
    assert exchange.batches == [cursors]
    taken, returned = counted()
    assert (taken - before[0], returned - before[1]) == (3, 1)
    assert await facts(stage) == (None, cursors[-1])
    assert exchange.is_closed
    [line] = log_lines.named("feed.delivering")
    assert (line["after"], line["level"]) == ("0.0", "info")
    assert log_lines.named("feed.handed_over") == log_lines.warnings() == []


async def test_it_goes_on_at_its_cursor(stage: Stage, log_lines: LogLines) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        first = await made(stage, ["mail"])
        await has_reached(stage, first[-1])
    second = await made(stage, ["mail"])
    async with delivering(stage, exchange, holder=OTHER):
        await has_reached(stage, second[-1])
    assert exchange.batches == [first, second]
    assert [line["after"] for line in log_lines.named("feed.delivering")] == ["0.0", str(first[-1])]


async def test_without_a_queue_only_the_oldest_change_of_each_key_is_published(
    stage: Stage,
) -> None:
    exchange = ExchangeInMemory()
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        first = await made(stage, "aab")
        await has_reached(stage, first[-1])
        second = await made(stage, "baaab")
        await has_reached(stage, second[-1])
        assert exchange.batches == [first, second[:2]]
        exchange.bound.add("task.new.a")
        third = await made(stage, "bbaab")
        await has_reached(stage, third[-1])
    # By the scan the oldest of each; then all the rest of the key that was taken, and one of the other.
    assert exchange.published[5:7] == [third[0], third[2]]
    assert third[3] in exchange.published
    assert exchange.published.count(third[2]) == 1
    assert third[4] not in exchange.published


async def test_what_is_taken_once_again_is_published_without_a_scan(stage: Stage) -> None:
    exchange = ExchangeInMemory()
    async with delivering(stage, exchange, holder=HOLDER) as delivery:
        await is_held(stage)
        await has_reached(stage, (await made(stage, "ab"))[-1])
        exchange.bound.add("task.new.a")
        await has_reached(stage, (await made(stage, "a"))[-1])
        cursors = await made(stage, "aaa")
        await has_reached(stage, cursors[-1])
        assert delivery._is_bound
    assert exchange.batches[-1] == cursors


async def test_a_key_that_was_taken_before_is_not_tried_by_a_scan(stage: Stage) -> None:
    exchange = ExchangeInMemory("task.new.a")
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        for queues in ("a", "bb"):
            await has_reached(stage, (await made(stage, queues))[-1])
        cursors = await made(stage, "aba")
        await has_reached(stage, cursors[-1])
    assert exchange.batches[-1] == cursors, "nothing was published before the page"


async def test_what_a_scan_found_is_delivered_page_by_page_without_another_scan(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._PAGE", 2)
    exchange = ExchangeInMemory()
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        await has_reached(stage, (await made(stage, "ab"))[-1])
        exchange.bound.add("task.new.a")
        cursors = await made(stage, "bbbbaa")
        await has_reached(stage, cursors[-1])
    by_scan, *pages = exchange.batches[1:]
    assert by_scan == [cursors[0], cursors[4]]
    # The batch before takes a place on the first page; of each page the first of a returned key is tried.
    assert [[cursor.ordinal for cursor in page] for page in pages] == [[1], [2], [4], [6]]


async def test_a_scan_reads_a_bounded_number_of_changes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._MOST_SCANNED", 2)
    exchange = ExchangeInMemory()
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        await has_reached(stage, (await made(stage, "a"))[-1])
        cursors = await made(stage, "aaaaa")
        await has_reached(stage, cursors[-1])
    assert exchange.batches[1:] == [[cursors[0]], [cursors[2]], [cursors[4]]]


async def test_what_was_confirmed_before_a_loss_is_not_published_again(
    stage: Stage, log_lines: LogLines
) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        exchange.breaks_after = 2
        cursors = await made(stage, ["mail"] * 5)
        await has_reached(stage, cursors[-1])
    assert exchange.batches == [cursors[:2], cursors[2:]]
    [line] = log_lines.named("feed.undelivered")
    assert "it was closed" in line["error"]
    delivering_lines = log_lines.named("feed.delivering")
    assert [line["after"] for line in delivering_lines] == ["0.0", str(cursors[1])]


async def test_what_was_confirmed_behind_something_unacknowledged_is_not_published_again(
    stage: Stage,
) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        [before] = await made(stage, ["mail"])
        await has_reached(stage, before)
        exchange.nacks = {Cursor(2, 2)}
        exchange.breaks_after = 3
        cursors = await made(stage, ["mail"] * 5)
        assert cursors[1] == Cursor(2, 2)
        await has_reached(stage, cursors[-1])
    # The cursor has moved to the first one only.
    assert exchange.batches[1:] == [cursors[:3], [cursors[1], *cursors[3:]]]


async def test_what_was_not_acknowledged_is_published_again_in_order(stage: Stage) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        exchange.nacks = {Cursor(1, 2), Cursor(1, 4)}
        cursors = await made(stage, ["mail"] * 5)
        assert cursors[0] == Cursor(1, 1)
        await has_reached(stage, cursors[-1])
    assert exchange.batches == [cursors, [cursors[1], cursors[3]]]


async def test_long_feeds_are_published_page_by_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._PAGE", 2)
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
    cursors = await made(stage, ["mail"] * 5)
    async with delivering(stage, exchange, holder=HOLDER):
        await has_reached(stage, cursors[-1])
    assert exchange.batches == [cursors[:2], cursors[2:4], cursors[4:]]


async def test_a_process_that_lost_the_lease_publishes_nothing_more(
    stage: Stage, log_lines: LogLines
) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        await given_away(stage)
        first = await made(stage, ["mail"])
        await has_logged(log_lines, "feed.handed_over")
        await made(stage, ["mail"])
    assert exchange.published == first, "it had no reason to renew the lease before"
    assert await facts(stage) == (OTHER, Cursor(0, 0))


@pytest.mark.parametrize("scans", [False, True])
async def test_the_lease_is_renewed_while_confirms_are_slow(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, scans: bool
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._HOLD_S", 1.0)
    exchange = ExchangeInMemory(MAIL)
    expires = "SELECT expires_at FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"
    async with delivering(stage, exchange, holder=HOLDER):
        await has_begun(stage, exchange, scans=scans)
        exchange.may_confirm.clear()
        cursors = await made(stage, ["mail"])
        await exchange.has(2)
        before = await stage.sql.fetchval(expires)

        async def is_renewed() -> bool:
            return bool(await stage.sql.fetchval(expires) >= before + timedelta(seconds=0.6))

        await eventually(is_renewed, "the lease to be renewed twice")
        assert (await facts(stage))[1] < cursors[0]
        exchange.may_confirm.set()
        await has_reached(stage, cursors[-1])
    assert exchange.published[1:] == cursors


@pytest.mark.parametrize("scans", [False, True])
async def test_a_lease_that_is_lost_while_confirms_are_slow_ends_the_delivery(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines, *, scans: bool
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._HOLD_S", 0.3)
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await has_begun(stage, exchange, scans=scans)
        _, reached = await facts(stage)
        exchange.may_confirm.clear()
        await made(stage, ["mail"])
        await exchange.has(2)
        await given_away(stage)
        await has_logged(log_lines, "feed.handed_over")
    assert await facts(stage) == (OTHER, reached)
    assert log_lines.warnings() == []


async def has_begun(stage: Stage, exchange: ExchangeInMemory, *, scans: bool) -> None:
    """Deliver a first change; afterwards it `scans` if that was returned."""
    await is_held(stage)
    await has_reached(stage, (await made(stage, ["other" if scans else "mail"]))[-1])
    assert len(exchange.published) == 1


async def test_a_page_is_read_while_the_one_before_is_published(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._PAGE", 2)
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER) as delivery:
        await is_held(stage)
        exchange.may_confirm.clear()
        first, *others = await made(stage, ["mail"] * 3)

        async def has_read() -> bool:
            return delivery._ahead is not None

        await exchange.has(1)
        await eventually(has_read, "the next page to be read")
        # Tasks that are gone by now would not be on a page that is read later.
        await stage.sql.execute("DELETE FROM taskmill.task")
        exchange.may_confirm.set()
        await has_reached(stage, others[-1])
    assert exchange.published[0] == first
    assert exchange.published[-1] == others[-1]


async def test_a_process_that_lost_the_lease_does_not_pass_over_what_was_pruned(
    stage: Stage, log_lines: LogLines
) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await has_begun(stage, exchange, scans=False)
        _, reached = await facts(stage)
        await given_away(stage)
        # As if the batch of its cursor had been pruned, and another one had come.
        await stage.sql.execute("UPDATE taskmill.change_batch SET position = position + 5")
        await has_logged(log_lines, "feed.handed_over")
    assert len(exchange.published) == 1
    assert await facts(stage) == (OTHER, reached)


@pytest.mark.parametrize("scans", [False, True])
async def test_an_idle_delivery_reads_the_feed_and_writes_nothing(
    stage: Stage, *, scans: bool
) -> None:
    exchange, idle_backoff = ExchangeInMemory(MAIL), CountedPauses(stage.clock)
    written = "SELECT xmin::text FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"
    async with delivering(stage, exchange, holder=HOLDER, idle_backoff=idle_backoff):
        await has_begun(stage, exchange, scans=scans)
        before, last = await stage.sql.fetchval(written), len(idle_backoff.pauses)

        async def has_looked() -> bool:
            return len(idle_backoff.pauses) >= last + 3

        await eventually(has_looked, "some looks for changes")
        assert await stage.sql.fetchval(written) == before
    assert set(idle_backoff.pauses) == {0.02}


async def test_what_was_pruned_is_passed_over_and_logged(stage: Stage, log_lines: LogLines) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
    *_, last = [await made(stage, ["mail"]) for _ in range(3)]
    await stage.sql.execute("DELETE FROM taskmill.change_batch WHERE position < 3")
    async with delivering(stage, exchange, holder=HOLDER):
        await has_reached(stage, last[-1])
    assert exchange.batches == [last]
    [line] = log_lines.named("feed.skipped")
    assert (line["after"], line["until"], line["level"]) == ("0.0", "3.0", "error")
    assert log_lines.named("feed.handed_over") == []


async def test_if_all_was_pruned_it_begins_at_the_start(stage: Stage, log_lines: LogLines) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with delivering(stage, exchange, holder=HOLDER):
        await is_held(stage)
        await has_reached(stage, (await made(stage, ["mail"]))[-1])
    await stage.sql.execute("DELETE FROM taskmill.change_batch")
    async with delivering(stage, exchange, holder=HOLDER):
        await has_logged(log_lines, "feed.skipped")
    assert log_lines.named("feed.skipped")[0]["until"] == "0.0"


async def test_a_process_without_a_broker_leaves_the_lease_to_others(stage: Stage) -> None:
    exchange, other = ExchangeInMemory(MAIL), ExchangeInMemory(MAIL)
    exchange.link.trouble = "it is away"
    async with delivering(stage, exchange, holder=HOLDER):
        async with delivering(stage, other, holder=OTHER):
            await is_held(stage, OTHER)
            await has_reached(stage, (await made(stage, ["mail"]))[-1])
        exchange.link.trouble = None
        await is_held(stage)
    assert (len(exchange.published), len(other.published)) == (0, 1)


async def test_a_stop_without_a_database_leaves_the_lease_and_logs_it(
    stage: Stage, log_lines: LogLines
) -> None:
    exchange = ExchangeInMemory(MAIL)
    async with a_network(stage.url) as (network, url):
        database = RoleDatabase(url, SETTINGS)
        async with delivering(stage, exchange, database=database, holder=HOLDER):
            await is_held(stage)
            network.refuse(refuses=True)
            network.break_all()
        await database.close()
    assert (await facts(stage))[0] == HOLDER
    [line] = log_lines.named("feed.left_open")
    assert "the database" in line["error"]
