"""Goes through a page in a fresh folder, and reports where the output differs."""
# ruff: noqa: TID251 - a program of its own, with a stopwatch

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.request import urlopen

from tools.pages.blocks import Command, File, Interrupt, NotRun, Page, Step
from tools.pages.folder import ROOT, Ports, environment, fresh_folder
from tools.pages.matching import Ids, difference
from tools.pages.terminal import Running, Terminal

__all__ = ["Failure", "Report", "Site", "site"]

_COMMAND_S = 60
_TIMEOUT_S = 60
_FETCHING_S = 300  # the first start may fetch a RabbitMQ
_PAUSE_S = 0.1
_LAST_LINES = 40  # of the service, beside a failure
_READY = "process.ready"
# The processes of `up` are ready one after the other; this is its last line then.
_ALL_READY = "Ctrl-C stops it"
_WITHOUT_BROKER = re.compile(r"rabbitmq\.(absent|unusable|unfetched)")

Report: TypeAlias = Callable[[int | None, str], None]


class Failure(Exception):
    """The output differs from the page; the message begins with page and line."""


@dataclass(slots=True)
class Site:
    """What pages of one run share: the environment, and one service for those that need one, with its ports."""

    made: Path | None
    ports: Ports
    _stack: ExitStack
    _service: Running | None = None
    _data: Path = Path()

    def service(self) -> Path:
        """Return the data folder of the shared service, which is started on first use and complete on return.

        Each page waits for that: a machine that stood still for seconds loses its connections to the broker.
        """
        if self._service is None:
            folder = self._stack.enter_context(fresh_folder(self.made))
            terminal = Terminal(folder, environment(folder, self.ports, self.made))
            self._stack.callback(terminal.close)
            self._service = terminal.start("./taskmill up")
            self._data = folder / ".taskmill"
        service, url = self._service, self.ports.move("http://127.0.0.1:8000")
        if not _wait(
            lambda: not service.is_alive or _is_complete(service.printed(), url), _FETCHING_S
        ):
            raise Failure(f"./taskmill up is not complete:\n{service.printed()}")
        if not service.is_alive:
            raise Failure(f"./taskmill up has ended:\n{service.printed()}")
        return self._data

    def go_through(self, page: Page, report: Report) -> None:
        """Run the steps of a page.

        Raises:
            Failure: The output differs from the page.
        """
        with fresh_folder(self.made) as folder:
            ports = self.ports if page.needs_service else _ports_of([page])
            if page.needs_service:
                (folder / ".taskmill").symlink_to(self.service())
            terminal = Terminal(folder, environment(folder, ports, self.made))
            session = _Session(page=page, terminal=terminal, ports=ports, report=report)
            try:
                for step in page.steps:
                    session.do(step)
                if page.needs_service:
                    self._check_left(page)
            except Failure as failure:
                if page.needs_service and self._service:
                    last = self._service.printed().splitlines()[-_LAST_LINES:]
                    failure.add_note("\n".join(["The service printed last:", *last]))
                raise
            finally:
                troubles = terminal.close()
            if troubles:
                raise Failure(f"{page.path}: " + "\n".join(troubles))

    def _check_left(self, page: Page) -> None:
        """Raise `Failure` if schedules or paused queues are left: pages after this one would meet them, too."""
        schedules = [one["name"] for one in self._items("schedules")]
        paused = [one["name"] for one in self._items("queues") if one["paused"]]
        if schedules:
            names = ", ".join(schedules)
            raise Failure(f"{page.path}: its last block must delete schedules: {names}")
        if paused:
            raise Failure(f"{page.path}: its last block must resume queues: {', '.join(paused)}")

    def _items(self, path: str) -> list[dict[str, Any]]:
        url = self.ports.move(f"http://127.0.0.1:8000/{path}")
        with urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - our own service
            items: list[dict[str, Any]] = json.load(response)["items"]
        return items


def _is_complete(log: str, url: str) -> bool:
    """Whether a worker is ready, and the broker, if there is one."""
    if "worker.started" not in log:
        return False
    if _WITHOUT_BROKER.search(log):
        return True
    try:
        with urlopen(f"{url}/readyz", timeout=_TIMEOUT_S) as response:  # noqa: S310 - our own service
            parts = json.load(response)["parts"]
    except OSError:
        return False
    return bool(parts["broker"] == parts["intake"] == "ok")


