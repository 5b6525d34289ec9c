"""Prints results: tables and colours for people, JSON for programs.

On a terminal, tables fit its width; into a pipe nothing is coloured, and only long free texts are cut. Text from
outside can't steer the terminal.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, runtime_checkable

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress

Cell: TypeAlias = str | Text

_STATUS_STYLES = {
    "new": "blue",
    "in_progress": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
}
# Wide enough that no line is ever wrapped in a pipe.
_PIPE_WIDTH = 100_000
# In a pipe, a longer free text is cut, and any other longer text moves only the rest of its own row.
_WIDEST_IN_PIPE = 60
# On a terminal, columns up to this width stay whole, as ids do.
_ID_WIDTH = 36
_GAP = 2
_SHORTEST_CUT = 12
_MOST_NAMES = 8
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


@runtime_checkable
class _Shown(Protocol):
    """What the service has shown."""

    def to_json(self) -> dict[str, Any]: ...


def forget_reader() -> None:
    """Let a process whose reader left (`| head`) end quietly, also when Python flushes what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Console(Console):
    """A console that reports a closed pipe as an exception."""

    def on_broken_pipe(self) -> None:
        """Raise; the default ends the process."""
        raise BrokenPipeError


def _console(*, to_stderr: bool = False) -> Console:
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    cut: str = "",
    dispensable: Sequence[str] = (),
    numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
    with_headings: bool = True,
) -> None:
    """Print rows in columns.

    On a narrow terminal, the `dispensable` columns are left out, the first ones first, then the column `cut` is
    shortened, and at last all that are wider than an id. The terminal wraps what still does not fit: half an id is
    useless. `numbers` are flush right. Into a pipe all goes whole but long `texts`, which nobody copies.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _write_piped(headings, cells, numbers=numbers, texts=texts, with_headings=with_headings)
        return
    widths = {
        heading: max(len(heading), *(row[at].cell_len for row in cells), 0)
        for at, heading in enumerate(headings)
    }
    console = _console()
    _fit(widths, console.width, cut, dispensable)
    console.width = max(console.width, _total(widths))
    grid = Table(
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        show_header=with_headings,
        header_style="bold",
    )
    for heading, width in widths.items():
        grid.add_column(heading, width=width, justify="right" if heading in numbers else "left")
    shown = [at for at, heading in enumerate(headings) if heading in widths]
    for row in cells:
        grid.add_row(*(row[at] for at in shown))
    with console.capture() as captured:
        console.print(grid, crop=False)
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _write_piped(
    headings: Sequence[str],
    cells: Sequence[Sequence[Text]],
    *,
    numbers: Sequence[str],
    texts: Sequence[str],
    with_headings: bool,
) -> None:
    """Write rows in columns of the least width: one very long name does not pad all rows."""
    for row in cells:
        for heading, cell in zip(headings, row, strict=True):
            if heading in texts:
                cell.truncate(_WIDEST_IN_PIPE)
    rows = [[Text(heading) for heading in headings], *cells]
    widths = [
        max(cell.cell_len for cell in column if cell.cell_len <= _WIDEST_IN_PIPE)
        for column in zip(*rows, strict=True)
    ]
    for row in rows if with_headings else cells:
        padded = (
            " " * (width - cell.cell_len) + cell.plain
            if heading in numbers
            else cell.plain + " " * (width - cell.cell_len)
            for heading, width, cell in zip(headings, widths, row, strict=True)
        )
        sys.stdout.write((" " * _GAP).join(padded).rstrip() + "\n")


def _fit(widths: dict[str, int], room: int, cut: str, dispensable: Sequence[str]) -> None:
    """Drop and shorten columns until they fit, as far as that goes."""
    for heading in dispensable:
        if _total(widths) - room > max(widths.get(cut, 0) - _SHORTEST_CUT, 0):
            del widths[heading]
    if cut in widths:
        shortest = min(widths[cut], max(_SHORTEST_CUT, len(cut)))
        widths[cut] = max(widths[cut] - max(_total(widths) - room, 0), shortest)
    for heading in sorted(widths, key=widths.__getitem__, reverse=True):
        if widths[heading] > _ID_WIDTH:
            widths[heading] = max(widths[heading] - max(_total(widths) - room, 0), _SHORTEST_CUT)


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _text(cell: Cell) -> Text:
    """Make a cell that is cut, never wrapped."""
    text = cell if isinstance(cell, Text) else Text(printable(cell))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def line(*cells: Cell) -> None:
    """Print one line on standard output."""
    text = Text("  ").join(c if isinstance(c, Text) else Text(printable(c)) for c in cells)
    text.rstrip()
    _console().print(text, soft_wrap=True)


def note(text: str) -> None:
    """Print a note for people on standard error, where it does not disturb pipes."""
    _console(to_stderr=True).print(Text(printable(text), style="dim"), soft_wrap=True)


def json_lines(values: Iterable[object]) -> None:
    """Print values, or what the service has shown, as JSON, one a line, always as UTF-8."""
    raw_lines(
        json_text(value.to_json() if isinstance(value, _Shown) else value) for value in values
    )


def raw_lines(lines: Iterable[str]) -> None:
    """Print lines of JSON as they are, always as UTF-8."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    for line in lines:
        sys.stdout.write(line + "\n")


