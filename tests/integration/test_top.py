"""`taskmill top` in a terminal, against a real API with real tasks."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest

from taskmill.app import Context
from taskmill.cli.main import run
from tests.support.api import Served, serving
from tests.support.cutting import a_cutter
from tests.support.polling import eventually, wait_until
from tests.support.stage import Stage
from tests.support.terminal import Terminal, environment_of_a_terminal
from tests.support.workers import a_worker, finished

COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8])[;m]")
CLOCK = re.compile(r"\d\d:\d\d:\d\d")
LEAVE = "\x1b[?1049l"


async def fail(_: Context) -> NoReturn:
    raise ValueError("no such customer\x1b[2J")


async def succeed(_: Context) -> None:
    return


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A service that has run a few tasks."""
    async with serving(stage.service) as served:
        async with a_worker(stage, {"fail": fail, "succeed": succeed}):
            for kind in ("succeed", "fail"):
                made = await stage.created(type=kind, name=f"first {kind} отчёт", queue="mail")
                await finished(stage, made.id)
        await stage.created(type="nobody", name="waits", queue="reports")
        yield served


def top(url: str, *arguments: str, **options: object) -> Terminal:
    return Terminal("top", "--url", url, "--interval", "0.2", *arguments, **options)  # type: ignore[arg-type]


async def test_it_shows_what_happens_as_it_happens(api: Served, stage: Stage) -> None:
    with top(api.url) as terminal:
        shown = await asyncio.to_thread(terminal.shows, "QUEUES 2", "first fail отч", "last 15m")
        assert len(shown) == 24
        assert "new 1  running 0  succeeded 1  failed 1" in shown[1]
        assert "No worker is alive, and 1 task waits." in shown[6]
        assert COLOUR.search(terminal.sent)
        assert "ValueError in tests.integration.test_top.fail" in "\n".join(shown)
        async with a_worker(stage, {"fail": fail}):
            made = await stage.created(type="fail", name="second 失敗", queue="billing")
            await asyncio.to_thread(
                terminal.shows, "QUEUES 3", "second 失敗", "failed 2", "worker "
            )
            terminal.type("\t\t\r")
            await asyncio.to_thread(
                terminal.shows, f"task      {made.id}", "ValueError", "no such customer\\x1b[2J"
            )
        terminal.resize(120, 40)
        await asyncio.to_thread(terminal.shows, f"task      {made.id}", "last 15m")
        terminal.type("\x1b")
        shown = await asyncio.to_thread(terminal.shows, "QUEUES 3", "NEW/S", "WAIT P50")
        assert len(shown) == 40
        terminal.type("q")
        assert await asyncio.to_thread(terminal.exit_status) == 0
        assert terminal.modes() == terminal.before
    assert LEAVE in terminal.sent[-50:]


async def test_a_queue_is_paused_and_resumed_after_a_yes(api: Served, stage: Stage) -> None:
    async def paused() -> list[str]:
        return [queue.name for queue in await stage.service.queues() if queue.paused_at]

    async def open_again() -> bool:
        return not await paused()

    with top(api.url, NO_COLOR="1") as terminal:
        await asyncio.to_thread(terminal.shows, "QUEUES 2", "reports")
        terminal.type("P")
        await asyncio.to_thread(terminal.shows, "pause reports? y/n")
        terminal.type("n")
        await asyncio.to_thread(terminal.shows, "nothing was changed")
        assert await paused() == []
        terminal.type("Py")
        await asyncio.to_thread(terminal.shows, "reports is paused", "Queue reports is paused")
        assert await paused() == ["reports"]
        terminal.type("Py")
        await asyncio.to_thread(terminal.shows, "reports is open")
        await eventually(open_again, "the queue is open again")
        assert not COLOUR.search(terminal.sent)


async def test_a_service_that_goes_away_is_shown_again_when_it_is_back(
    api: Served, stage: Stage
) -> None:
    async with a_cutter(api.url) as cutter:
        cutter.is_away = True
        with top(cutter.url) as terminal:
            await asyncio.to_thread(terminal.shows, "no response: the connection was lost")
            cutter.is_away = False
            shown = await asyncio.to_thread(terminal.shows, "QUEUES 2", "first fail")
            assert "no response" not in "\n".join(shown)
            cutter.is_away = True
            cutter.cut()
            await asyncio.to_thread(terminal.shows, "what is shown is old", "QUEUES 2")
            async with a_worker(stage, {"fail": fail}):
                await finished(stage, (await stage.created(type="fail", name="meanwhile")).id)
            cutter.is_away = False
            # The failure was not missed, though the feed was cut.
            shown = await asyncio.to_thread(terminal.shows, "meanwhile", "failed 2")
            await asyncio.to_thread(terminal.shows, "QUEUES 3")
            assert "no response" not in "\n".join(terminal.lines())


