"""The live view: polls the service, follows failures, handles keys, and draws when something is new."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, assert_never

from taskmill.cli.top.frame import Picture, frame
from taskmill.cli.top.keys import Keys
from taskmill.cli.top.notices import Notice, notices
from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Failures, Snapshot, read
from taskmill.cli.top.rows import Board, board
from taskmill.cli.top.screen import Screen
from taskmill.cli.top.view import ChangeQueue, Effect, Quit, Reread, View
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.errors import ClientError, Unreachable
from taskmill.client.refusals import ChangesForgotten
from taskmill.domain.lifecycle import Status

__all__ = ["Live"]

_INTERRUPTED: Final = 130
_TERMINATED: Final = 143
_TIMEOUT_S: Final = 5.0
_ESCAPE_S: Final = 0.05
# Between two pictures, however much changes.
_MIN_INTERVAL_S: Final = 0.03
_FOLLOW_AGAIN_S: Final = 1.0


class Live:
    """The live view; the service may be away for a while."""

    def __init__(self, url: str, *, interval_s: float, view: View) -> None:
        self._url = url
        self._interval_s = interval_s
        self._view = view
        self._rates = Rates()
        self._failures = Failures()
        self._snapshot: Snapshot | None = None
        self._board = Board(queues=(), workers=(), failures=())
        self._notices: list[Notice] = []
        self._trouble: str | None = None
        self._keys = Keys()
        self._is_new = asyncio.Event()
        self._refresh_requested = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._exit_status = 0

    async def run(self, screen: Screen) -> int:
        """Show it until a key or a signal ends it; returns the exit status."""
        async with (
            AsyncTaskmillClient(self._url, retries=0, timeout_s=_TIMEOUT_S) as client,
            asyncio.TaskGroup() as group,
        ):
            tasks = [
                group.create_task(self._refresh_forever(client)),
                group.create_task(self._follow(client)),
                group.create_task(self._draw(screen)),
            ]

            def act(effect: Effect) -> None:
                match effect:
                    case Quit():
                        self._end(0)
                    case Reread():
                        self._refresh_requested.set()
                    case ChangeQueue():
                        tasks.append(group.create_task(self._change(client, effect)))
                    case None:
                        pass
                    case _:
                        assert_never(effect)
                self._is_new.set()

            async with self._listening(screen, act):
                await self._has_ended.wait()
            for task in tasks:
                task.cancel()
        return self._exit_status

    @asynccontextmanager
    async def _listening(
        self, screen: Screen, act: Callable[[Effect], None]
    ) -> AsyncIterator[None]:
        """Handle keys and signals."""
        loop = asyncio.get_running_loop()
        signals: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: lambda: self._end(_INTERRUPTED),
            signal.SIGTERM: lambda: self._end(_TERMINATED),
            signal.SIGWINCH: self._is_new.set,
            signal.SIGTSTP: lambda: self._suspend(screen),
        }
        for one, handler in signals.items():
            loop.add_signal_handler(one, handler)
        loop.add_reader(screen.keyboard, self._read_keys, screen, act)
        try:
            yield
        finally:
            loop.remove_reader(screen.keyboard)
            for one in signals:
                loop.remove_signal_handler(one)

    def _read_keys(self, screen: Screen, act: Callable[[Effect], None]) -> None:
        try:
            data = os.read(screen.keyboard, 1024)
        except OSError:
            data = b""
        if not data:  # the terminal has gone
            self._end(0)
            return
        for key in self._keys.add(data):
            act(self._view.press(key, self._board))
        if self._keys.is_waiting():
            asyncio.get_running_loop().call_later(_ESCAPE_S, self._give_up, act)

    def _give_up(self, act: Callable[[Effect], None]) -> None:
        for key in self._keys.give_up():
            act(self._view.press(key, self._board))

    def _suspend(self, screen: Screen) -> None:
        """Stop on Ctrl-Z; the shell has the terminal until it continues us."""
        screen.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        screen.enter()
        self._is_new.set()
        self._refresh_requested.set()

    def _end(self, exit_status: int) -> None:
        self._exit_status = exit_status
        self._has_ended.set()

    async def _refresh_forever(self, client: AsyncTaskmillClient) -> None:
        """Refresh every interval, but pause at least as long as a refresh took, to spare a slow service."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._refresh_requested.clear()
            if not self._view.is_frozen:
                await self._refresh(client)
            took = loop.time() - began if self._trouble is None else 0.0
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self._interval_s - took, took)):
                    await self._refresh_requested.wait()

    async def _refresh(self, client: AsyncTaskmillClient) -> None:
        view = self._view
        try:
            found = await read(client, self._failures, view.window, view.open_queue)
        except ClientError as error:
            self._trouble = _in_short(error)
        else:
            self._trouble = None
            self._show(found)
        self._is_new.set()

    def _show(self, found: Snapshot) -> None:
        self._snapshot = found
        self._rates.add(found.activity)
        self._board = board(found, self._rates)
        self._notices = notices(found, self._board)
        self._view.refresh(self._board)

    async def _follow(self, client: AsyncTaskmillClient) -> None:
        """Follow failures all the time; the next refresh shows them."""
        after: str | None = None
        while True:
            if after is None:
                self._failures.restart_feed()
            try:
                async for change in client.feed(after=after, status=Status.FAILED):
                    after = change.cursor
                    self._failures.add_change(change)
            except ChangesForgotten:
                after = None
            except ClientError:
                await asyncio.sleep(_FOLLOW_AGAIN_S)

    async def _change(self, client: AsyncTaskmillClient, change: ChangeQueue) -> None:
        call = client.pause_queue if change.pause else client.resume_queue
        try:
            changed = await call(change.name)
        except ClientError as error:
            self._view.message = _in_short(error)
        else:
            self._view.message = f"{changed.name} is {'paused' if changed.paused else 'open'}"
        self._refresh_requested.set()
        self._is_new.set()

    async def _draw(self, screen: Screen) -> None:
        while True:
            self._is_new.clear()
            width, height = size = screen.size()
            screen.paint(frame(self._picture(), width, height), size)
            await asyncio.sleep(_MIN_INTERVAL_S)
            await self._is_new.wait()

    def _picture(self) -> Picture:
        return Picture(
            url=self._url,
            interval_s=self._interval_s,
            view=self._view,
            rates=self._rates,
            board=self._board,
            snapshot=self._snapshot,
            notices=self._notices,
            trouble=self._trouble,
        )


def _in_short(error: ClientError) -> str:
    if isinstance(error, Unreachable):
        return f"no response: {error.reason}"
    return str(error).partition("\n")[0]
