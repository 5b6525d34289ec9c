"""The doctor on a test's database, and what it finds beside what is wrong with every server of tests."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from taskmill.domain.doctor import Diagnosis, DoctorReport
from taskmill.operations.attention import AttentionReading
from taskmill.operations.audit import AuditLog
from taskmill.operations.broker import NO_BROKER
from taskmill.operations.doctor import Doctor
from taskmill.operations.figures import FiguresCache
from taskmill.settings import Settings
from taskmill.storage.database import Database
from tests.support.postgres import FAST_SETTINGS
from tests.support.stage import Stage

# Servers of tests are not durable, which the doctor says of each.
NOT_DURABLE = frozenset(f"{name} = off" for name, value in FAST_SETTINGS.items() if value == "off")


def settings_of(stage: Stage, **parts: Any) -> Settings:  # noqa: ANN401 - groups of settings
    """The settings of a process on a stage's database."""
    return Settings(database_url=SecretStr(stage.url), **parts)


def a_doctor(
    stage: Stage,
    *,
    database: Database | None = None,
    settings: Settings | None = None,
) -> Doctor:
    """Make a doctor that reads everything anew each time, with the login of processes unless one is given."""
    database = database or stage.database
    attention = AttentionReading(
        database,
        NO_BROKER,
        FiguresCache.of(database),
        AuditLog(database),
        max_age_s=0.0,
        slow_max_age_s=0.0,
    )
    return Doctor(database, attention, settings or settings_of(stage))


async def examined(stage: Stage, **options: Any) -> DoctorReport:  # noqa: ANN401 - as for `a_doctor`
    """Examine a stage."""
    return await a_doctor(stage, **options).examine()


def wrong(report: DoctorReport) -> Mapping[tuple[str, str], Diagnosis]:
    """Return the diagnoses by kind and subject, without those that all servers of tests have."""
    return {
        (one.kind, one.subject): one for one in report.diagnoses if one.subject not in NOT_DURABLE
    }
