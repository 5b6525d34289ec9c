"""Verifies a test's database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from taskmill.domain.checks import Check, Finding
from taskmill.operations.verify import Extent, Verification, verify
from taskmill.storage.database import Database

KEEP_CHANGES = timedelta(days=7)


@dataclass(kw_only=True)
class VerificationRecord:
    """What a verification reports while it runs."""

    findings: list[Finding] = field(default_factory=list)
    expected: int | None = None
    checked_tasks: int = 0

    def started(self, tasks: int | None) -> None:
        self.expected = tasks

    def checked(self, tasks: int) -> None:
        self.checked_tasks += tasks

    def found(self, finding: Finding) -> None:
        self.findings.append(finding)


async def verification_of(
    database: Database,
    record: VerificationRecord | None = None,
    *,
    since: timedelta | None = None,
    as_of: datetime | None = None,
    timeout_s: float = 30,
) -> Verification:
    """Verify a database."""
    extent = Extent(since=since, timeout_s=timeout_s, keep_changes=KEEP_CHANGES, as_of=as_of)
    return await verify(database, extent, record or VerificationRecord())


async def found_in(database: Database) -> dict[Check, int]:
    """How often each check finds something; fails if the verification skipped or aborted anything."""
    verification = await verification_of(database)
    unfinished = (verification.unchecked, verification.broken_off)
    assert unfinished == ((), None), unfinished
    return dict(verification.counts)
