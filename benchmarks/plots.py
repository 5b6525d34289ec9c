"""Draws the results: a picture for comparisons, and for what changes over time.

matplotlib is only in the benchmarks' own lock.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Outcome, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

_WIDTH_IN = 9.0
_HEIGHT_A_BAR_IN = 0.36
_MARGINS_IN = 1.1
_OURS, _THEIRS = "#1f6feb", "#9aa4af"

Bar = tuple[str, float, tuple[float, float], bool]


def draw(outcomes: Sequence[Outcome], folder: Path, stem: str) -> list[Path]:
    """Write pictures named `STEM-SCENARIO….svg`; return their paths."""
    paths = []
    for outcome in outcomes:
        for unit, bars in _by_unit(outcome).items():
            kind = "rate" if unit.endswith("/s") else _named(unit)
            paths.append(folder / f"{stem}-{outcome.scenario}-{kind}.svg")
            _draw_bars(f"{outcome.scenario}, {unit}: {outcome.title}", bars, paths[-1])
        if outcome.series:
            paths.append(folder / f"{stem}-{outcome.scenario}-over-time.svg")
            _draw_series(outcome, paths[-1])
    return paths


def bars_of(figures: Sequence[Figure]) -> list[Bar]:
    """Return one bar for each measured side: label, median, (lowest, highest), whether it is ours.

    Several figures may compare the same rounds of Taskmill with different peers: those share a bar.
    """
    bars: dict[str, Bar] = {}
    for figure in figures:
        for label, rounds, is_ours in _sides(figure):
            value = figure.value if is_ours else figure.their_value or 0.0
            bars.setdefault(label, (label, value, (min(rounds), max(rounds)), is_ours))
    return list(bars.values())


def _sides(figure: Figure) -> Iterator[tuple[str, Sequence[float], bool]]:
    yield f"{figure.name}: Taskmill", figure.ours, True
    if figure.theirs:
        yield f"{figure.name}: {figure.against}", figure.theirs, False


def _named(unit: str) -> str:
    """Return a unit as a part of a file's name."""
    return unit.replace("%", "percent").replace(" ", "-").replace("/", "-")


def _by_unit(outcome: Outcome) -> dict[str, list[Bar]]:
    """Return the bars of a scenario by unit, for units with a comparison."""
    units = dict.fromkeys(figure.unit for figure in outcome.figures if figure.theirs)
    return {unit: bars_of([f for f in outcome.figures if f.unit == unit]) for unit in units}


def _draw_bars(title: str, bars: Sequence[Bar], path: Path) -> None:
    from matplotlib.figure import Figure as Picture  # noqa: PLC0415 - it takes a second to import

    picture = Picture(figsize=(_WIDTH_IN, _MARGINS_IN + _HEIGHT_A_BAR_IN * len(bars)))
    axes = picture.subplots()
    labels, values, ranges, ours = zip(*bars, strict=True)
    lower = [value - low for value, (low, _) in zip(values, ranges, strict=True)]
    upper = [high - value for value, (_, high) in zip(values, ranges, strict=True)]
    colors = [_OURS if is_ours else _THEIRS for is_ours in ours]
    axes.barh(labels, values, xerr=(lower, upper), color=colors, ecolor="#444", capsize=2)
    axes.bar_label(axes.containers[-1], fmt=shown, padding=4, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    _save(picture, path)


def _draw_series(outcome: Outcome, path: Path) -> None:
    from matplotlib.figure import Figure as Picture  # noqa: PLC0415 - see above

    rows = len(outcome.series)
    picture = Picture(figsize=(_WIDTH_IN, 0.8 + 1.8 * rows))
    for axes, series in zip(
        picture.subplots(rows, sharex=True, squeeze=False)[:, 0], outcome.series, strict=True
    ):
        axes.plot(series.at_s, series.values, color=_OURS, linewidth=1.2)
        axes.set_ylabel(f"{series.name}, {series.unit}", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("seconds", fontsize=8)
    picture.suptitle(f"{outcome.scenario}: {outcome.title}", fontsize=9)
    _save(picture, path)


def _save(picture: "Picture", path: Path) -> None:
    """Write it as text, for version control."""
    from matplotlib import rc_context  # noqa: PLC0415 - see above

    with rc_context({"svg.fonttype": "none"}):
        picture.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None})
