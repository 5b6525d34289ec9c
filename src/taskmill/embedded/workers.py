"""Worker processes beside `taskmill up`: started, started again when they die, stopped in order.

They end with their parent (on Linux the kernel sees to that), and they do not get the terminal's Ctrl-C:
they are told to stop when it is their turn.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process

from taskmill.embedded.programs import end_with_parent
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import pause
from taskmill.settings import Settings

log = get_logger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# One that ran this long was well: the next start begins without a pause again.
_WELL_AFTER_S = 30.0
_STOP_MARGIN_S = 3.0


class WorkerProcesses:
    """A service of `count` processes, each `taskmill run worker` with the settings of this one."""

    name = "worker-processes"

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings = settings
        self._count = count

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the processes running until told to stop, then wait until they have handed back."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._count + 1):
                group.create_task(self._keep(number, stop))

    async def _keep(self, number: int, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not stop.is_set():
            started_at = loop.time()
            process = await self._start()
            await self._until_ended(process, stop)
            if stop.is_set():
                return
            failures = 0 if loop.time() - started_at > _WELL_AFTER_S else failures + 1
            log.error("worker.died", number=number, pid=process.pid, status=process.returncode)
            await pause(stop, min(_FIRST_PAUSE_S * 2**failures, _LONGEST_PAUSE_S))

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "taskmill",
            "run",
            "worker",
            "--concurrency",
            str(self._settings.worker.concurrency),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
            env={**os.environ, "TASKMILL_DATABASE_URL": self._settings.require_database_url()},
        )

    async def _until_ended(self, process: Process, stop: asyncio.Event) -> None:
        """Wait for the process to end; when told to stop, ask it to, and insist after its grace time."""
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(process.wait())
            told = group.create_task(stop.wait())
            try:
                await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    process.terminate()
                    await asyncio.wait(
                        [ended], timeout=self._settings.worker.grace_s + _STOP_MARGIN_S
                    )
            finally:
                if not ended.done():
                    process.kill()
                told.cancel()
