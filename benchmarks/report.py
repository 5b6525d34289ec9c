"""Shows outcomes as a table with targets, and writes them as JSON (every round) and Markdown (medians)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.figures import Figure, Outcome, shown
from benchmarks.machine import Machine

_HEADINGS = ("scenario", "figure", "taskmill", "compared with", "ratio", "target", "verdict")
_LEFT_COLUMNS = 2
_LEAST_SPREAD = 0.005
_TIMES = "×"  # noqa: RUF001 - the sign, not the letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of the benchmarks."""

    machine: Machine
    scale: str
    rounds: int
    outcomes: Sequence[Outcome]

    @property
    def is_valid(self) -> bool:
        """Whether all scenarios were measured."""
        return all(outcome.is_measured for outcome in self.outcomes)

    @property
    def missed(self) -> list[str]:
        """The figures that missed their targets."""
        return [
            f"{outcome.scenario}: {figure.name}" + (figure.against and f" against {figure.against}")
            for outcome in self.outcomes
            for figure in outcome.missed
        ]

    @property
    def verdict(self) -> str:
        """Return the verdict on the whole run, in a line."""
        if not self.is_valid:
            return "NOT VALID: not everything could be measured"
        if self.missed:
            return f"everything was measured; MISSED: {'; '.join(self.missed)}"
        return "everything was measured, and every target was met"

    def exit_status(self, *, is_strict: bool) -> int:
        """Return 1 when something could not be measured; when strict, 2 when a target was missed."""
        if not self.is_valid:
            return 1
        return 2 if is_strict and self.missed else 0

    def table(self) -> str:
        """Return the table for a terminal."""
        rows = [_HEADINGS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if index < _LEFT_COLUMNS else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def troubles(self) -> list[str]:
        """Return a line for each scenario that could not be measured."""
        return [f"{o.scenario}: not measured: {o.trouble}" for o in self.outcomes if o.trouble]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both forms into `folder`, named by date and time; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        as_json, as_markdown = (folder / f"{self.stem}.{kind}" for kind in ("json", "md"))
        as_json.write_text(json.dumps(self.facts(), indent=2, ensure_ascii=False) + "\n")
        pictures = [picture.name for picture in plots.draw(self.outcomes, folder, self.stem)]
        as_markdown.write_text(self._markdown(pictures))
        return as_json, as_markdown

    @property
    def stem(self) -> str:
        return self.machine.measured_at[:16].replace(":", "").replace("T", "-")

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for outcome in self.outcomes:
            for figure in outcome.figures:
                yield (outcome.scenario, *_cells(figure))

    def _markdown(self, pictures: Sequence[str]) -> str:
        facts = [f"| {name} | {value} |" for name, value in self.machine.facts().items()]
        rows = [f"| {' | '.join(row)} |" for row in self._rows()]
        titles = [f"- `{outcome.scenario}`: {outcome.title}" for outcome in self.outcomes]
        return "\n".join(
            [
                f"# Measured on {self.machine.measured_at[:10]}",
                "",
                f"A {self.scale} run: medians of {self.rounds} interleaved rounds; ± is half of what lies between",
                "the lowest and the highest of them. A ratio is the median of the rounds' own ratios.",
                "",
                f"| {' | '.join(_HEADINGS)} |",
                f"|{'---|' * _LEFT_COLUMNS}{'---:|' * (len(_HEADINGS) - _LEFT_COLUMNS)}",
                *rows,
                "",
                *(f"![{name}]({name})" for name in pictures),
                "",
                *titles,
                *(f"- {line}" for line in self.troubles()),
                "",
                "| machine | |",
                "|---|---|",
                *facts,
                "",
            ]
        )

    def facts(self) -> dict[str, Any]:
        return {
            "machine": self.machine.facts(),
            "scale": self.scale,
            "rounds": self.rounds,
            "outcomes": [
                {
                    "scenario": outcome.scenario,
                    "title": outcome.title,
                    "seconds": round(outcome.seconds, 1),
                    "trouble": outcome.trouble,
                    "series": [asdict(series) for series in outcome.series],
                    "figures": [_figure_facts(figure) for figure in outcome.figures],
                }
                for outcome in self.outcomes
            ],
        }


def _figure_facts(figure: Figure) -> dict[str, object]:
    target = figure.target
    return {
        "name": figure.name,
        "unit": figure.unit,
        "ours": list(figure.ours),
        "against": figure.against or None,
        "theirs": list(figure.theirs),
        "value": figure.value,
        "spread": figure.spread,
        "their_value": figure.their_value,
        "their_spread": figure.their_spread,
        "ratio": figure.ratio,
        "ratios": figure.ratios,
        "target": f"{target.bound} {target.value:g}" if target else None,
        "verdict": figure.verdict.name.lower(),
    }


def _cells(figure: Figure) -> tuple[str, ...]:
    theirs, their_spread = figure.their_value, figure.their_spread
    return (
        figure.name,
        _measured(figure.value, figure.spread, figure.unit),
        ""
        if theirs is None
        else f"{_measured(theirs, their_spread or 0, figure.unit)} ({figure.against})",
        "" if figure.ratio is None else f"{figure.ratio:.2f} {_TIMES}",
        _target_cell(figure),
        figure.verdict,
    )


def _measured(value: float, spread: float, unit: str) -> str:
    text = f"{shown(value)} {unit}"
    return f"{text} ±{spread:.0%}" if spread >= _LEAST_SPREAD else text


def _target_cell(figure: Figure) -> str:
    if figure.target is None:
        return ""
    unit = _TIMES if figure.theirs else figure.unit
    return f"{figure.target.bound} {figure.target.value:g} {unit}"
