"""Audits of a test's database."""

from dataclasses import dataclass, field
from datetime import timedelta

from taskmill.domain.audit import Check, Finding
from taskmill.operations.verify import Audit, Extent, verify
from taskmill.storage.database import Database

KEEP_CHANGES = timedelta(days=7)


@dataclass(kw_only=True)
class AuditRecord:
    """What an audit reports while it runs."""

    findings: list[Finding] = field(default_factory=list)
    expected: int | None = None
    checked_tasks: int = 0

    def started(self, tasks: int | None) -> None:
        self.expected = tasks

    def checked(self, tasks: int) -> None:
        self.checked_tasks += tasks

    def found(self, finding: Finding) -> None:
        self.findings.append(finding)


async def audited(
    database: Database,
    record: AuditRecord | None = None,
    *,
    since: timedelta | None = None,
    timeout_s: float = 30,
) -> Audit:
    """Verify a database."""
    extent = Extent(since=since, timeout_s=timeout_s, keep_changes=KEEP_CHANGES)
    return await verify(database, extent, record or AuditRecord())


async def found_in(database: Database) -> dict[Check, int]:
    """How often each check finds something; fails if the audit skipped or aborted anything."""
    audit = await audited(database)
    assert (audit.unchecked, audit.broken_off) == ((), None)
    return dict(audit.counts)
