"""What `taskmill doctor` reports: diagnoses with evidence and what fixes them, and what could not be seen.

They are values; `doctor_rules` decides which there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from taskmill.domain.attention import Notice, Severity


class DiagnosisKind(StrEnum):
    """What the doctor has rules for itself. All others are kinds of notices, by the rules of attention."""

    DATABASE_AWAY = "database_away"
    SCHEMA = "schema"
    LOCK_WAIT = "lock_wait"
    CONNECTIONS = "connections"
    DISK = "disk"
    FILES = "files"
    BROKER_ALARM = "broker_alarm"
    BROKER_QUEUE = "broker_queue"
    ABANDONED_CLAIMS = "abandoned_claims"
    AUTOVACUUM_OFF = "autovacuum_off"
    DEAD_ROWS = "dead_rows"
    BLOAT = "bloat"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Something that is wrong, or soon will be.

    `kind` is a `DiagnosisKind` or a `NoticeKind`; with `subject`, which names what it is about, it stays the same
    as long as this lasts. `evidence` has a line for each fact, without secrets. `command` is what fixes it: for
    psql if it begins with a keyword of SQL, else for a shell. One that does not `counts` was acknowledged or
    silenced. `notice` is what it was made of; None where the doctor has a rule itself.
    """

    kind: str
    severity: Severity
    sentence: str
    command: str
    subject: str = ""
    evidence: Sequence[str] = ()
    counts: bool = True
    notice: Notice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """What could not be examined, why, and what makes it visible (None: nothing that a command does)."""

    what: str
    reason: str
    command: str | None = None


_NONE: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """All diagnoses of one moment, the worst first, and what could not be seen.

    `migration` is the number of the newest that the database has, `needed_migration` that of this program, whose
    version is `version`. `versions` counts the live processes by theirs. It took `took_s`.
    """

    at: datetime
    took_s: float
    version: str
    needed_migration: str
    migration: str | None = None
    postgres: str | None = None
    rabbitmq: str | None = None
    versions: Mapping[str, int] = field(default_factory=lambda: _NONE)
    diagnoses: Sequence[Diagnosis] = ()
    unseen: Sequence[Unseen] = ()

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst diagnosis that counts; None if there is none."""
        found = {one.severity for one in self.diagnoses if one.counts}
        return next((one for one in Severity if one in found), None)


def ordered(diagnoses: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return diagnoses, the worst first, each severity in the order in which they were found."""
    severities = tuple(Severity)
    return sorted(diagnoses, key=lambda one: (not one.counts, severities.index(one.severity)))
