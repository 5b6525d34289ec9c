"""The shape of the doctor's report."""

from typing import Literal

from pydantic import BaseModel, Field

from taskmill.domain.attention import Severity
from taskmill.domain.doctor import DoctorReport
from taskmill.wire.encoding import encode_json, fields_of
from taskmill.wire.fields import Timestamp


class DiagnosisView(BaseModel):
    """Something that is wrong, or soon will be."""

    kind: str = Field(description="what it is; kinds may be added. Those of notices are the same")
    severity: Severity = Field(
        description="trouble: something does not work; warning: soon something may not"
    )
    subject: str = Field(description="what it is about; empty: the whole service")
    sentence: str = Field(description="it in words, which may change")
    evidence: list[str] = Field(description="what was found, a line for each fact")
    command: str = Field(
        description="what fixes it: for psql if it begins with a keyword of SQL, else for a shell. Read it first; "
        "words in capitals are to be replaced"
    )
    counts: bool = Field(description="false: somebody has acknowledged or silenced it")


class UnseenView(BaseModel):
    """What could not be examined."""

    what: str
    reason: str
    command: str | None = Field(description="what makes it visible, or shows it")


class DoctorReportView(BaseModel):
    """What is wrong with the service, the worst first."""

    at: Timestamp
    took_s: float = Field(description="how long it took")
    verdict: Literal["well", "warning", "trouble"] = Field(
        description="well: nothing that counts was found"
    )
    version: str = Field(description="of the program that examined it")
    migration: str | None = Field(
        description="the number of the newest migration that the database has"
    )
    needed_migration: str = Field(description="the number that this program needs")
    postgres: str | None = Field(description="version of PostgreSQL; null: not known")
    rabbitmq: str | None = Field(description="version of RabbitMQ; null: none, or not known")
    versions: dict[str, int] = Field(description="how many live processes have which version")
    diagnoses: list[DiagnosisView] = Field(description="those that do not count are last")
    unseen: list[UnseenView] = Field(description="what could not be examined, and why")


def doctor_json(report: DoctorReport) -> bytes:
    """Return the report as a `DoctorReportView` in JSON."""
    return encode_json(
        fields_of(
            DoctorReportView,
            report,
            verdict=report.worst or "well",
            diagnoses=[fields_of(DiagnosisView, one) for one in report.diagnoses],
            unseen=[fields_of(UnseenView, one) for one in report.unseen],
        )
    )
