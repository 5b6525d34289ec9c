"""Handlers in processes of their own: what passes between, and how they end."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from taskmill.app import Context
from taskmill.domain.lifecycle import Failed, Outcome, Permanent, Retry, Succeeded
from taskmill.observability import capture
from taskmill.worker.isolation.pool import IsolatedProcesses
from tests.support.contexts import TestRuntime, a_context
from tests.support.polling import eventually

APP = "tests.integration.isolated_app:app"


@asynccontextmanager
async def a_pool(app: str = APP, stop_timeout_s: float = 20.0) -> AsyncIterator[IsolatedProcesses]:
    processes, stop = (
        IsolatedProcesses(app, result_bytes=100_000, stop_timeout_s=stop_timeout_s),
        asyncio.Event(),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(processes.run(stop))
        yield processes
        stop.set()


def an_attempt(kind: str, runtime: TestRuntime | None = None, **payload: Any) -> Context:  # noqa: ANN401 - any payload
    context = a_context(payload, runtime=runtime)
    return replace(context, task=replace(context.task, type=kind))


async def outcome(processes: IsolatedProcesses, kind: str, **payload: Any) -> Outcome:  # noqa: ANN401 - any payload
    return (await processes.call(an_attempt(kind, **payload))).outcome


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the second when it ends while it is read
        return False
    return state != "Z"


async def gone(pid: int) -> None:
    async def probe() -> bool:
        return not is_alive(pid)

    await eventually(probe, "the end of a process")


async def test_results_come_back_and_a_process_is_used_again() -> None:
    async with a_pool() as processes:
        first, second = [await outcome(processes, "doubles", n=n) for n in (1, 2)]
        assert isinstance(first, Succeeded)
        assert isinstance(second, Succeeded)
        results = [orjson.loads(one.result or "") for one in (first, second)]
        assert [result["doubled"] for result in results] == [2, 4]
        assert results[0]["pid"] == results[1]["pid"] != os.getpid()
        assert await outcome(processes, "doubles_later", n=4) == Succeeded(result="8")
    await gone(results[0]["pid"])


@pytest.mark.parametrize(
    ("how", "outcome_type", "kind", "words"),
    [
        ("later", Retry, "RetryLater", "not now"),
        ("for good", Permanent, "PermanentFailure", "never"),
        ("exit", Failed, "SystemExit", "3"),
        ("killed", Failed, "ProcessDied", "its process was ended by SIGSEGV"),
        ("quits", Failed, "ProcessDied", "its process ended with exit status 4"),
        ("otherwise", Failed, "ValueError", "otherwise"),
    ],
)
async def test_failures_come_back_and_the_next_attempt_runs(
    how: str, outcome_type: type, kind: str, words: str
) -> None:
    async with a_pool() as processes:
        ended = await outcome(processes, "fails", how=how)
        assert isinstance(ended, outcome_type)
        error = getattr(ended, "error")  # noqa: B009 - of any outcome
        assert (error.type, error.message) == (kind, words)
        if isinstance(ended, Retry):
            assert ended.after == timedelta(seconds=7)
        assert await outcome(processes, "doubles_later", n=1) == Succeeded(result="2")


@pytest.fixture
def captured() -> Iterator[list[logging.LogRecord]]:
    """What is logged through `logging` in the context of the test."""
    records: list[logging.LogRecord] = []
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    capture.capture_from(logging.INFO)
    token = capture.begin(records.append)
    yield records
    capture.end(token)
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_what_a_handler_logs_is_captured_in_its_worker(
    captured: list[logging.LogRecord], capfd: pytest.CaptureFixture[str]
) -> None:
    runtime = TestRuntime()
    async with a_pool() as processes:
        ended = await processes.call(an_attempt("talks", runtime))
    assert ended.outcome == Succeeded()
    [record] = [one for one in captured if one.name == "app"]
    assert (record.getMessage(), record.levelno) == ("logged 2", logging.WARNING)
    assert vars(record)["of"] == "record"
    assert runtime.reports == [(0.5, "half")]
    assert runtime.logged == [("info", "said", {"event": "odd", "n": 1})]
    assert "to nobody" in capfd.readouterr().err


async def test_a_computing_process_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with a_pool(stop_timeout_s=0.2) as processes:
        attempt = asyncio.get_running_loop().create_task(  # owned and awaited here
            processes.call(an_attempt("computes", pid_file=str(pids)))
        )

        async def has_begun() -> bool:
            return pids.exists() and len(pids.read_text().split()) == 2

        await eventually(has_begun, "the handler's beginning")
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        for pid in map(int, pids.read_text().split()):
            await gone(pid)
        assert await outcome(processes, "doubles_later", n=1) == Succeeded(result="2")


@pytest.mark.parametrize(
    ("kind", "ends"), [("watches_for_cancel", "Succeeded"), ("sleeps", "Failed")]
)
async def test_a_process_that_reacts_to_a_cancel_is_not_killed(
    kind: str, ends: str, tmp_path: Path
) -> None:
    began = tmp_path / "began"
    async with a_pool() as processes:
        attempt = asyncio.get_running_loop().create_task(  # owned and awaited here
            processes.call(an_attempt(kind, began=str(began)))
        )

        async def has_begun() -> bool:
            return began.exists()

        await eventually(has_begun, "the handler's beginning")
        attempt.cancel()
        ended = await attempt
        assert type(ended.outcome).__name__ == ends
        assert all(one.is_free for one in processes._idle), "it is used again"
        assert len(processes._idle) == len(processes._all)


async def test_a_missing_app_is_the_attempts_error() -> None:
    async with a_pool("tests.unit.worker.no_such_app:app") as processes:
        ended = await outcome(processes, "doubles", n=1)
    assert isinstance(ended, Failed)
    assert "No module named 'tests.unit.worker.no_such_app'" in ended.error.message


async def test_a_large_result_passes_and_one_over_the_limit_does_not() -> None:
    async with a_pool() as processes:
        assert isinstance(await outcome(processes, "repeats", n=90_000), Succeeded)
        over = await outcome(processes, "repeats", n=110_000)
    assert isinstance(over, Permanent)
    assert over.error.type == "ResultTooLarge"


async def test_a_plain_function_may_run_a_loop_of_its_own() -> None:
    async with a_pool() as processes:
        assert await outcome(processes, "runs_a_loop") == Succeeded(result="5")


async def test_what_an_attempt_left_behind_reports_nothing_for_the_next(tmp_path: Path) -> None:
    go, runtime = tmp_path / "go", TestRuntime()
    async with a_pool() as processes:
        assert await outcome(processes, "leaves_a_thread", go=str(go)) == Succeeded(result='"left"')
        go.touch()
        mark = str(tmp_path / "go.logged")
        context = an_attempt("waits_for", runtime, file=mark)
        later = replace(context, task=replace(context.task, claim_no=4))
        assert (await processes.call(later)).outcome == Succeeded(result='"found"')
    assert (runtime.reports, runtime.logged) == ([], [])


async def test_a_fork_reports_nothing() -> None:
    async with a_pool() as processes:
        assert await outcome(processes, "forks") == Succeeded(result='"the process\'s"')
        assert await outcome(processes, "doubles_later", n=1) == Succeeded(result="2")


async def test_odd_text_is_no_reason_to_fail() -> None:
    runtime = TestRuntime()
    async with a_pool() as processes:
        assert (await processes.call(an_attempt("logs_odd_text", runtime))).outcome == Succeeded()
    assert runtime.reports == [(0.5, "bad \\ud800")]


WORKER = """
import asyncio, sys
from tests.integration.test_isolation import a_pool, an_attempt

async def main():
    async with a_pool() as processes:
        await processes.call(an_attempt("computes", pid_file=sys.argv[1]))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the end of a worker")
async def test_a_killed_worker_leaves_nothing_that_its_processes_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - a child
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(pids), env=environment
    )

    async def has_begun() -> bool:
        return pids.exists() and len(pids.read_text().split()) == 2

    await eventually(has_begun, "the handler's beginning")
    worker.kill()
    await worker.wait()
    for pid in map(int, pids.read_text().split()):
        await gone(pid)


async def test_many_processes_that_died_idle_cost_no_attempt() -> None:
    async with a_pool() as processes:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(outcome(processes, "doubles_later", n=number))
        assert len(processes._idle) > 2
        for child in processes._all:
            os.kill(child.pid, signal.SIGKILL)
        assert await outcome(processes, "doubles_later", n=1) == Succeeded(result="2")


async def test_a_process_that_died_idle_costs_no_attempt() -> None:
    async with a_pool() as processes:
        first = await outcome(processes, "doubles", n=1)
        assert isinstance(first, Succeeded)
        for child in processes._all:
            os.kill(child.pid, signal.SIGKILL)
        assert await outcome(processes, "doubles_later", n=1) == Succeeded(result="2")
