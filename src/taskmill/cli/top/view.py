"""What is shown of the board, and what keys change. It neither draws nor sends requests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias, TypeVar, assert_never

from taskmill.cli.top.keys import Key
from taskmill.cli.top.reading import Failure
from taskmill.cli.top.rows import Board, QueueRow, Row, WorkerRow
from taskmill.domain.activity import Window

__all__ = ["ChangeQueue", "Effect", "Mode", "Pane", "Quit", "Reread", "Selection", "View"]

T = TypeVar("T", QueueRow, WorkerRow, Failure)

_WINDOWS = (Window.MINUTES_5, Window.MINUTES_15, Window.HOUR, Window.HOURS_6)
_LONGEST_FILTER = 100


class Pane(StrEnum):
    """A table."""

    QUEUES = "queues"
    WORKERS = "workers"
    FAILURES = "failures"


class Mode(Enum):
    """What the keys do now."""

    TABLES = "tables"
    DETAILS = "details"
    HELP = "help"
    CONFIRM = "confirm"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Quit:
    """End the program."""


@dataclass(frozen=True, slots=True)
class Reread:
    """Refresh now."""


@dataclass(frozen=True, slots=True)
class ChangeQueue:
    """Pause or resume a queue."""

    name: str
    pause: bool


Effect: TypeAlias = Quit | Reread | ChangeQueue | None


@dataclass(slots=True)
class Selection:
    """The chosen row of a table: it follows its row, unless it was never moved from the top."""

    key: str | None = None
    position: int = 0

    def locate(self, rows: Sequence[Row]) -> int:
        """Return the chosen row's position among these, or the nearest one if it has gone."""
        keys = [row.key for row in rows]
        if self.key in keys:
            self.position = keys.index(self.key)
        self.position = min(self.position, max(len(rows) - 1, 0))
        return self.position

    def move(self, rows: Sequence[Row], by: int) -> None:
        """Go up or down, as far as there are rows."""
        position = min(max(self.locate(rows) + by, 0), max(len(rows) - 1, 0))
        self.position, self.key = position, rows[position].key if rows and position else None


