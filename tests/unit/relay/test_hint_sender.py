"""When the relay scans for what is due, and for what; without a database or a broker."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import cast

import pytest

from taskmill.amqp.connection import BrokerLink
from taskmill.observability import metrics
from taskmill.relay import hinting
from taskmill.relay.hinting import HintSender
from taskmill.runtime.idle_backoff import IDLE_PAUSE_S, IdleBackoff
from taskmill.storage.bucket_scan import BucketScan, FirstWaiting
from taskmill.storage.capacity import Workers
from taskmill.storage.claims import Bucket
from taskmill.storage.database import Database
from taskmill.wire.hints import Hint
from tests.support.attempts import no_database
from tests.support.clocks import ManualClock
from tests.support.exchange_in_memory import LinkInMemory
from tests.support.histories import BEGIN

HINT = Hint(queue="mail", type="send")


class EmptyScan(BucketScan):
    """Finds nothing, and records for which types it was asked."""

    def __init__(self, *, is_at_end: bool = True, is_complete: bool = True) -> None:
        super().__init__()
        self.is_at_end = is_at_end
        self.is_complete = is_complete
        self.types: list[object] = []

    async def scan(
        self,
        database: Database,  # noqa: ARG002 - it reads nothing
        *,
        types: Collection[str] | None = None,
        queues: Collection[str] | None = None,
    ) -> dict[Bucket, FirstWaiting]:
        """Find nothing."""
        assert queues is None
        self.types.append(types)
        return {}


def a_sender(idle_backoff: IdleBackoff | None = None) -> tuple[HintSender, ManualClock]:
    """A sender that knows its workers, and has nobody to ask."""
    clock = ManualClock(BEGIN)
    sender = HintSender(
        no_database(),
        broker_url="amqp://nowhere.invalid",
        clock=clock,
        idle_backoff=idle_backoff or IdleBackoff(clock),
    )
    sender._workers_read_at = clock.monotonic()
    return sender, clock


def with_link(sender: HintSender, *, is_up: bool) -> None:
    link = LinkInMemory()
    link.trouble = None if is_up else "away"
    sender.link = cast("BrokerLink", link)


def test_it_wakes_when_the_process_does_and_when_the_broker_is_lost() -> None:
    idle_backoff = IdleBackoff(ManualClock(BEGIN))
    sender, _ = a_sender(idle_backoff)
    idle_backoff._end_idle()
    assert sender._woken.is_set()
    sender._woken.clear()
    sender.link._lost()
    assert sender._woken.is_set()
    assert sender.link.name == "relay"
    assert sender.link._opened == sender._opened


def test_before_it_runs_hints_count_as_failed() -> None:
    sender, _ = a_sender()
    failed = metrics.HINTS_FAILED._value.get()
    sender._send(HINT)
    assert metrics.HINTS_FAILED._value.get() == failed + 1


async def test_after_it_ran_hints_count_as_failed() -> None:
    sender, _ = a_sender()
    with_link(sender, is_up=False)
    stop = asyncio.Event()
    stop.set()
    await sender.run(stop)
    failed = metrics.HINTS_FAILED._value.get()
    sender._send(HINT)
    assert metrics.HINTS_FAILED._value.get() == failed + 1


@pytest.mark.parametrize(
    ("is_at_end", "is_complete", "expected_s"),
    [(False, False, 0), (False, True, 0), (True, False, 0.2), (True, True, IDLE_PAUSE_S)],
)
def test_an_idle_sender_scans_seldom_unless_a_scan_is_not_over(
    expected_s: float, *, is_at_end: bool, is_complete: bool
) -> None:
    idle_backoff = IdleBackoff(ManualClock(BEGIN))
    idle_backoff.set_notified(is_notified=True)
    idle_backoff._active_at = float("-inf")
    sender, _ = a_sender(idle_backoff)
    sender._scan = EmptyScan(is_at_end=is_at_end, is_complete=is_complete)
    assert sender._until_next_due() == expected_s


async def test_a_round_scans_for_what_workers_run_and_forgets_what_is_no_longer_due() -> None:
    sender, clock = a_sender()
    scan = sender._scan = EmptyScan()
    assert sender._workers.types == Workers(()).types
    sender._workers = Workers([(frozenset({"default"}), frozenset({"send"}), 1)])
    sender._schedule.note_sent((HINT.queue, HINT.type))
    clock.advance(timedelta(seconds=1))
    await sender._round()  # after a second its workers are still known well enough
    assert scan.types == [sender._workers.types]
    assert sender._schedule._sent_at == {}


class Pauses:
    """Records the pauses of a sender, and stops it after some."""

    def __init__(self, sender: HintSender, most: int) -> None:
        self.stop = asyncio.Event()
        self.made: list[tuple[bool, float]] = []
        self._sender = sender
        self._most = most

    async def pause(self, event: asyncio.Event, seconds: float) -> None:
        """Record whether the pause ends with a wake, and how long it is."""
        self.made.append((event is self._sender._woken, seconds))
        if len(self.made) == self._most:
            self.stop.set()


async def test_without_a_broker_it_scans_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender, _ = a_sender()
    with_link(sender, is_up=False)
    pauses = Pauses(sender, 1)
    monkeypatch.setattr(hinting, "pause", pauses.pause)
    await sender._send_until(pauses.stop)
    assert pauses.made == [(True, 0.2)]


async def test_after_a_round_it_pauses_four_times_as_long_and_then_until_something_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender, clock = a_sender()
    with_link(sender, is_up=True)
    pauses = Pauses(sender, 2)

    async def a_round() -> None:
        clock.advance(timedelta(seconds=0.03125))

    monkeypatch.setattr(hinting, "pause", pauses.pause)
    monkeypatch.setattr(sender, "_round", a_round)
    monkeypatch.setattr(sender, "_until_next_due", lambda: 0.5)
    await sender._send_until(pauses.stop)
    assert pauses.made == [(False, 0.125), (True, 0.375)]
