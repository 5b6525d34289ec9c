"""The RabbitMQ of `taskmill up`: found or fetched, started, and started again when it dies.

The API serves meanwhile; clients know the address from the beginning. `stack` decides whether there is a broker.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process

from taskmill.embedded.errors import EmbeddedError
from taskmill.embedded.fetching import ANNOUNCEMENT, find_present
from taskmill.embedded.programs import end_with_parent
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import first_of, wake_on

log = get_logger(__name__)

HOW_TO_GET = (
    "queue intake is off; install rabbitmq-server (it need not run), "
    "or name a broker with --broker-url, then start again"
)

_WATCH_S = 0.2
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class PrivateBroker:
    """A service that runs a reserved node, fetching its programs first when there are none.

    A start takes three seconds of a processor, so it waits until everything else has started (`start_after`). Runs
    in the main thread, as the node requires. When the programs can't be had, it logs that once and waits for
    the end: workers claim from PostgreSQL.
    """

    name = "rabbitmq"

    def __init__(
        self,
        node: EmbeddedRabbitMQ,
        programs: RabbitMQPrograms | None,
        *,
        start_after: asyncio.Event,
    ) -> None:
        self._node = node
        self._programs = programs
        self._start_after = start_after
        self.is_starting = True
        """Whether it has not served yet, and is starting."""

    async def run(self, stop: asyncio.Event) -> None:
        """Start the node and keep it running until stopped; its owner stops the node."""
        await first_of(self._start_after, stop)
        programs = self._programs or await _fetched(stop)
        if programs is not None and not stop.is_set() and self._start(programs):
            await self._watch(stop)
        self.is_starting = False
        await stop.wait()

    def _start(self, programs: RabbitMQPrograms) -> bool:
        try:
            self._node.start(programs)
        except (EmbeddedError, OSError) as error:
            log.warning("rabbitmq.unusable", error=str(error), advice=HOW_TO_GET)
            return False
        log.info("rabbitmq.started", version=programs.version, pid=self._node.pid)
        return True

    async def _watch(self, stop: asyncio.Event) -> None:
        failures = 0
        was_ready = False
        while not stop.is_set():
            is_ready = was_ready or await asyncio.to_thread(self._node.is_ready)
            if is_ready and not was_ready:
                log.info("rabbitmq.ready", pid=self._node.pid)
                self.is_starting = False
                failures = 0
            was_ready = is_ready
            await pause(stop, _WATCH_S)
            if self._node.pid is None and not stop.is_set():
                failures += 1
                log.error("rabbitmq.died", failures=failures, log=str(self._node.console))
                if failures > 1:
                    await pause(
                        stop, backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                    )
                was_ready = False
                if not stop.is_set():
                    self._revive()

    def _revive(self) -> None:
        try:
            self._node.revive()
        except OSError as error:  # a full disk; the next round tries again
            log.warning("rabbitmq.unusable", error=str(error), advice="it is tried again")


async def _fetched(stop: asyncio.Event) -> RabbitMQPrograms | None:
    """Fetch RabbitMQ in a process that a stop can end at any moment; None when that failed."""
    log.info("rabbitmq.fetching", note=ANNOUNCEMENT)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "taskmill.embedded.fetching",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGTERM),
    )
    output = await _output(process, stop)
    found = find_present() if process.returncode == 0 else None
    if found is None and not stop.is_set():
        log.warning("rabbitmq.unfetched", error=output, advice=HOW_TO_GET)
    return found


async def _output(process: Process, stop: asyncio.Event) -> str:
    def end() -> None:
        if process.returncode is None:
            process.terminate()

    try:
        async with wake_on(stop, end):
            output, _ = await process.communicate()
    finally:
        end()
    return output.decode(errors="replace").replace(ANNOUNCEMENT, "").strip()
