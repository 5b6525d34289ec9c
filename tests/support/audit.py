"""The audit log as tests look at it."""

import asyncpg

from taskmill.domain.audit import AuditEntry, AuditFilter
from tests.support.polling import eventually
from tests.support.stage import Stage

EVERYTHING = AuditFilter()


async def entries(stage: Stage, wanted: AuditFilter = EVERYTHING) -> list[AuditEntry]:
    """Return the newest entries, the newest first."""
    return list(await stage.service.audit.page(wanted, before=None, limit=100))


async def ended_entry(stage: Stage) -> AuditEntry:
    """Return the only entry, once its outcome is known."""

    async def probe() -> list[AuditEntry]:
        return [entry for entry in await entries(stage) if entry.ended_at is not None]

    [entry] = await eventually(probe, "an outcome")
    assert await entries(stage) == [entry]
    return entry


async def written(sql: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Return all that is in the audit log, as text."""
    rows = await sql.fetch(
        "SELECT e::text AS row FROM taskmill.audit_entry AS e "
        "UNION ALL SELECT o::text FROM taskmill.audit_outcome AS o"
    )
    return "\n".join(row["row"] for row in rows)