def flush() -> None:
    """Flush standard output, for readers of a pipe."""
    sys.stdout.flush()


def progress_bar() -> "Progress":
    """Make a bar on standard error that goes when it ends; nothing elsewhere than on a terminal."""
    from rich.progress import MofNCompleteColumn, Progress  # noqa: PLC0415 - slow to import

    console = Console(file=sys.stderr)
    # Results go to standard output, even where both are one terminal: the bar makes room for them.
    return Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        disable=not console.is_terminal,
    )


class StatusLine:
    """A status line on a terminal that is replaced again and again; nothing elsewhere."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty() and sys.stdout.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._is_shown:
            cut = printable(text)[: max(get_terminal_size().columns - 1, 1)]
            sys.stderr.write(f"\r\x1b[2K{cut}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        self.show("")


def status(name: str, text: str | None = None) -> Text:
    """Colour a status, or what belongs to it."""
    return Text(printable(text or name), style=_STATUS_STYLES.get(name, ""))


def strong(text: str) -> Text:
    """Make a heading."""
    return Text(printable(text), style="bold")


def good(text: str) -> Text:
    """Colour what is fine."""
    return Text(printable(text), style="green")


def warning(text: str) -> Text:
    """Colour what needs attention."""
    return Text(printable(text), style="yellow")


def failure(text: str) -> Text:
    """Colour a failure."""
    return Text(printable(text), style="red")


def json_text(value: object) -> str:
    """Show a value as compact JSON."""
    return orjson.dumps(value, default=str).decode()


def few(names: Sequence[str]) -> str:
    """Show the first names of a list, on a pipe, too: `--json` has all of them."""
    more = len(names) - _MOST_NAMES
    shown = ",".join(names[:_MOST_NAMES])
    return f"{shown},+{more}" if more > 0 else shown


def labelled(label: str, *cells: Cell) -> tuple[Cell, ...]:
    """Return a line of an item's facts: what, then the fact."""
    return (dim(f"{label:<11}"), *cells)


def source(name: str) -> Text:
    """Dim what is only a default."""
    return Text(name, style="dim" if name == "default" else "cyan")


def dim(text: str) -> Text:
    """Make text step back."""
    return Text(printable(text), style="dim")


def printable(text: str) -> str:
    """Escape what could steer a terminal or break a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def fields(values: Mapping[str, object]) -> str:
    """Show what has a value as ``name=value``."""
    return "  ".join(
        f"{name}={value if isinstance(value, str) else json_text(value)}"
        for name, value in values.items()
        if value not in (None, "", [], {})
    )


def clock_time(moment: datetime) -> str:
    """Show a moment of today or another day in the local time zone."""
    local = moment.astimezone()
    text = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    return text if local.date() == _now().astimezone().date() else f"{local:%Y-%m-%d} {text}"


def age(moment: datetime) -> str:
    """Show how long ago a moment was, or how far ahead it is."""
    seconds = (_now() - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def elapsed(since: datetime) -> str:
    """Show how long ago a moment was, as a duration."""
    return duration(max((_now() - since).total_seconds(), 0))


def duration(seconds: float) -> str:
    """Show seconds in at most two units: ``0.02 s``, ``6.2 s``, ``3m 20s``, ``2d 4h``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    remaining = round(seconds)
    parts: list[str] = []
    for unit, size in (*_UNITS, ("s", 1)):
        count, remaining = divmod(remaining, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0"))


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a person compares with this machine's clock
