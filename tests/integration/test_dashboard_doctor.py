"""The doctor's page: findings with evidence and commands, what could not be examined, and who may see it."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import pytest

from taskmill.domain.attention import Severity
from taskmill.domain.doctor import Diagnosis, DiagnosisKind, DoctorReport, Unseen
from taskmill.operations.doctor import Doctor
from taskmill.storage import processes
from taskmill.version import VERSION
from tests.support.api_keys import REQUIRED
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor

PAGE = "/ui/system/doctor"
SUMMARY = "/ui/system/doctor/summary"
RUSSIAN = {"accept-language": "ru"}

A_LOCK = Diagnosis(
    kind=DiagnosisKind.LOCK_WAIT,
    severity=Severity.TROUBLE,
    sentence="A session has waited for a lock for 41 s.",
    evidence=["session 7 <b>waits</b>"],
    command="SELECT pg_terminate_backend(4711)",
)
A_DISK = Diagnosis(
    kind=DiagnosisKind.DISK,
    severity=Severity.WARNING,
    sentence="The disk of the log file has 10 MiB left of 1,000.",
    command="du -xh --max-depth=2 /var",
)
NOT_SEEN = Unseen(
    what="snapshots of other logins' sessions",
    reason="this login may not see it",
    command="GRANT pg_read_all_stats TO somebody",
)


@dataclass
class Known:
    """A doctor who reports what is known, and counts how often it was asked."""

    diagnoses: list[Diagnosis] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    times: int = 0

    async def examine(self) -> DoctorReport:
        self.times += 1
        return DoctorReport(
            at=datetime(2026, 11, 30, 12, tzinfo=UTC),
            took_s=0.2,
            version=VERSION,
            needed_migration="0050",
            migration="0050",
            postgres="17.2",
            versions={VERSION: 3},
            diagnoses=self.diagnoses,
            unseen=self.unseen,
        )


async def page_of(stage: Stage, known: Known, path: str = PAGE, **headers: str) -> str:
    async with serving_pages(stage, doctor=cast("Doctor", known)) as pages:
        response = await pages.get(path, headers=headers)
    assert response.status_code == 200, response.text
    return response.text


async def test_each_finding_is_shown_with_its_severity_evidence_and_command(stage: Stage) -> None:
    html = await page_of(stage, Known([A_LOCK, A_DISK]))
    assert "1 trouble, 1 warning" in html
    first, second = re.findall(r'<li class="(?:trouble|warning)">.*?</div>', html, re.DOTALL)
    for words in (
        "Trouble</span>",
        A_LOCK.sentence,
        "session 7 &lt;b&gt;waits&lt;/b&gt;",
        A_LOCK.command,
    ):
        assert words in first
    assert "Warning</span>" in second
    assert A_DISK.command in second
    assert "Not examined" not in html


async def test_without_findings_the_page_says_so(stage: Stage) -> None:
    html = await page_of(stage, Known())
    assert "Nothing is wrong</span>" in html
    assert 'class="diagnoses"' not in html


async def test_checks_that_could_not_run_are_listed_with_the_reason_and_what_shows_them(
    stage: Stage,
) -> None:
    known = Known(unseen=[NOT_SEEN])
    html = await page_of(stage, known)
    assert "Nothing is wrong with what could be examined" in html
    for words in ("Not examined", NOT_SEEN.reason, "GRANT pg_read_all_stats TO somebody"):
        assert words in html
    assert "1 check could not run." in await page_of(stage, known, SUMMARY)


async def test_what_was_seen_to_is_shown_and_does_not_count(stage: Stage) -> None:
    await processes.report(
        stage.database,
        stage.ids(),
        name="host-1",
        version="1.0.0",
        roles=["relay"],
        clock_ahead_s=60.0,
        failing=[],
    )
    (notice,) = (
        one for one in (await stage.service.attention.read()).notices if one.kind == "clock_skew"
    )
    await stage.service.attention.mark(notice.id, "acknowledged", note="")  # type: ignore[arg-type]  # its value
    async with serving_pages(stage) as pages:
        html = (await pages.get(PAGE)).text
    assert re.search(r'<li class="marked">\s*<h3><span class="status new">.*?host-1', html)
    assert "chronyc makestep" in html


async def test_findings_that_are_notices_are_in_the_readers_language(stage: Stage) -> None:
    await processes.report(
        stage.database,
        stage.ids(),
        name="host-1",
        version="1.0.0",
        roles=["relay"],
        clock_ahead_s=60.0,
        failing=[],
    )
    async with serving_pages(stage) as pages:
        html = (await pages.get(PAGE, headers=RUSSIAN)).text
    assert "Часы машины процесса" in html
    assert "Настройки противоречат друг другу" in html  # servers of tests are not durable


@pytest.mark.parametrize("kind", DiagnosisKind)
async def test_each_kind_of_finding_has_a_name_in_both_languages(
    stage: Stage, kind: DiagnosisKind
) -> None:
    known = Known(
        [Diagnosis(kind=kind, severity=Severity.WARNING, sentence="So it is.", command="")]
    )
    english = await page_of(stage, known)
    russian = await page_of(stage, known, **RUSSIAN)
    names = [re.findall(r"</span> ([^<]+)</h3>", html)[0] for html in (english, russian)]
    assert names[0].isascii()
    assert not names[1].isascii()


async def test_each_look_examines_anew_and_summaries_share_one(stage: Stage) -> None:
    known = Known([A_DISK])
    async with serving_pages(stage, doctor=cast("Doctor", known)) as pages:
        for times in (1, 2):
            await pages.get(PAGE)
            assert known.times == times
        for _ in range(3):
            assert "1 warning" in (await pages.get(SUMMARY)).text
        assert known.times == 3
        # The page of the system waits for no examination.
        assert f'hx-get="{SUMMARY}"' in (await pages.get("/ui/system")).text
        assert known.times == 3


async def test_only_an_admin_may_examine_the_service(stage: Stage) -> None:
    async with serving_pages(stage, REQUIRED) as pages:
        operator = await visitor(pages, stage, "tasks:read", "tasks:operate", "metrics")
        admin = await visitor(pages, stage, "admin")
        for path in (PAGE, SUMMARY):
            assert (await pages.get(path, headers=operator)).status_code == 403
            assert (await pages.get(path, headers=admin)).status_code == 200
