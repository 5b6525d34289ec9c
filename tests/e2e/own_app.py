"""An app for workers of tests: a handler of each kind."""

import os
import threading
import time
from datetime import timedelta

from taskmill import Context, RetryLater, RetryPolicy, Taskmill

app = Taskmill()


@app.task("in-loop", max_attempts=3, retry=RetryPolicy(base=timedelta(0)))
async def in_loop(failures: int, context: Context) -> dict[str, object]:
    context.progress(context.attempt / 4, "half way there")
    if context.attempt <= failures:
        raise RetryLater("again", after=timedelta(0))
    context.logger.info("succeeding", attempt=context.attempt)
    return {"pid": os.getpid(), "thread": threading.current_thread().name}


@app.task("in-thread")
def in_thread(text: str) -> dict[str, object]:
    return {"pid": os.getpid(), "thread": threading.current_thread().name, "text": text}


@app.task("in-process", isolation="process", timeout=60)
def in_process(context: Context, seconds: float = 0) -> dict[str, object]:
    context.progress(1, "computed")
    until = time.monotonic() + seconds  # noqa: TID251 - a clock of this machine will do
    while time.monotonic() < until:  # noqa: TID251 - see above
        pass
    return {"pid": os.getpid()}


@app.task("blocks")
async def blocks(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - it must block
