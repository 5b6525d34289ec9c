"""What the client returns of `taskmill.wire.doctor`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from taskmill.client.view import View

if TYPE_CHECKING:
    from taskmill.domain.attention import Severity

IMPORTED_LATER = {"Severity": "taskmill.domain.attention"}


class UnseenView(View):
    """What could not be examined."""

    what: str
    reason: str
    command: str | None
    """what makes it visible, or shows it"""


class DiagnosisView(View):
    """Something that is wrong, or soon will be."""

    kind: str
    """what it is; kinds may be added. Those of notices are the same"""
    severity: Severity
    """trouble: something does not work; warning: soon something may not"""
    subject: str
    """what it is about; empty: the whole service"""
    sentence: str
    """it in words, which may change"""
    evidence: list[str]
    """what was found, a line for each fact"""
    command: str
    """
    what fixes it: for psql if it begins with a keyword of SQL, else for a shell. Read it first; words in
    capitals are to be replaced
    """
    counts: bool
    """false: somebody has acknowledged or silenced it"""


class DoctorReportView(View):
    """What is wrong with the service, the worst first."""

    at: datetime
    took_s: float
    """how long it took"""
    verdict: Literal["well", "warning", "trouble"]
    """well: nothing that counts was found"""
    version: str
    """of the program that examined it"""
    migration: str | None
    """the number of the newest migration that the database has"""
    needed_migration: str
    """the number that this program needs"""
    postgres: str | None
    """version of PostgreSQL; null: not known"""
    rabbitmq: str | None
    """version of RabbitMQ; null: none, or not known"""
    versions: dict[str, int]
    """how many live processes have which version"""
    diagnoses: list[DiagnosisView]
    """those that do not count are last"""
    unseen: list[UnseenView]
    """what could not be examined, and why"""
