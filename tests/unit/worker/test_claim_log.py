"""The lines of a claim in memory: what is counted, from several threads and in the midst of another line."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from taskmill.settings import DatabaseSettings, TaskLogSettings
from taskmill.storage.database import Database
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.task_log import _LINE_BYTES, _MOST_BYTES, TaskLog
from tests.support.clocks import ManualClock

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def a_task_log(limits: TaskLogSettings) -> TaskLog:
    """Return a log that takes lines; nothing stores them."""
    database = Database("postgresql://nowhere/none", DatabaseSettings())
    made = TaskLog(database, limits=limits, clock=ManualClock(NOON))
    made._is_open = made._is_notified = True
    return made


def seqs(log: TaskLog) -> list[int]:
    return [line.seq for line, _ in log._waiting]


def test_lines_from_many_threads_are_numbered_without_gaps() -> None:
    log = a_task_log(TaskLogSettings(claim_lines=500))
    claim = ClaimLog(log, UUID(int=1), 1)

    def write_lines() -> None:
        for n in range(100):
            claim.write(20, "said", {"n": n})

    threads = [threading.Thread(target=write_lines) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with claim:
        pass
    assert seqs(log) == list(range(1, 502))
    assert log._waiting[-1][0].message == "300 lines were left out"
    assert log._dropped == {"claim_full": 300}


class _LogsMore(ManualClock):
    """A clock that stands for the collector of garbage: it logs while a line is taken."""

    def __init__(self) -> None:
        super().__init__(NOON)
        self.claim: ClaimLog | None = None

    def now(self) -> datetime:
        claim, self.claim = self.claim, None
        if claim is not None:
            claim.take_record(logging.LogRecord("asyncio", 40, "", 1, "never retrieved", (), None))
        return super().now()


def test_a_line_in_the_midst_of_another_one_does_not_deadlock() -> None:
    log = a_task_log(TaskLogSettings())
    log.clock = clock = _LogsMore()
    claim = clock.claim = ClaimLog(log, UUID(int=1), 1)
    writer = threading.Thread(target=claim.write, args=(20, "said", {}), daemon=True)
    writer.start()
    writer.join(10)
    assert not writer.is_alive()
    assert {line.message for line, _ in log._waiting} == {"said", "never retrieved"}


def test_a_line_with_the_number_of_missing_lines_is_stored_once_there_is_room() -> None:
    log = a_task_log(TaskLogSettings(waiting_bytes=2 * (_LINE_BYTES + 10)))
    claim = ClaimLog(log, UUID(int=1), 1)
    with claim:
        for n in range(5):
            claim.write(20, f"line {n}", {})
        log._forget(2)
        claim.write(20, "after", {})
        assert [line.message for line, _ in log._waiting] == ["3 lines were left out"]
        log._forget(1)
        claim.write(20, "at last", {})
        assert [line.message for line, _ in log._waiting] == ["1 line was left out"]
        log._forget(1)
    assert [line.message for line, _ in log._waiting] == ["1 line was left out"]
    assert log._dropped == {"queue_full": 5}


def test_batches_are_bounded_but_a_large_line_goes_alone() -> None:
    log = a_task_log(TaskLogSettings(claim_bytes=10**9, message_chars=10**9, waiting_bytes=10**9))
    claim = ClaimLog(log, UUID(int=1), 1)
    for size in (2 * _MOST_BYTES, _MOST_BYTES // 2, _MOST_BYTES // 3, _MOST_BYTES // 3):
        claim.write(20, "x" * size, {})
    sizes = []
    while batch := log._next_batch():
        sizes.append(len(batch))
        log._forget(len(batch))
    assert sizes == [1, 2, 1]
    assert log._waiting_bytes == 0


def test_times_are_those_of_the_clock() -> None:
    log = a_task_log(TaskLogSettings())
    claim = ClaimLog(log, UUID(int=1), 1)
    claim.write(20, "first", {})
    assert isinstance(log.clock, ManualClock)
    log.clock.advance(timedelta(seconds=2))
    claim.write(20, "second", {})
    assert [line.at for line, _ in log._waiting] == [NOON, NOON + timedelta(seconds=2)]
