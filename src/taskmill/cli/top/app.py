"""The live view: keeps the picture up to date, handles keys, and says what each widget shows."""

import asyncio
import select
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from io import TextIOWrapper
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.widgets import Footer, Label

from taskmill.cli import show
from taskmill.cli.top.details import details, help_lines
from taskmill.cli.top.picture import Picture
from taskmill.cli.top.rows import Pane, QueueRow, Row
from taskmill.cli.top.summary import Options, notice_lines, summary, title, trouble_line
from taskmill.cli.top.widgets import AnyKey, Details, Filter, Lines, Rows
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.errors import ClientError, Unreachable
from taskmill.domain.activity import Window
from taskmill.settings.client_key import client_key

_TIMEOUT_S: Final = 5.0
_ENDED_BY: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}
_WINDOWS: Final = (Window.MINUTES_5, Window.MINUTES_15, Window.HOUR, Window.HOURS_6)
_LONGEST_FILTER: Final = 100
_BY_LETTERS: Final = frozenset(
    ("end", "help", "change_queue", "filter", "zoom", "freeze", "widen", "reread")
)
_NARROWEST, _LOWEST, _ROOMY = 60, 12, 35


async def run(options: Options) -> int:
    """Show it until a key or a signal ends it; returns the exit status."""
    if isinstance(sys.stderr, TextIOWrapper):  # what its encoding lacks takes one column
        sys.stderr.reconfigure(errors="replace")
    loop = asyncio.get_running_loop()
    async with AsyncTaskmillClient(
        options.url, retries=0, timeout_s=_TIMEOUT_S, api_key=client_key(options.url)
    ) as client:
        app = Top(client, options)
        with suppress(NotImplementedError):  # on Windows
            for one, status in _ENDED_BY.items():
                loop.add_signal_handler(one, app.exit, status)
        # Without the mouse, the terminal's own way to select and copy text remains.
        return await app.run_async(mouse=False) or app.return_code or 0


