"""How long PostgreSQL takes for one kind of statement over time, from a sample in its log.

Averages would hide the slowest ones, and a clock in the client would include the client.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

_LINE = re.compile(
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[\d+\] LOG:  duration: ([\d.]+) ms  execute [^:]*: (.*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One execution: when it had ended (Unix seconds), and how long it took."""

    at: float
    ms: float


async def sample_statements(
    connection: "asyncpg.Connection[asyncpg.Record]", *, share: float
) -> None:
    """Have the server log this share of the statements of new sessions of this database."""
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    for setting in (
        "log_min_duration_sample = 0",
        f"log_statement_sample_rate = {share}",
        "log_parameter_max_length = 0",
    ):
        await connection.execute(f"ALTER DATABASE {database} SET {setting}")


def statement_times(log: Path, offset: int, begin: str) -> Iterator[Timed]:
    """Yield the executions logged after `offset` of statements whose first line begins with `begin`."""
    wanted = begin.encode()
    with log.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            found = _LINE.match(line)
            if found and found[3].startswith(wanted):
                at = datetime.fromisoformat(found[1].decode()).replace(tzinfo=UTC)
                yield Timed(at=at.timestamp(), ms=float(found[2]))
