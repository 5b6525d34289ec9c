"""The widgets of the live view: lines of text, a table of rows, and a page that any key closes."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Key, Resize
from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from taskmill.cli.top.drawing import cell
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import Pane, Row
from taskmill.cli.top.tables import Table, table

_FEWEST = 3


class Lines(Widget):
    """Some lines of text, each cut at the end; only those that change are written to the terminal."""

    DEFAULT_CSS = "Lines { height: auto; }"

    _lines: Sequence[Text] = ()

    def show(self, lines: Sequence[Text]) -> None:
        """Replace the lines."""
        before, self._lines = self._lines, lines
        if len(before) != len(lines):
            self.refresh(layout=True)
            return
        for y, (old, new) in enumerate(zip(before, lines, strict=True)):
            if (old, old.style) != (new, new.style):
                self.refresh(Region(0, y, self.size.width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are."""
        del container, viewport, width
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Return one line as wide as the widget."""
        width = self.size.width
        line = Text.assemble(cell(self._lines[y] if y < len(self._lines) else "", width))
        return Strip(line.render(self.app.console), width).apply_style(self.rich_style)


class Rows(Lines, can_focus=True):
    """A table. The chosen row follows its row, unless it was never moved from the top."""

    # Of Textual's own tables, DataTable lays out each cell of each row at each refresh: 0.8 s for 1,000 rows.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,right", "app.switch(1)", "table"),
        Binding("shift+tab,left", "app.switch(-1)", show=False),
        Binding("up,k", "move(-1)", "choose", key_display="↑↓"),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1_000_000)", show=False),
        Binding("end", "move(1_000_000)", show=False),
        Binding("enter", "app.open", "details"),
    ]

    def __init__(self, pane: Pane) -> None:
        super().__init__(id=pane)
        self._snapshot: Snapshot | None = None
        self._table = Table(pane=pane, rows=(), position=0, has_keys=False)
        self._key: str | None = None

    @property
    def chosen(self) -> Row | None:
        """The chosen row."""
        return self._table.rows[self._table.position] if self._table.rows else None

    def update_rows(
        self, snapshot: Snapshot, rows: Sequence[Row], *, has_keys: bool, is_filtered: bool
    ) -> None:
        """Show these rows; the chosen one is the same as before, or the nearest one if it has gone."""
        keys = [row.key for row in rows]
        position = keys.index(self._key) if self._key in keys else self._table.position
        self._snapshot = snapshot
        self._table = Table(
            pane=self._table.pane,
            rows=rows,
            position=min(position, max(len(rows) - 1, 0)),
            has_keys=has_keys,
            is_filtered=is_filtered,
        )
        # Layout gives each table its share, a few lines at least, and none that it does not need.
        wanted = max(len(rows), 1) + 1
        self.styles.min_height, self.styles.max_height = min(wanted, _FEWEST), wanted
        self._draw()

    def action_move(self, by: int) -> None:
        """Go up or down, as far as there are rows."""
        rows = self._table.rows
        position = min(max(self._table.position + by, 0), max(len(rows) - 1, 0))
        self._key = rows[position].key if rows and position else None
        self._table = self._table._replace(position=position)
        self._draw()

    def action_page(self, by: int) -> None:
        """Go as many rows up or down as are visible."""
        self.action_move(by * max(self.size.height - 1, 1))

    def on_resize(self, _: Resize) -> None:
        """Show as many rows as there is room for."""
        self._draw()

    def _draw(self) -> None:
        if self._snapshot is not None:
            self.show(table(self._snapshot, self._table, self.size.width, self.size.height))


class Details(VerticalScroll):
    """What is known of one row, to scroll through."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,backspace", "app.close", "back"),
        Binding("up,k", "scroll_up", "scroll", key_display="↑↓"),
        Binding("j", "scroll_down", show=False),
    ]


class Filter(Input):
    """Asks for the text that rows must have in them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.close", show=False),
        Binding("tab,shift+tab", "submit", show=False),
    ]


class AnyKey(ModalScreen[bool]):
    """Lines that any key closes; returns whether it was one of `yes`."""

    def __init__(self, lines: Sequence[Text], yes: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines = lines
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Show the lines."""
        shown = Lines()
        shown.show(self._lines)
        yield shown

    def on_key(self, event: Key) -> None:
        """Close."""
        event.stop()
        self.dismiss(event.character is not None and event.character in self._yes)
