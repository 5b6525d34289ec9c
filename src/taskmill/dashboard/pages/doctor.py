"""The doctor's page: what is wrong with the service itself, the evidence, and the command that fixes it.

Each time it is opened the service is examined; it does not follow changes, as an examination takes up to 2 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.notice_text import shown_notices
from taskmill.dashboard.texts import DEFAULT
from taskmill.dashboard.view import View
from taskmill.dashboard.wording import Words
from taskmill.domain.attention import Severity
from taskmill.domain.doctor import Diagnosis, DoctorReport

_SUMMARY_TTL_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDiagnosis:
    """A diagnosis, its sentence and the language of that: English for what the doctor has a rule itself."""

    diagnosis: Diagnosis
    sentence: str
    language: str

    @property
    def has_own_rule(self) -> bool:
        """Whether its kind has a name in the reader's language."""
        return self.diagnosis.notice is None


async def show_doctor(view: View) -> Response:
    """Examine the service, and show what was found."""
    report = await view.context.doctor.examine()
    return view.page(
        "doctor.html",
        title=view.t("doctor.title"),
        is_live=False,
        report=report,
        counts=_counts(report),
        rows=_shown(view.words, report.diagnoses),
    )


async def show_summary(view: View) -> Response:
    """Show how many findings there are, some seconds old at most, as a part of the page of the system."""
    doctor = view.context.doctor
    report = await view.context.examinations.get(None, doctor.examine, ttl_s=_SUMMARY_TTL_S)
    return view.fragment("doctor_summary.html", report=report, counts=_counts(report))


def _counts(report: DoctorReport) -> dict[Severity, int]:
    """Count the diagnoses that count, by severity, the worst first."""
    found = [one.severity for one in report.diagnoses if one.counts]
    return {one: found.count(one) for one in Severity if one in found}


def _shown(words: Words, diagnoses: Sequence[Diagnosis]) -> list[ShownDiagnosis]:
    return [_shown_one(words, one) for one in diagnoses]


def _shown_one(words: Words, one: Diagnosis) -> ShownDiagnosis:
    if one.notice is None:
        return ShownDiagnosis(diagnosis=one, sentence=one.sentence, language=DEFAULT)
    (shown,) = shown_notices(words, [one.notice])
    return ShownDiagnosis(diagnosis=one, sentence=shown.sentence, language=shown.language)


ROUTES = [
    ("GET", "/ui/system/doctor", show_doctor),
    ("GET", "/ui/system/doctor/summary", show_summary),
]
