"""A process with Taskmill's own worker, whose handler does what every crew does; see crews.py."""

import asyncio
import os
import sys
from pathlib import Path

from taskmill.app import Context, PermanentFailure
from taskmill.observability import logs
from taskmill.runtime.signals import stop_on_signal
from tests.support.polling import eventually
from tests.support.stage import a_stage
from tests.support.workers import WorkerOptions, a_worker


async def work(context: Context) -> str:
    """Do what `work.sh` does."""
    match context.payload["do"]:
        case "fail":
            raise ValueError("no such customer")
        case "fail once" if context.attempt == 1:
            raise ValueError("not yet")
        case "fail for good":
            raise PermanentFailure("never")
        case "hang":
            await asyncio.sleep(60)
        case "hold first" if context.task.claim_no == 1:
            may_end = Path(os.environ["WORK_FOLDER"]) / f"{context.task.type}.go"  # noqa: TID251 - a test's own

            async def probe() -> bool:
                return await asyncio.to_thread(may_end.exists)

            await eventually(probe, f"{may_end} to exist", timeout_s=60)
        case _:
            pass
    return f'claim {context.task.claim_no} of "{context.task.type}"'


async def main(url: str, name: str, task_type: str, ttl_s: str, grace_s: str) -> None:
    logs.configure(format="json", level="info")
    options = WorkerOptions(name=name, slots=1, ttl_s=float(ttl_s), grace_s=float(grace_s))
    with stop_on_signal() as stop:
        async with a_stage(url) as stage, a_worker(stage, {task_type: work}, options):
            await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
