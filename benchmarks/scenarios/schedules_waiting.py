"""What 10,000 schedules cost that are not due: a `taskmill up` that has them against one that has none, in pairs.

With `--before` the other one is that revision. Give 20 rounds or more: one round says little.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks import load, stored_schedules
from benchmarks.checkouts import NOW, compared
from benchmarks.figures import Figure
from benchmarks.lab import Lab
from benchmarks.scenarios.pairs import Kind, drain_rate, figures, in_pairs, post_rate
from benchmarks.whole import Up
from taskmill.domain.schedules.spec import ScheduleSpec

TITLE = "a whole `taskmill up` with 10,000 schedules that are not due, and one without, in pairs of short rounds"

_SCHEDULES = 10_000
_CONNECTIONS = 32
_SECONDS = 2
_WITH, _WITHOUT = "10,000 schedules", "none"
_LEAD = timedelta(hours=3)


async def run(lab: Lab) -> list[Figure]:
    with compared(lab.before, lab.folder) as checkouts:
        folders = {_WITH: checkouts[NOW], _WITHOUT: checkouts[lab.before or NOW]}
        measured = await in_pairs(lab, _KINDS, folders, _prepare)
    return [
        figure for kind in _KINDS for figure in figures(kind, measured[kind.name], _WITH, _WITHOUT)
    ]


async def _prepare(ups: Mapping[str, Up]) -> None:
    await _store(ups[_WITH])


async def _store(up: Up) -> None:
    """Store daily schedules, with a tick every second from three hours on."""
    now = await up.connection.fetchval("SELECT clock_timestamp()")
    spec = ScheduleSpec(every=timedelta(days=1), starts_at=now + _LEAD)
    await stored_schedules.store(up.connection, _SCHEDULES, spec, next_at=now + _LEAD, apart_s=1.0)


async def _post_ms(up: Up, _: Path, *, field: str) -> float:
    url = str(up.program.url)
    measured = await load.post(url, connections=_CONNECTIONS, seconds=_SECONDS)
    found: float = getattr(measured, field)
    return found


_KINDS = (
    Kind(name="POST", unit="/s", measure=partial(post_rate, connections=_CONNECTIONS)),
    Kind(name="POST, p50", unit="ms", measure=partial(_post_ms, field="p50_ms"), is_rate=False),
    Kind(name="POST, p99", unit="ms", measure=partial(_post_ms, field="p99_ms"), is_rate=False),
    Kind(name="created in bulk and drained", unit="tasks/s", measure=drain_rate),
)
