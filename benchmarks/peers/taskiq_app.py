"""Taskiq over aio-pika: its own command line with uvloop, its default quorum queue, 100 tasks at once.

The prefetch is as large as what runs at once, instead of ten; tasks are acknowledged when they are done, as they
are by default. Below a warning nothing is logged: by default each task would have its line.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from taskiq import TaskiqEvents
from taskiq.cli.worker.args import WorkerArgs
from taskiq.cli.worker.run import run_worker
from taskiq_aio_pika import AioPikaBroker

from benchmarks.peers import given

_AT_ONCE = 100
_SENT_AT_ONCE = 500

broker = AioPikaBroker(given.URL, qos=_AT_ONCE)
begun = given.begun()


@broker.task(task_name=given.NOOP)
async def noop(number: int) -> None:
    begun.note(number)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _report_ready(_: object) -> None:
    given.report_ready()


def install() -> None:
    """The broker declares the queue."""


def enqueue(count: int) -> None:
    async def send_all(send: Callable[[int], Awaitable[object]]) -> None:
        for block in given.blocks(count, _SENT_AT_ONCE):
            await asyncio.gather(*(send(number) for number in block))

    asyncio.run(_with_sender(send_all))


def pace(pauses: list[float], sent: Path) -> None:
    async def send_paced(send: Callable[[int], Awaitable[object]]) -> None:
        await given.paced_async(send, pauses, sent)

    asyncio.run(_with_sender(send_paced))


async def _with_sender(
    use: Callable[[Callable[[int], Awaitable[object]]], Awaitable[None]],
) -> None:
    async with _started():
        await use(noop.kiq)


@asynccontextmanager
async def _started() -> AsyncIterator[None]:
    await broker.startup()
    try:
        yield
    finally:
        await broker.shutdown()


def work(variant: str) -> None:  # noqa: ARG001 - it has one
    options = ("--max-async-tasks", str(_AT_ONCE), "--log-level", "WARNING")
    run_worker(WorkerArgs.from_cli([f"{__name__}:broker", "--workers", "1", *options]))
