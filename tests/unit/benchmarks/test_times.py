"""Times of the benchmarks: marks of many processes, statements that PostgreSQL logged, and timelines."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.load import LoadFailed
from benchmarks.peers.marks import Marks
from benchmarks.statement_times import Timed, statement_times
from benchmarks.timeline import begin_and_end, series

LOG = """\
2026-11-25 12:00:00.500 UTC [7] LOG:  duration: 9.000 ms  execute __asyncpg_stmt_1__: -- Purpose: claim tasks
\tSELECT 1
2026-11-25 12:00:01.000 UTC [7] LOG:  duration: 0.020 ms  bind __asyncpg_stmt_1__: -- Purpose: claim tasks
2026-11-25 12:00:01.250 UTC [7] LOG:  duration: 1.500 ms  execute __asyncpg_stmt_1__: -- Purpose: claim tasks
2026-11-25 12:00:01.300 UTC [7] LOG:  duration: 4.000 ms  execute __asyncpg_stmt_2__: -- Purpose: end claims
2026-11-25 12:00:02.000 UTC [7] LOG:  checkpoint starting: time
"""


async def test_marks_of_one_process_are_seen_by_another(tmp_path: Path) -> None:
    seen = Marks.make(tmp_path / "marks", 2)
    noting = Marks(tmp_path / "marks")
    noting.note(1)
    first, second = seen.times()
    assert first == 0
    assert second > 1_000_000_000
    with pytest.raises(TimeoutError):
        await seen.until_full(timeout_s=0.01)
    noting.note(0)
    assert all(await seen.until_full(timeout_s=10))


def test_only_executions_of_the_given_statement_are_read(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text(LOG)
    after_the_first = LOG.index("\tSELECT")
    at = datetime(2026, 11, 25, 12, 0, 1, 250_000, tzinfo=UTC).timestamp()
    read = statement_times(log, after_the_first, "-- Purpose: claim tasks")
    assert list(read) == [Timed(at=at, ms=1.5)]


def test_begin_and_end_are_the_first_and_the_last_tenth() -> None:
    times = [(0.5, 1.0), (5.0, 100.0), (9.5, 3.0)]
    assert begin_and_end(times, 10) == (1.0, 3.0)


def test_an_end_without_anything_is_no_measurement() -> None:
    with pytest.raises(LoadFailed):
        begin_and_end([(0.5, 1.0), (5.0, 1.0)], 10)


def test_a_series_has_a_value_for_each_nonempty_sixtieth_of_the_time() -> None:
    points = series("claims", [(0.1, 1.0), (0.9, 5.0), (30.5, 2.0)], 60)
    assert points.at_s == [0.5, 30.5]
    assert points.values == [5.0, 2.0]
