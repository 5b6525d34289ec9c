"""Shows outcomes as a table, and keeps them as JSON (every round) and Markdown (medians)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Outcome
from benchmarks.machine import Machine

_HEADINGS = ("scenario", "figure", "taskmill", "held against", "ratio", "target", "verdict")
_LEFT_COLUMNS = 2
_SMALL = 100
_TIMES = "×"  # noqa: RUF001 - the sign, not the letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of the benchmarks."""

    machine: Machine
    rounds: int
    outcomes: Sequence[Outcome]

    @property
    def is_good(self) -> bool:
        return all(outcome.is_good for outcome in self.outcomes)

    def table(self) -> str:
        """Return the table for a terminal."""
        rows = [_HEADINGS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if place < _LEFT_COLUMNS else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def troubles(self) -> list[str]:
        """Return a line for each scenario that could not be measured."""
        return [f"{o.scenario}: not measured: {o.trouble}" for o in self.outcomes if o.trouble]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both forms into `folder`, named by date and time; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = self.machine.measured_at[:16].replace(":", "").replace("T", "-")
        as_json, as_markdown = folder / f"{stem}.json", folder / f"{stem}.md"
        as_json.write_text(json.dumps(self._facts(), indent=2, ensure_ascii=False) + "\n")
        as_markdown.write_text(self._markdown())
        return as_json, as_markdown

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for outcome in self.outcomes:
            for figure in outcome.figures:
                yield (outcome.scenario, *_cells(figure))

    def _markdown(self) -> str:
        facts = [f"| {name} | {value} |" for name, value in self.machine.facts().items()]
        rows = [f"| {' | '.join(row)} |" for row in self._rows()]
        titles = [f"- `{outcome.scenario}`: {outcome.title}" for outcome in self.outcomes]
        return "\n".join(
            [
                f"# Measured on {self.machine.measured_at[:10]}",
                "",
                f"Medians of {self.rounds} interleaved rounds; ratios within each round.",
                "",
                f"| {' | '.join(_HEADINGS)} |",
                f"|{'---|' * _LEFT_COLUMNS}{'---:|' * (len(_HEADINGS) - _LEFT_COLUMNS)}",
                *rows,
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

    def _facts(self) -> dict[str, object]:
        return {
            "machine": self.machine.facts(),
            "rounds": self.rounds,
            "outcomes": [
                {
                    "scenario": outcome.scenario,
                    "title": outcome.title,
                    "trouble": outcome.trouble,
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
        "their_value": figure.their_value,
        "ratio": figure.ratio,
        "target": f"{target.bound} {target.value:g}" if target else None,
        "verdict": figure.verdict.name.lower(),
    }


def _cells(figure: Figure) -> tuple[str, ...]:
    theirs = figure.their_value
    return (
        figure.name,
        f"{_shown(figure.value)} {figure.unit}",
        "" if theirs is None else f"{_shown(theirs)} {figure.unit} ({figure.against})",
        "" if figure.ratio is None else f"{figure.ratio:.2f} {_TIMES}",
        _target_cell(figure),
        figure.verdict,
    )


def _target_cell(figure: Figure) -> str:
    if figure.target is None:
        return ""
    unit = _TIMES if figure.theirs else figure.unit
    return f"{figure.target.bound} {figure.target.value:g} {unit}"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= _SMALL else f"{value:.3g}"
