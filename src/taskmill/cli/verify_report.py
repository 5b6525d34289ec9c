"""Reports a verification: findings as they come, and at the end what they mean."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import Self

from taskmill.cli import show
from taskmill.domain.checks import CHECK_MEANINGS, Check, Finding
from taskmill.operations.verify import Verification


class Report(ABC):
    """Counts findings and shows the first `rows` of each kind; on a terminal it also shows progress."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._counts: Counter[Check] = Counter()
        self._progress = show.progress_bar()
        self._bar = self._progress.add_task("verifying", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, tasks: int | None) -> None:
        """Set the length of the bar."""
        self._progress.update(self._bar, total=tasks)

    def checked(self, tasks: int) -> None:
        """Move the bar."""
        self._progress.advance(self._bar, tasks)

    def found(self, finding: Finding) -> None:
        """Count a finding, and show it unless enough of its kind were shown."""
        self._counts[finding.check] += 1
        if self._counts[finding.check] > self._rows:
            return
        self._progress.stop()
        self._show(finding)
        self._progress.start()

    @abstractmethod
    def end(self, verification: Verification) -> None:
        """Show the outcome."""

    @abstractmethod
    def _show(self, finding: Finding) -> None: ...


class TextReport(Report):
    """For people."""

    def end(self, verification: Verification) -> None:
        """Explain each kind that was found, and sum up."""
        for check in Check:
            if count := verification.counts.get(check):
                self._explain(check, count)
        if verification.counts:
            show.line()
        if verification.broken_off is not None:
            show.line(show.failure(f"not verified to the end: {verification.broken_off}"))
        for what in verification.unchecked:
            show.line(show.warning(f"not checked: {what} (more time: --timeout)"))
        entries = "entry" if verification.entries == 1 else "entries"
        read = f"{verification.entries:,} {entries} of history"
        show.line(_outcome(verification), show.dim(read))

    def _show(self, finding: Finding) -> None:
        name = f"{finding.check:<20}"
        where = [str(finding.task_id)] if finding.task_id else []
        if finding.version is not None:
            where.append(f"version {finding.version}")
        if finding.subject is not None:
            where.append(finding.subject)
        show.line(
            show.warning(name) if finding.check.is_warning else show.failure(name),
            *where,
            f"expected {finding.expected}, found {finding.found}",
        )

    def _explain(self, check: Check, count: int) -> None:
        explanation = CHECK_MEANINGS[check]
        shown = f", {self._rows} shown" if count > self._rows else ""
        kind = "warning" if check.is_warning else "violation"
        counted = f"{count:,} {kind}{'' if count == 1 else 's'}{shown}"
        show.line()
        show.line(show.strong(check), counted)
        show.line(f"  {explanation.means}")
        show.line(show.dim(f"  {explanation.advice}"))


class JsonReport(Report):
    """For programs: one object a line for each finding shown, and one with the outcome."""

    def end(self, verification: Verification) -> None:
        """Print the outcome."""
        show.json_lines(
            [
                {
                    "violations": verification.violations,
                    "warnings": sum(verification.counts.values()) - verification.violations,
                    "tasks": verification.tasks,
                    "entries": verification.entries,
                    "unchecked": list(verification.unchecked),
                    "broken_off": verification.broken_off,
                    "checks": {check.value: verification.counts.get(check, 0) for check in Check},
                }
            ]
        )

    def _show(self, finding: Finding) -> None:
        show.json_lines(
            [
                {
                    "check": finding.check,
                    "is_warning": finding.check.is_warning,
                    "task_id": finding.task_id,
                    "version": finding.version,
                    "subject": finding.subject,
                    "expected": finding.expected,
                    "found": finding.found,
                }
            ]
        )


def _outcome(verification: Verification) -> show.Cell:
    checked = f"{verification.tasks:,} task{'' if verification.tasks == 1 else 's'}"
    if not verification.violations and verification.broken_off is not None:
        return show.warning(f"no violations in {checked}, as far as it came")
    if not verification.violations:
        return show.good(f"no violations in {checked}")
    kinds = sum(1 for check in verification.counts if not check.is_warning)
    several = "" if verification.violations == 1 else "s"
    of_kinds = f"of {kinds} kind{'' if kinds == 1 else 's'}"
    return show.failure(f"{verification.violations:,} violation{several} {of_kinds} in {checked}")
