"""Workers of several kinds as processes that do the same work, so that the same tests run with each."""

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.support.processes import ROOT, descendants

WORK = ROOT / "tests/support/work.sh"
NODE_WORK = ROOT / "tests/support/work.mjs"
BASH_WORKER = ROOT / "examples/bash-worker/worker.sh"
TTL_S = 3


@dataclass(frozen=True)
class Member:
    """A running worker."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def freeze(self) -> None:
        """Suspend it and everything that it has started, like a machine that sleeps."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Resume it."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and everything that it has started, without a warning."""
        self._signal(signal.SIGKILL)
        self.process.wait(10)

    def _signal(self, which: signal.Signals) -> None:
        for pid in (self.process.pid, *descendants(self.process.pid)):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, which)

    def stop(self) -> int:
        """Stop it with SIGTERM, and return its exit status."""
        self.process.terminate()
        return self.process.wait(15)


class Crew(ABC):
    """A kind of worker. Its members take tasks of one type, and do what `work.sh` does with the payload."""

    def __init__(self, folder: Path, *, url: str, database_url: str) -> None:
        self.folder = folder
        self.url = url
        self.database_url = database_url

    @abstractmethod
    def command(self, name: str, task_type: str, *, grace_s: int) -> Sequence[str | Path]:
        """Return how a member is started."""

    @contextmanager
    def member(self, name: str, task_type: str, *, grace_s: int = 10) -> Iterator[Member]:
        """Run a member until the block ends."""
        log = self.folder / f"{task_type}-{name}.log"
        with log.open("ab") as lines:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                self.command(name, task_type, grace_s=grace_s),
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                cwd=ROOT,
                env={**_environment(), "WORK_FOLDER": str(self.folder)},
                start_new_session=True,
            )
        member = Member(process, log)
        try:
            yield member
        finally:
            if process.poll() is None:
                member.wake()
                process.terminate()
                try:
                    process.wait(15)
                finally:
                    process.kill()
                    process.wait(10)


class PythonCrew(Crew):
    """Taskmill's own worker, on the database."""

    def command(self, name: str, task_type: str, *, grace_s: int) -> Sequence[str | Path]:
        module = "tests.support.python_worker"
        arguments = (self.database_url, name, task_type, str(TTL_S), str(grace_s))
        return [sys.executable, "-m", module, *arguments]


class BashCrew(Crew):
    """The example in bash and curl, over HTTP."""

    def command(self, name: str, task_type: str, *, grace_s: int) -> Sequence[str | Path]:
        addressed = f"--url {self.url} --name {name} --type {task_type}"
        timed = f"--ttl {TTL_S} --grace {grace_s} --kill-after 2"
        return [BASH_WORKER, *addressed.split(), *timed.split(), "--", WORK]


class NodeCrew(Crew):
    """The example in JavaScript, over HTTP."""

    def command(self, name: str, task_type: str, *, grace_s: int) -> Sequence[str | Path]:
        return ["node", NODE_WORK, self.url, name, task_type, str(TTL_S), str(grace_s)]


CREWS: Mapping[str, Callable[..., Crew]] = MappingProxyType(
    {"python": PythonCrew, "bash": BashCrew, "node": NodeCrew}
)


def _environment() -> dict[str, str]:
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("TASKMILL_")}  # noqa: TID251 - for a child
    return {**inherited, "PYTHONPATH": str(ROOT / "src"), "TASKMILL_LOG_FORMAT": "json"}