class Top(App[int]):
    """The live view; the service may be away for a while."""

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROWEST, "-wide")]  # noqa: RUF012 - Textual's own kind of attribute
    VERTICAL_BREAKPOINTS = [(0, "-low"), (_LOWEST, "-high"), (_ROOMY, "-roomy")]  # noqa: RUF012 - the same
    CSS = """
    #small { display: none; }
    .-narrow #small, .-low #small { display: block; }
    .-narrow #all, .-low #all { display: none; }

    #trouble { text-style: reverse bold; color: ansi_red; }
    #notices { min-height: 2; }
    #queues { height: 5fr; }
    #workers { height: 3fr; }
    #failures { height: 4fr; }
    .-roomy #notices { min-height: 3; margin-bottom: 1; }
    .-roomy #queues, .-roomy #workers { margin-bottom: 1; }
    #details { scrollbar-size-vertical: 1; }
    #filter { dock: bottom; height: 1; }
    #help { background: $background; }
    #confirm Lines { dock: bottom; background: $background; }
    """
    # With priority, so that keys which are typed at once are handled one after another.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "end", "quit", priority=True),
        Binding("question_mark", "help", "help", key_display="?", priority=True),
        Binding("P", "change_queue", "pause", priority=True),
        Binding("slash", "filter", "filter", key_display="/", priority=True),
        Binding("z", "zoom", "zoom", priority=True),
        Binding("p", "freeze", show=False, priority=True),
        Binding("w", "widen", show=False, priority=True),
        Binding("r", "reread", show=False, priority=True),
        Binding("escape", "close", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]

    def __init__(self, client: AsyncTaskmillClient, options: Options) -> None:
        # The terminal's own colours; NO_COLOR is taken for greys unless that is said here.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.picture = Picture()
        self.options = options
        self.is_frozen = False
        self._client = client
        self._trouble: str | None = None
        self._opened: Row | None = None
        self._filter = ""
        self._is_typing = self._is_zoomed = False
        self._refresh_requested = asyncio.Event()
        self._title, self._alarm = Lines(id="title"), Lines(id="trouble")
        self._summary, self._notices = Lines(id="summary"), Lines(id="notices")
        self._rows = {pane: Rows(pane) for pane in Pane}
        self._current = self._rows[Pane.QUEUES]
        self._tables = Vertical(self._summary, self._notices, *self._rows.values())
        self._text = Lines()
        self._details = Details(self._text, id="details")
        self._input = Filter(max_length=_LONGEST_FILTER, compact=True)
        self._question = Horizontal(Label("/"), self._input, id="filter")
        self._footer = Footer(compact=True)

    def compose(self) -> ComposeResult:
        """Arrange the widgets from top to bottom."""
        yield Label(f"too small: at least {_NARROWEST}x{_LOWEST}", id="small")
        with Vertical(id="all"):
            yield self._title
            yield self._alarm
            yield self._tables
            yield self._details
            yield self._question
            yield self._footer

    def on_mount(self) -> None:
        """Begin to read."""
        # After Ctrl-Z the shell's lines are on the screen.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))
        self._arrange()
        self.run_worker(self._refresh_forever())
        self.run_worker(self.picture.follow(self._client))
        if sys.platform != "win32" and not self.is_headless:
            self.run_worker(self._end_with_the_terminal())

    def on_resize(self, _: Resize) -> None:
        """Draw in the new size."""
        self.draw()

    async def _end_with_the_terminal(self) -> None:
        """End when the terminal is gone: Textual would read its end again and again."""
        gone = select.poll()
        gone.register(sys.stdin, 0)  # its end is reported in any case
        while not gone.poll(0):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(1)
        self.exit(0)

    async def _refresh_forever(self) -> None:
        """Refresh every interval, but pause at least as long as a refresh took, to spare a slow service."""
        loop = asyncio.get_running_loop()
        interval_s = self.options.interval_s
        while True:
            began = loop.time()
            self._refresh_requested.clear()
            if not self.is_frozen:
                await self._refresh()
            took = loop.time() - began if self._trouble is None else 0.0
            with suppress(TimeoutError):
                async with asyncio.timeout(max(interval_s - took, took)):
                    await self._refresh_requested.wait()

    async def _refresh(self) -> None:
        queue = self._opened.name if isinstance(self._opened, QueueRow) else None
        try:
            await self.picture.read(self._client, self.options.window, queue)
        except ClientError as error:
            self._trouble = _in_short(error)
        else:
            self._trouble = None
        self.draw()

    def draw(self) -> None:
        """Show the picture as it is now."""
        picture, width = self.picture, self.size.width
        changes = [f"only {self._filter} (Esc: all)"] if self._filter else []
        changes += ["FROZEN (p goes on)"] if self.is_frozen else []
        self._title.show([title(self.options, picture, width, *changes)])
        self._alarm.show(trouble_line(picture, self._trouble))
        snapshot = picture.snapshot
        if snapshot is None:
            waiting = "" if self._trouble else "waiting for the first response"
            self._summary.show([Text(), show.dim(waiting)])
            return
        self._summary.show(summary(snapshot, picture.rates, width))
        height = 3 if self.size.height >= _ROOMY else 2
        self._notices.show(notice_lines(picture.notices, width, height))
        for pane, rows in self._rows.items():
            rows.update_rows(
                snapshot,
                picture.board.rows(pane, self._filter),
                has_keys=rows is self._current,
                is_filtered=bool(self._filter),
            )
        if self._opened is not None:
            self._opened = picture.board.current(self._opened)
            self._text.show([Text(), *details(self._opened, snapshot, width - 1)])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Return whether a key means this now: letters are typed into a filter, and answer a question."""
        del parameters
        is_asking = self._is_typing or len(self.screen_stack) > 1
        return not (is_asking and action in _BY_LETTERS)

    def _arrange(self) -> None:
        """Show what is in use, and give it the keys."""
        self._tables.display = self._opened is None
        self._details.display = self._opened is not None
        self._question.display = self._is_typing
        self._footer.display = not self._is_typing
        for rows in self._rows.values():
            rows.display = not self._is_zoomed or rows is self._current
        opened = self._current if self._opened is None else self._details
        self.screen.set_focus(self._input if self._is_typing else opened)
        self.draw()

    def action_switch(self, by: int) -> None:
        """Give another table the keys."""
        tables = list(self._rows.values())
        self._current = tables[(tables.index(self._current) + by) % len(tables)]
        self._arrange()

    def action_open(self) -> None:
        """Show the details of the chosen row."""
        self._opened = self._current.chosen
        self._details.scroll_home(animate=False)
        self._arrange()
        self._refresh_requested.set()

    def action_close(self) -> None:
        """Close what is open: the filter that is typed, the details, or else filter and zoom."""
        if self._opened is None:
            self._input.value = ""
            self._is_zoomed = self._is_zoomed and self._is_typing
        self._close()

    def _close(self) -> None:
        """Show the tables again."""
        self._opened, self._is_typing = None, False
        self._arrange()

    def action_filter(self) -> None:
        """Ask for a text that rows must have in them."""
        self._opened, self._is_typing = None, True
        self._arrange()

    def on_input_changed(self, event: Filter.Changed) -> None:
        """Show only rows with what is typed."""
        self._filter = event.value
        self.draw()

    def on_input_submitted(self, _: Filter.Submitted) -> None:
        """End typing, and keep the filter."""
        self._close()

    def action_zoom(self) -> None:
        """Show one table only, or all."""
        self._is_zoomed = not self._is_zoomed
        self._arrange()

    def action_help(self) -> None:
        """Explain the keys."""
        self._close()
        self.push_screen(AnyKey(help_lines(self.size.width), yes="q", id="help"), self._after_help)

    def _after_help(self, wants_to_quit: bool | None) -> None:  # noqa: FBT001 - Textual's call
        if wants_to_quit:
            self.exit(0)

    def action_freeze(self) -> None:
        """Stop refreshing, or go on."""
        self.is_frozen = not self.is_frozen
        self.draw()
        self._refresh_requested.set()

    def action_widen(self) -> None:
        """Look back further."""
        now = Window(self.options.window)
        position = _WINDOWS.index(now) if now in _WINDOWS else -1
        window = _WINDOWS[(position + 1) % len(_WINDOWS)]
        self.options = replace(self.options, window=window)
        self.draw()
        self._refresh_requested.set()

    def action_reread(self) -> None:
        """Refresh now."""
        self._refresh_requested.set()

    def action_end(self) -> None:
        """End the program."""
        self.exit(0)

    def action_interrupt(self) -> None:
        """End the program as the signal would."""
        self.exit(_ENDED_BY[signal.SIGINT])

    def action_change_queue(self) -> None:
        """Ask whether to pause a queue, or to resume it."""
        queue = self._opened or self._current.chosen
        if not isinstance(queue, QueueRow):
            self._report("choose a queue first: P pauses or resumes it")
            return
        verb, then = ("resume", "are handed out") if queue.is_paused else ("pause", "wait")
        question = Text(f"{verb} {queue.name}? y/n  its tasks {then} then", style="bold yellow")
        self.push_screen(
            AnyKey([question], yes="yY", id="confirm"), lambda yes: self._change(queue, yes=yes)
        )

    def _change(self, queue: QueueRow, *, yes: bool | None) -> None:
        if yes:
            self.run_worker(self._pause_or_resume(queue))
        else:
            self._report("nothing was changed")

    async def _pause_or_resume(self, queue: QueueRow) -> None:
        call = self._client.resume_queue if queue.is_paused else self._client.pause_queue
        try:
            changed = await call(queue.name)
        except ClientError as error:
            self._report(_in_short(error))
        else:
            self._report(f"{changed.name} is {'paused' if changed.paused else 'open'}")
        self._refresh_requested.set()

    def _report(self, text: str) -> None:
        self.notify(show.printable(text), markup=False)


def _in_short(error: ClientError) -> str:
    if isinstance(error, Unreachable):
        return f"no response: {error.reason}"
    return str(error).partition("\n")[0]