@pytest.mark.parametrize(
    ("key", "number", "status"), [("\x03", None, 130), ("", signal.SIGTERM, 143)]
)
async def test_it_follows_the_terminals_size_at_once_and_gives_it_back_in_the_end(
    api: Served, key: str, number: signal.Signals | None, status: int
) -> None:
    with top(api.url, "--interval", "60") as terminal:
        await asyncio.to_thread(terminal.shows, "QUEUES 2")
        assert terminal.modes() != terminal.before
        terminal.resize(120, 40)
        await asyncio.to_thread(terminal.shows, "QUEUES 2", "NEW/S")
        terminal.type(key)
        if number is not None:
            terminal.process.send_signal(number)
        assert await asyncio.to_thread(terminal.exit_status) == status
        assert terminal.modes() == terminal.before
    assert "Traceback" not in terminal.sent
    assert LEAVE in terminal.sent[-50:]


async def test_the_shell_has_the_terminal_while_it_is_suspended(api: Served) -> None:
    with top(api.url) as terminal:

        def is_stopped() -> bool:
            stat = Path(f"/proc/{terminal.process.pid}/stat").read_text()
            return stat.rpartition(") ")[2].startswith("T")

        await asyncio.to_thread(terminal.shows, "QUEUES 2")
        terminal.type("\x1a")
        await asyncio.to_thread(wait_until, is_stopped, "it is stopped")
        assert terminal.modes() == terminal.before
        assert LEAVE in terminal.sent
        written = len(terminal.sent)
        terminal.process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(terminal.shows, "QUEUES 2")

        async def is_drawn() -> bool:
            return "QUEUES" in terminal.sent[written:]

        await eventually(is_drawn, "it is drawn again")
        terminal.type("q")
        assert await asyncio.to_thread(terminal.exit_status) == 0


async def test_it_ends_with_its_terminal_even_where_that_sends_no_signal(api: Served) -> None:
    deaf = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program
        [
            sys.executable,
            "-c",
            f"{deaf}from taskmill.cli.main import main; main()",
            "top",
            "--url",
            api.url,
        ],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment_of_a_terminal(),
    )
    os.close(theirs)

    def read_and_hang_up() -> int:
        shown = b""
        while b"QUEUES" not in shown:
            shown += os.read(ours, 65536)
        os.close(ours)
        return process.wait(15)

    try:
        assert await asyncio.to_thread(read_and_hang_up) == 0
    finally:
        process.kill()


async def test_one_picture_has_rates_of_now(
    api: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    arguments = ["top", "--once", "--interval", "0.2", "--url", api.url]
    assert await asyncio.to_thread(run, arguments) == 0
    out = capsys.readouterr().out
    assert "last 15m, every 0.2 s" in out
    assert "ValueError in tests.integration.test_top.fail" in out


async def test_one_picture_is_whole_however_small_the_terminal_is(
    api: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "5")
    capsys.readouterr()
    arguments = ["top", "--once", "--interval", "0.2", "--url", api.url]
    assert await asyncio.to_thread(run, arguments) == 0
    out = capsys.readouterr().out
    # The service of this process may log into the same output.
    printed = out[out.index("taskmill top") :].splitlines()
    lines = [line for line in printed if not re.match(r"\d{4}-\d\d-\d\d ", line)]
    assert max(map(len, lines)) == 60
    assert {"QUEUES 2", "WORKERS 1", "FAILURES"} <= {re.split("  +", line)[0] for line in lines}


async def test_only_lines_that_change_are_written(api: Served) -> None:
    with top(api.url, width=200, height=50) as terminal:
        await asyncio.to_thread(terminal.shows, "QUEUES 2", "last 15m")
        written = len(terminal.sent)

        async def more() -> bool:
            return len(CLOCK.findall(terminal.sent[written:])) >= 3

        await eventually(more, "more pictures")
        _, *seconds, _ = CLOCK.split(terminal.sent[written:])
        assert max(map(len, seconds)) < 200 * 50 / 2