def _ports_of(pages: Iterable[Page]) -> Ports:
    """Choose ports for all that these pages show."""
    steps = (step for page in pages for step in page.steps)
    return Ports(step.text for step in steps if isinstance(step, Command | File))


@contextmanager
def site(made: Path | None, pages: Iterable[Page]) -> Iterator[Site]:
    """Make what these pages share; leaving it stops the service.

    Raises:
        CalledProcessError: There is no environment, and `./taskmill` can't make it.
    """
    if made is None:  # now, because it may take long
        subprocess.run([ROOT / "taskmill", "--version"], check=True)  # noqa: S603 - our own program
    with ExitStack() as stack:
        # Pages are run in another folder. Not resolved: a Python that is a link knows its environment by the link.
        made = made.absolute() if made else None
        yield Site(made, _ports_of(page for page in pages if page.needs_service), stack)


@dataclass(slots=True, kw_only=True)
class _Session:
    page: Page
    terminal: Terminal
    ports: Ports
    report: Report
    ids: Ids = field(default_factory=Ids)

    def do(self, step: Step) -> None:
        match step:
            case NotRun():
                self.report(step.line, f"not run: {step.reason}")
            case File():
                self._save(step)
            case Interrupt():
                self._interrupt(step)
            case Command(is_background=True):
                self._start(step)
            case Command():
                self._run(step)

    def _real(self, text: str) -> str:
        return self.ports.move(self.ids.fill(text))

    def _save(self, step: File) -> None:
        self.report(step.line, f"{step.name} {'goes on' if step.appends else 'is saved'}")
        path = self.terminal.folder / step.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if step.appends else "w", encoding="utf-8") as file:
            file.write(self._real(step.text))

    def _interrupt(self, step: Interrupt) -> None:
        for one in self.terminal.running:
            if step.words in one.text:
                self.report(step.line, f"^C  ({one.text})")
                self.terminal.running.remove(one)
                if trouble := one.interrupt():
                    raise self._failure(step, trouble, one.printed())
                return
        raise self._failure(step, f"nothing runs that has {step.words!r} in it")

    def _start(self, step: Command) -> None:
        self.report(step.line, f"$ {step.text}")
        running = self.terminal.start(self._real(step.text))

        def is_there() -> bool:
            return self._is_ready(step, running) or not running.is_alive

        if _wait(is_there) and self._is_ready(step, running):
            return
        what = "it ended" if not running.is_alive else "its output differs from the page"
        raise self._failure(step, what, running.printed())

    def _is_ready(self, step: Command, running: Running) -> bool:
        printed = self.ports.move_back(running.printed())
        default = _READY if "taskmill" in step.text else ""
        if "taskmill up" in step.text and _ALL_READY not in printed:
            return False
        return (step.until or default) in printed and self._is_shown(step, printed)

    def _is_shown(self, step: Command, printed: str) -> bool:
        return step.expected is None or self.ids.fits(
            step.expected, printed, within=step.is_background, roughly=step.roughly
        )

    def _run(self, step: Command) -> None:
        self.report(step.line, f"$ {step.text}")
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            ended = self.terminal.run(self._real(step.text), _COMMAND_S)
            printed = self.ports.move_back(ended.printed)
            as_shown = self._is_shown(step, printed)
            if (as_shown and ended.status == step.status) or ended.status is None:
                break
            if not step.repeats or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_S)
        self.report(None, printed.rstrip())
        if ended.status is None:
            raise self._failure(step, f"it did not end within {_COMMAND_S} s", printed)
        if ended.status != step.status:
            raise self._failure(step, f"exit status {ended.status}, not {step.status}", printed)
        if not as_shown:
            raise self._failure(step, difference(step.expected or "", printed))

    def _failure(self, step: Step, what: str, printed: str = "") -> Failure:
        text = step.text if isinstance(step, Command) else ""
        return Failure(
            "\n".join(filter(None, [f"{self.page.path}:{step.line}: {text}", what, printed]))
        )


def _wait(condition: Callable[[], bool], timeout_s: float = _TIMEOUT_S) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True