@dataclass(slots=True)
class View:
    """What is shown: which table has the keys, which rows are chosen, which row is opened, and the like."""

    window: Window = Window.MINUTES_15
    pane: Pane = Pane.QUEUES
    mode: Mode = Mode.TABLES
    is_frozen: bool = False
    is_zoomed: bool = False
    filter: str = ""
    scroll: int = 0
    page: int = 10
    selections: Mapping[Pane, Selection] = field(
        default_factory=lambda: {pane: Selection() for pane in Pane}
    )
    opened: Row | None = None
    pending: ChangeQueue | None = None
    confirms_from: Mode = Mode.TABLES
    message: str = ""

    @property
    def open_queue(self) -> str | None:
        """The queue whose details are open."""
        is_open = self.mode is Mode.DETAILS or self.confirms_from is Mode.DETAILS
        return self.opened.name if is_open and isinstance(self.opened, QueueRow) else None

    def rows(self, board: Board, pane: Pane) -> Sequence[Row]:
        """Return the rows of a table that the filter admits."""
        match pane:
            case Pane.QUEUES:
                return self._admitted(board.queues)
            case Pane.WORKERS:
                return self._admitted(board.workers)
            case Pane.FAILURES:
                return self._admitted(board.failures)
            case _:
                assert_never(pane)

    def chosen(self, board: Board) -> Row | None:
        """Return the chosen row of the table that has the keys."""
        rows = self.rows(board, self.pane)
        return rows[self.selections[self.pane].locate(rows)] if rows else None

    def refresh(self, board: Board) -> None:
        """Update the opened row from the board; one that has gone stays as it was."""
        if self.opened is not None:
            key = self.opened.key
            every: list[Row] = [*board.queues, *board.workers, *board.failures]
            same = (row for row in every if row.key == key and type(row) is type(self.opened))
            self.opened = next(same, self.opened)

    def press(self, key: Key | str, board: Board) -> Effect:
        """Do what a key means; a string is a letter."""
        self.message = ""
        match self.mode:
            case Mode.FILTER:
                return self._edit(key)
            case Mode.CONFIRM:
                return self._confirm(key)
            case Mode.HELP:
                self.mode = Mode.TABLES
                return Quit() if key == "q" else None
            case Mode.DETAILS:
                return self._read_on(key, board)
            case Mode.TABLES:
                return self._walk(key, board)
            case _:
                assert_never(self.mode)

    def _admitted(self, rows: Sequence[T]) -> Sequence[T]:
        wanted = self.filter.casefold()
        return [row for row in rows if wanted in row.text.casefold()] if wanted else rows

    def _edit(self, key: Key | str) -> Effect:
        match key:
            case Key.ENTER:
                self.mode = Mode.TABLES
            case Key.ESCAPE:
                self.mode, self.filter = Mode.TABLES, ""
            case Key.BACKSPACE:
                self.filter = self.filter[:-1]
            case Key():
                pass
            case letter:
                self.filter = (self.filter + letter)[:_LONGEST_FILTER]
        return None

    def _confirm(self, key: Key | str) -> Effect:
        change, self.pending = self.pending, None
        self.mode, self.confirms_from = self.confirms_from, Mode.TABLES
        if key in ("y", "Y"):
            return change
        self.message = "nothing was changed"
        return None

    def _read_on(self, key: Key | str, board: Board) -> Effect:
        steps = {Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -self.page, Key.PAGE_DOWN: self.page}
        steps |= {Key.HOME: -1_000_000, Key.END: 1_000_000}
        if key in (Key.ESCAPE, Key.ENTER, Key.BACKSPACE):
            self.mode, self.opened = Mode.TABLES, None
        elif isinstance(key, Key):
            self.scroll = max(self.scroll + steps.get(key, 0), 0)
        else:
            return self._command(key, board)
        return None

    def _walk(self, key: Key | str, board: Board) -> Effect:
        rows, cursor = self.rows(board, self.pane), self.selections[self.pane]
        moves: Mapping[Key, int] = {
            Key.UP: -1,
            Key.DOWN: 1,
            Key.PAGE_UP: -self.page,
            Key.PAGE_DOWN: self.page,
            Key.HOME: -len(rows),
            Key.END: len(rows),
        }
        match key:
            case Key.TAB | Key.RIGHT:
                self._switch_pane(1)
            case Key.BACK_TAB | Key.LEFT:
                self._switch_pane(-1)
            case Key.ENTER:
                return self._open(board)
            case Key.ESCAPE:
                self.filter, self.is_zoomed = "", False
            case Key():
                cursor.move(rows, moves.get(key, 0))
            case letter:
                return self._command(letter, board)
        return None

    def _switch_pane(self, by: int) -> None:
        panes = list(Pane)
        self.pane = panes[(panes.index(self.pane) + by) % len(panes)]

    def _open(self, board: Board) -> Effect:
        self.opened, self.scroll = self.chosen(board), 0
        if self.opened is None:
            return None
        self.mode = Mode.DETAILS
        return Reread() if isinstance(self.opened, QueueRow) else None

    def _command(self, letter: str, board: Board) -> Effect:
        commands: Mapping[str, Callable[[Board], Effect]] = {
            "q": lambda _: Quit(),
            "p": self._freeze,
            "P": self._ask_change,
            "w": self._widen,
            "z": self._zoom,
            "/": self._begin_filter,
            "?": self._help,
            "j": lambda board: self.press(Key.DOWN, board),
            "k": lambda board: self.press(Key.UP, board),
            "r": lambda _: Reread(),
        }
        command = commands.get(letter)
        return command(board) if command else None

    def _freeze(self, _: Board) -> Effect:
        self.is_frozen = not self.is_frozen
        return None if self.is_frozen else Reread()

    def _ask_change(self, board: Board) -> Effect:
        """Ask for confirmation before a queue is paused or resumed."""
        row = self.opened if self.mode is Mode.DETAILS else self.chosen(board)
        if not isinstance(row, QueueRow):
            self.message = "choose a queue first: P pauses or resumes it"
            return None
        self.pending = ChangeQueue(row.name, pause=not row.is_paused)
        self.confirms_from, self.mode = self.mode, Mode.CONFIRM
        return None

    def _widen(self, _: Board) -> Effect:
        position = _WINDOWS.index(self.window) if self.window in _WINDOWS else -1
        self.window = _WINDOWS[(position + 1) % len(_WINDOWS)]
        return Reread()

    def _zoom(self, _: Board) -> Effect:
        self.is_zoomed = not self.is_zoomed
        return None

    def _begin_filter(self, _: Board) -> Effect:
        self.mode, self.opened = Mode.FILTER, None
        return None

    def _help(self, _: Board) -> Effect:
        self.mode, self.opened = Mode.HELP, None
        return None
