"""Draws single things: cells of a fixed width, columns that fit, bars, numbers. It knows no tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from taskmill.cli import show
from taskmill.cli.activity import latency
from taskmill.cli.show import Cell

GAP = 2
_BLOCKS = "▁▂▃▄▅▆▇█"
_FULL_NUMBERS_TO = 100_000
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. It gets `width`, and its `share` of the remaining room, up to `most`.

    If not all columns fit, those with the highest `rank` are left out first, those with 0 never.
    """

    heading: str
    width: int
    most: int = 0
    share: int = 1
    is_number: bool = False
    rank: int = 0


def fitted(columns: Sequence[Column], room: int) -> dict[str, int]:
    """Return the widths of the columns that are shown, by heading."""
    shown = list(columns)
    while _needed(shown) > room and (last := max(shown, key=lambda one: one.rank)).rank:
        shown.remove(last)
    remaining = max(room - _needed(shown), 0)
    widths = {one.heading: one.width for one in shown}
    growing = [one for one in shown if one.most > one.width]
    shares = sum(one.share for one in growing)
    for one in growing:
        more = min(remaining * one.share // shares, one.most - one.width)
        widths[one.heading] += more
        remaining, shares = remaining - more, shares - one.share
    return widths


def _needed(columns: Sequence[Column]) -> int:
    return sum(one.width for one in columns) + GAP * (len(columns) - 1)


def row(columns: Sequence[Column], widths: dict[str, int], cells: Sequence[Cell]) -> Text:
    """Put the cells of the columns that are shown side by side."""
    line = Text(" " * GAP).join(
        cell(value, widths[one.heading], is_number=one.is_number)
        for one, value in zip(columns, cells, strict=True)
        if one.heading in widths
    )
    line.no_wrap = True
    return line


def cell(value: Cell, width: int, *, is_number: bool = False) -> Text:
    """Return a cell of exactly this width; a longer text ends with an ellipsis."""
    text = value.copy() if isinstance(value, Text) else Text(show.printable(value))
    text.truncate(width, overflow="ellipsis")
    missing = max(width - text.cell_len, 0)
    if is_number:
        text.pad_left(missing)
    else:
        text.pad_right(missing)
    return text


def beside(left: Text, right: Text, width: int) -> Text:
    """Put one text at each end of a line; the left one is cut if need be."""
    room = max(width - right.cell_len - GAP, 0)
    return cell(Text.assemble(cell(left, room), " " * GAP, right), width)


def spark(values: Sequence[float | None], width: int) -> str:
    """Draw the latest values as bars, the highest one full: None is a blank, and any value above 0 is visible."""
    latest = list(values)[-max(width, 0) :] if width > 0 else []
    highest = max((value for value in latest if value is not None), default=0.0)
    return "".join(_block(value, highest) for value in latest)


def _block(value: float | None, highest: float) -> str:
    if not value or highest <= 0:
        return " " if value is None else _BLOCKS[0]
    steps = len(_BLOCKS) - 1
    return _BLOCKS[min(max(round(value / highest * steps), 1), steps)]


def bar(part: int, whole: int, width: int) -> Text:
    """Draw how much of a whole is used."""
    share = min(part / whole, 1.0) if whole > 0 else 0.0
    filled = max(round(share * width), 1 if part > 0 else 0)
    style = "yellow" if share >= 1 else "green"
    return Text.assemble(("█" * filled, style), ("░" * (width - filled), "dim"))


def count(number: int) -> Cell:
    """Show a number in at most six columns."""
    if not number:
        return show.dim("0")
    if number < _FULL_NUMBERS_TO:
        return f"{number:,}"
    size, unit = next(one for one in _UNITS if number >= one[0])
    return f"{_three_digits(number / size)}{unit}"


def per_second(rate: float) -> Cell:
    """Show a rate in at most six columns."""
    if not rate:
        return show.dim("0")
    if rate < 0.05:  # noqa: PLR2004 - what would be shown as nothing
        return "<0.1"
    return f"{rate:.1f}" if rate < 100 else count(round(rate))  # noqa: PLR2004 - three digits are enough


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"  # noqa: PLR2004 - what would be shown as 1e+03


def age(value: float) -> str:
    """Show how long ago something was, in whole seconds: fractions change too fast to read."""
    return f"{value:.0f} s" if value < 59.5 else show.duration(value)  # noqa: PLR2004 - a minute


def seconds(value: float | None) -> Cell:
    """Show a time."""
    return show.dim("-") if value is None else latency(value)
