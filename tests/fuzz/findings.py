"""What a run of the fuzzer has sent, and what it has found; printed while it goes on."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

_EVIDENCE_CHARS = 3_000
_SHOWN_OF_A_KIND = 3
_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that must not happen. `what` is its kind, without details; `evidence` reproduces it."""

    part: str
    what: str
    evidence: str


@dataclass(slots=True)
class Tally:
    """The counts and findings of a run. `goals` says how many of each count there must be."""

    goals: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    results: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    deadline: float = float("inf")
    started: float = field(default_factory=perf_counter)
    _printed: float = 0.0

    def add(self, what: str, result: str) -> None:
        """Count one more of `what`, which had this result, and print progress now and then."""
        self.counts[what] += 1
        self.results.setdefault(what, Counter())[result] += 1
        if perf_counter() - self._printed > _EVERY_S:
            self._printed = perf_counter()
            self._print_progress()

    def report(self, part: str, what: str, evidence: str) -> None:
        """Record a finding; of each kind the first few are kept and printed, all are counted."""
        self.kinds[part, what] += 1
        if self.kinds[part, what] <= _SHOWN_OF_A_KIND:
            self.findings.append(Finding(part=part, what=what, evidence=evidence[:_EVIDENCE_CHARS]))
            say(f"FOUND  {part}: {what}")
            say(f"       {evidence[:_EVIDENCE_CHARS]}")

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return perf_counter() > self.deadline

    def check_goals(self) -> None:
        """Report the counts that did not reach their goals."""
        for what, goal in self.goals.items():
            if self.counts[what] < goal:
                done = self.counts[what]
                self.report(what, "fewer than wanted in the time", f"{done:,} of {goal:,}")

    def summary(self) -> list[str]:
        """Return the lines that end a run."""
        lines = [""]
        for what, count in self.counts.items():
            results = ", ".join(f"{k} {n:,}" for k, n in sorted(self.results[what].items()))
            lines.append(f"{what:<24} {count:>8,}   {results}")
        lines.append(
            f"{self.kinds.total()} findings of {len(self.kinds)} kinds in {self._age:.0f} s"
        )
        lines += [f"  {n:>6,} x {part}: {what}" for (part, what), n in self.kinds.most_common()]
        return lines

    @property
    def _age(self) -> float:
        return perf_counter() - self.started

    def _print_progress(self) -> None:
        parts = [f"{what} {self.counts[what]:,}/{goal:,}" for what, goal in self.goals.items()]
        say(f"{self._age:>5.0f} s  {'  '.join(parts)}  findings {self.kinds.total()}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
