"""Renders the whole picture in the size of the terminal. It knows no terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from taskmill.cli import show
from taskmill.cli.top.details import details, help_lines
from taskmill.cli.top.drawing import beside, cell
from taskmill.cli.top.notices import Notice
from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import Board
from taskmill.cli.top.summary import notice_lines, summary
from taskmill.cli.top.tables import Table, table
from taskmill.cli.top.view import Mode, Pane, View

__all__ = ["Picture", "frame"]

_SHARES = {Pane.QUEUES: 5, Pane.WORKERS: 3, Pane.FAILURES: 4}
_FEWEST = 3
_ROOMY = 32
_NARROWEST, _LOWEST = 60, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn: no snapshot before the first response; `trouble` is why there is no newer one."""

    url: str
    interval_s: float
    view: View
    rates: Rates
    board: Board
    snapshot: Snapshot | None = None
    notices: Sequence[Notice] = ()
    trouble: str | None = None


def frame(picture: Picture, width: int, height: int) -> list[Text]:
    """Return exactly `height` lines of at most `width` columns."""
    if width < _NARROWEST or height < _LOWEST:
        lines = [Text(f"too small: at least {_NARROWEST}x{_LOWEST}")]
    else:
        top = [_title(picture, width), *_trouble(picture, width)]
        body = _body(picture, width, height - len(top) - 1)
        lines = [*top, *body]
        lines += [Text()] * (height - 1 - len(lines))
        lines = [*lines[: height - 1], _footer(picture.view, width)]
    lines += [Text()] * (height - len(lines))
    return [_cut(line, width) for line in lines[:height]]


def _cut(line: Text, width: int) -> Text:
    if line.cell_len > width:
        line = line.copy()
        line.truncate(width, overflow="ellipsis")
    return line


def _title(picture: Picture, width: int) -> Text:
    view, snapshot = picture.view, picture.snapshot
    left = Text.assemble(show.strong("taskmill top"), "  ", show.printable(picture.url))
    span = "last" if picture.rates.are_of_now else "rates over"
    parts = [f"{span} {view.window}, every {picture.interval_s:g} s"]
    if snapshot is not None:
        parts.append(f"{snapshot.at.astimezone():%H:%M:%S}")
    right = show.dim("  ".join(parts))
    if view.is_frozen:
        right = Text.assemble(("FROZEN (p goes on)", "reverse"), "  ", right)
    return beside(left, right, width)


def _trouble(picture: Picture, width: int) -> list[Text]:
    if picture.trouble is None:
        return []
    old = "" if picture.snapshot is None else "what is shown is old, "
    text = cell(f"{old}trying again: {picture.trouble}", width)
    text.stylize("bold red reverse")
    return [text]


def _body(picture: Picture, width: int, height: int) -> list[Text]:
    view, snapshot = picture.view, picture.snapshot
    if view.mode is Mode.HELP:
        return help_lines(width)
    if snapshot is None:
        waiting = "waiting for the first response" if picture.trouble is None else ""
        return [Text(), show.dim(waiting)]
    if view.opened is not None:
        lines = [Text(), *details(view.opened, snapshot, width)]
        view.page = max(height - 1, 1)
        view.scroll = min(view.scroll, max(len(lines) - height, 0))
        return lines[view.scroll : view.scroll + height]
    is_roomy = height >= _ROOMY
    lines = summary(snapshot, picture.rates, width)
    lines += notice_lines(picture.notices, width, 3 if is_roomy else 2)
    if is_roomy:
        lines.append(Text())
    return lines + _tables(picture, snapshot, width, height - len(lines), gap=int(is_roomy))


def _tables(
    picture: Picture, snapshot: Snapshot, width: int, height: int, *, gap: int
) -> list[Text]:
    view, board = picture.view, picture.board
    panes = [view.pane] if view.is_zoomed else list(Pane)
    rows = {pane: view.rows(board, pane) for pane in panes}
    wanted = {pane: max(len(rows[pane]), 1) + 1 for pane in panes}
    heights = allotted(wanted, height - gap * (len(panes) - 1))
    view.page = max(heights[view.pane] - 1, 1)
    lines: list[Text] = []
    for pane in panes:
        content = Table(
            pane=pane,
            rows=rows[pane],
            position=view.selections[pane].locate(rows[pane]),
            has_keys=pane is view.pane,
            is_filtered=bool(view.filter),
        )
        lines += [Text()] * (gap if lines else 0)
        lines += table(snapshot, content, width, heights[pane])
    return lines


def allotted(wanted: dict[Pane, int], height: int) -> dict[Pane, int]:
    """Allot lines to tables: a few to each, the remaining ones by weight, and none that a table does not need."""
    given = {pane: min(want, _FEWEST) for pane, want in wanted.items()}
    for _ in range(height - sum(given.values())):
        hungry = [pane for pane in wanted if given[pane] < wanted[pane]]
        if not hungry:
            break
        given[min(hungry, key=lambda pane: given[pane] / _SHARES[pane])] += 1
    return given


def _footer(view: View, width: int) -> Text:
    match view.mode:
        case Mode.CONFIRM if view.pending is not None:
            verb = "pause" if view.pending.pause else "resume"
            effect = (
                "its tasks wait then" if view.pending.pause else "its tasks are handed out then"
            )
            text = f"{verb} {view.pending.name}? y/n  {effect}"
            return cell(Text(text, style="bold yellow"), width)
        case Mode.FILTER:
            return cell(Text.assemble(show.strong("/"), show.printable(view.filter), "▏"), width)
        case Mode.DETAILS:
            hints = "Esc back  ↑↓ scroll  P pause or resume a queue  q quit"
        case Mode.HELP:
            hints = "any key: back  q quit"
        case _:
            hints = "q quit  Tab table  ↑↓ choose  Enter details  P pause  / filter  z zoom  ? help"
    left = show.dim(hints)
    if view.message or view.filter:
        message = show.warning(view.message or f"only {view.filter} (Esc: all)")
        return beside(message, left, width) if width > left.cell_len * 2 else cell(message, width)
    return cell(left, width)
