"""How long the relay pauses, what it fills first, and where it starts to look, without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from taskmill.relay.release import Relay, _first_error
from taskmill.runtime.idle_backoff import IDLE_PAUSE_S, IdleBackoff
from taskmill.storage.bucket_scan import FirstWaiting
from taskmill.storage.claims import Bucket
from taskmill.storage.releases import HintQueue, Workers
from tests.support.attempts import no_database
from tests.support.clocks import ManualClock

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAIL: Final = Bucket(queue="mail", type="report", priority=4)
POST: Final = Bucket(queue="post", type="report", priority=4)


def a_relay(
    due: dict[Bucket, float] | None = None, *, workers: Workers | None = None, idle: bool = False
) -> Relay:
    """A relay that has just read everything, ten seconds after its start; `due` is in seconds from then."""
    clock = ManualClock(NOON)
    idle_backoff = IdleBackoff(clock)
    idle_backoff.set_notified(is_notified=idle)
    clock.advance(timedelta(seconds=10))
    relay = Relay(
        no_database(),
        broker_url="amqp://nowhere",
        clock=clock,
        hint_queues="classic",
        idle_backoff=idle_backoff,
    )
    relay._buckets_read_at = relay._workers_read_at = relay._starts_reset_at = clock.monotonic()
    relay._buckets = {bucket: clock.monotonic() + in_s for bucket, in_s in (due or {}).items()}
    relay._workers = workers or Workers([((), ("*",), 4)])
    return relay


@pytest.mark.parametrize(
    ("due", "idle", "pause_s"),
    [
        ({}, False, 0.2),
        ({}, True, IDLE_PAUSE_S),
        ({MAIL: 0.05}, False, 0.05),
        ({MAIL: 0.0001}, False, 0.001),
        ({MAIL: 1.5}, False, 0.2),
        ({MAIL: 1.5}, True, 1.5),
        ({MAIL: 30}, True, IDLE_PAUSE_S),
        # What is due and was not released waits for workers, or its hints are out.
        ({MAIL: 0}, True, 0.2),
        ({MAIL: -5}, True, 0.2),
        ({MAIL: -5, POST: 0.05}, True, 0.05),
        ({MAIL: -5, POST: 0.0001}, True, 0.001),
    ],
)
def test_a_pause_ends_when_the_next_task_is_due(
    due: dict[Bucket, float], *, idle: bool, pause_s: float
) -> None:
    assert a_relay(due, idle=idle)._until_next_due() == pytest.approx(pause_s)


def test_an_incomplete_scan_is_continued_soon() -> None:
    relay = a_relay({MAIL: 1.5}, idle=True)
    relay._scan.is_complete = False
    assert relay._until_next_due() == 0.2
    relay._scan.is_at_end = False
    assert relay._until_next_due() == 0.01


@pytest.mark.parametrize(("due", "pause_s"), [({}, 0.2), ({MAIL: 0.05}, 0.05), ({MAIL: 30}, 0.2)])
def test_while_others_are_due_that_no_worker_takes_pauses_are_short(
    due: dict[Bucket, float], pause_s: float
) -> None:
    relay = a_relay(due, idle=True)
    relay._scan.has_others_due = True
    assert relay._until_next_due() == pytest.approx(pause_s)


async def test_due_buckets_with_workers_are_released_the_most_urgent_first() -> None:
    urgent, later = replace(MAIL, priority=9), replace(MAIL, priority=5)
    nobodys = replace(MAIL, queue="x")
    relay = a_relay(
        {MAIL: 0, urgent: -1, later: 0.1, POST: -3, nobodys: -9},
        workers=Workers([(("mail", "post"), ("report",), 4)]),
    )
    found = await relay._due_hint_queues()
    assert found == {
        HintQueue(queue="mail", type="report"): [urgent, MAIL],
        HintQueue(queue="post", type="report"): [POST],
    }
    assert next(iter(found)).queue == "mail", "it has the most urgent one"


async def test_positions_are_forgotten_every_ten_seconds() -> None:
    relay = a_relay()
    relay._starts = {MAIL: NOON}
    relay._starts_reset_at -= 10
    await relay._due_hint_queues()
    assert relay._starts == {MAIL: NOON}
    relay._starts_reset_at -= 0.001
    await relay._due_hint_queues()
    assert (relay._starts, relay._starts_reset_at) == ({}, 10.0)


def test_a_task_that_is_due_before_those_already_seen_is_looked_for() -> None:
    relay = a_relay()
    relay._starts = {MAIL: NOON, POST: NOON}
    early, late = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
    relay._move_back(
        {
            MAIL: FirstWaiting(run_at=early, due_in_s=0),
            POST: FirstWaiting(run_at=late, due_in_s=0),
            replace(MAIL, priority=1): FirstWaiting(run_at=early, due_in_s=0),
        }
    )
    assert relay._starts == {MAIL: early - timedelta(seconds=1), POST: NOON}


@pytest.mark.parametrize(
    ("released_at", "is_busy"), [(float("-inf"), False), (9.6, True), (9.5, False)]
)
def test_a_relay_is_busy_for_half_a_second_after_a_release(
    released_at: float, *, is_busy: bool
) -> None:
    relay = a_relay()
    relay._released_at = released_at
    assert relay.is_busy is is_busy


def test_a_relay_that_is_woken_scans_at_once() -> None:
    relay = a_relay()
    relay.wake()
    assert (relay._woken.is_set(), relay._buckets_read_at) == (True, float("-inf"))


def test_of_several_errors_the_first_is_reported() -> None:
    inner = ExceptionGroup("two", [ValueError("first"), ValueError("second")])
    assert _first_error(ExceptionGroup("all", [inner, KeyError("third")])) == "first"
