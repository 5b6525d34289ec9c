"""Measured child processes: starts them, waits until they are ready, observes them, and stops them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from taskmill.embedded.programs import end_with_parent

ROOT = Path(__file__).resolve().parent.parent

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02


class ProgramFailed(Exception):
    """A program did not start, or did not do what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A running program. `url` is from its ready file, None if it serves nothing."""

    name: str
    pid: int
    url: str | None

    def peak_memory_mb(self) -> float | None:
        """Return the largest resident size so far in MB (10⁶ bytes), None if unknown."""
        return self._size_mb("VmHWM")

    def _size_mb(self, name: str) -> float | None:
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return None
        size = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return int(size.split()[1]) * 1024 / 1e6

    def memory_mb(self) -> float | None:
        """Return the resident size now in MB (10⁶ bytes), None if unknown."""
        return self._size_mb("VmRSS")

    def cpu_s(self) -> float | None:
        """Return the seconds of processor time used so far, None if unknown."""
        stat = Path(f"/proc/{self.pid}/stat")
        if not stat.exists():
            return None
        after_name = stat.read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def running(
    name: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    python: str = sys.executable,
    start_s: float = _START_TIMEOUT_S,
) -> AsyncIterator[Program]:
    """Run `python ARGUMENTS` in `folder` until the block ends; its output goes to a file there.

    Raises:
        ProgramFailed: It ended, or did not write its ready file in time.
    """
    ready_file, log = folder / f"{name}.ready", folder / f"{name}.log"
    ready_file.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            python,
            *arguments,
            "--ready-file",
            str(ready_file),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=_environment(environment),
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )
    try:
        facts = await _await_ready(process, name, ready_file, log, start_s)
        yield Program(name=name, pid=process.pid, url=facts.get("url"))
    finally:
        await _stop(process)


async def completed(
    name: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout_s: float,
    python: str = sys.executable,
) -> None:
    """Run such a program until it ends by itself.

    Raises:
        ProgramFailed: It failed, or did not end in time.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            python,
            *arguments,
            "--ready-file",
            str(folder / f"{name}.ready"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=_environment(environment),
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )
    try:
        async with asyncio.timeout(timeout_s):
            if await process.wait():
                raise ProgramFailed(f"{name} failed: {_tail(log)}")
    finally:
        await _stop(process)


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of Taskmill: it is measured with its defaults.

    Compiled modules are kept, as on a user's machine: without that every start compiles all of them.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("TASKMILL_")}
    others.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**others, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **own}


async def _await_ready(
    process: asyncio.subprocess.Process, name: str, ready_file: Path, log: Path, start_s: float
) -> dict[str, str | None]:
    try:
        async with asyncio.timeout(start_s):
            while not _is_written(ready_file):
                if process.returncode is not None:
                    raise ProgramFailed(f"{name} ended: {_tail(log)}")
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise ProgramFailed(f"{name} was not ready in time: {_tail(log)}") from error
    return facts_of(ready_file)


def _is_written(ready_file: Path) -> bool:
    return ready_file.exists() and ready_file.stat().st_size > 0


def facts_of(ready_file: Path) -> dict[str, str | None]:
    """Return what a program has written into its ready file; nothing if it is not there, or still empty."""
    if not ready_file.exists() or not (text := ready_file.read_text()):
        return {}
    facts: dict[str, str | None] = json.loads(text)
    return facts


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
