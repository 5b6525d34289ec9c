"""Starts the program as users do, and reads its ready file and log."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.polling import wait_until
from tests.support.roles import with_logins

ROOT = Path(__file__).resolve().parents[2]
FAST_LEASES = {"TASKMILL_LEASE__TTL_S": "2", "TASKMILL_MAINTENANCE__INTERVAL_S": "0.2"}


class Program:
    """A running `taskmill …`; leaving it stops it with SIGTERM and fails when it does not end.

    On a database of tests, `taskmill run …` has the logins of its roles.
    """

    def __init__(
        self,
        *arguments: str | Path,
        folder: Path,
        env: Mapping[str, str],
        command: tuple[str | Path, ...] = (sys.executable, "-m", "taskmill"),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = folder / "ready.json"
        self.log_file = folder / "log.jsonl"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [*command, *arguments, "--ready-file", self.ready_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**environment(), **with_logins(arguments, env)},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        wait_until(self._is_ready_or_dead, f"{self.log_file} says it is ready", timeout_s=60)
        assert self.process.poll() is None, self.log_file.read_text()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()

    def _is_ready_or_dead(self) -> bool:
        return self.ready_file.exists() or self.process.poll() is not None

    @property
    def facts(self) -> dict[str, Any]:
        """What it wrote into its ready file."""
        facts: dict[str, Any] = json.loads(self.ready_file.read_text())
        return facts

    def client(self) -> httpx.Client:
        """Return a client of its API."""
        return httpx.Client(base_url=self.facts["url"], timeout=10)

    def logged(self, *events: str) -> list[dict[str, Any]]:
        """Return its log lines of these events, oldest first, without a line that is still being written."""
        *whole, _ = self.log_file.read_text().split("\n")
        lines = [line for line in whole if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line))["event"] in events]

    def interrupt(self) -> int:
        """Do what Ctrl-C does, and return the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)


def environment() -> dict[str, str]:
    """Return what such a program inherits: no settings of whoever starts it."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("TASKMILL_")}  # noqa: TID251 - for a child
    return {**inherited, "PYTHONPATH": str(ROOT / "src"), "TASKMILL_LOG_FORMAT": "json"}


def command_of(pid: int) -> str:
    """Return the command line of a process; nothing if it has ended (Linux)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def descendants(pid: int) -> list[int]:
    """Return the process ids below `pid` (Linux)."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found
