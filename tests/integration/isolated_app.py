"""Task types that a test has run in processes of their own."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from taskmill import Context, PermanentFailure, RetryLater, Taskmill

app = Taskmill()


class Doubled(BaseModel):
    pid: int
    doubled: int


@app.task(isolation="process")
def doubles(n: int) -> Doubled:
    return Doubled(pid=os.getpid(), doubled=2 * n)


@app.task(isolation="process")
def ticks(context: Context) -> list[str]:
    tick = context.schedule
    return [] if tick is None else [tick.name, tick.tick.isoformat()]


@app.task()
async def ticks_in_loop(context: Context) -> list[str]:
    return ticks(context)


@app.task(isolation="process")
async def doubles_later(n: int) -> int:
    await asyncio.sleep(0.01)
    return 2 * n


@app.task(isolation="process")
def talks(context: Context) -> None:
    print("to nobody")  # noqa: T201 - what a handler may do
    context.logger.bind(event="odd").info("said", n=1)
    logging.getLogger("app").warning("logged %d", 2, extra={"of": "record"})
    context.progress(0.5, "half")


@app.task(isolation="process")
def fails(how: str) -> None:
    if how == "later":
        raise RetryLater("not now", after=timedelta(seconds=7))
    if how == "for good":
        raise PermanentFailure("never")
    if how == "exit":
        sys.exit(3)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "quits":
        os._exit(4)
    raise ValueError(how)


@app.task(isolation="process")
def computes(pid_file: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(f"{os.getpid()} {child.pid}")
    while True:
        pass


@app.task(isolation="process")
def watches_for_cancel(context: Context, began: str) -> str:
    Path(began).touch()
    while not context.cancelled:
        time.sleep(0.01)
    return "stopped in time"


@app.task(isolation="process")
async def sleeps(began: str) -> None:
    Path(began).touch()  # noqa: ASYNC240 - a moment
    await asyncio.sleep(600)


@app.task(isolation="process")
def repeats(n: int) -> str:
    return "x" * n


@app.task(isolation="process")
def runs_a_loop() -> int:
    return asyncio.run(asyncio.sleep(0, 5))


@app.task(isolation="process")
def leaves_a_thread(context: Context, go: str) -> str:
    def late() -> None:
        while not Path(go).exists():
            time.sleep(0.01)
        context.progress(1, "late")
        context.logger.info("late")
        Path(go + ".logged").touch()

    threading.Thread(target=late, daemon=True).start()
    return "left"


@app.task(isolation="process")
def forks() -> str:
    if os.fork() == 0:
        return "a fork's"
    return "the process's"


@app.task(isolation="process")
def logs_odd_text(context: Context) -> None:
    context.logger.info("bad \ud800")
    context.progress(0.5, "bad \ud800")


@app.task(isolation="process")
def waits_for(file: str) -> str:
    while not Path(file).exists():
        time.sleep(0.01)
    return "found"
