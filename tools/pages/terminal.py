"""Runs commands like a reader's shell: folder and variables stay from one to the next."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Ended", "Running", "Terminal"]

_STOP_S = 30
# Unlike in a reader's shell, variables that a command sets are exported; for pages that makes no difference.
_PRELUDE = """\
. "{state}/variables"
cd -- "$(cat "{state}/folder")" || exit
set -a
"""
_SAVE = """\
trap 'status=$?; set +a; export -p >"{state}/variables"; pwd >"{state}/folder"; exit $status' EXIT
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The output of a command, on both streams; `status` is None if it took too long."""

    printed: str
    status: int | None


@dataclass(slots=True, kw_only=True)
class Running:
    """A command in a terminal of its own."""

    text: str
    process: subprocess.Popen[bytes]
    file: Path

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def printed(self) -> str:
        """Return its output so far."""
        return self.file.read_text(encoding="utf-8", errors="replace")

    def interrupt(self) -> str | None:
        """Press Ctrl-C and wait for its end; return an error, if any."""
        if not self.is_alive:
            return f"it had ended before Ctrl-C: {self.text}"
        _signal(self.process, signal.SIGINT)
        return None if _ends(self.process, _STOP_S) else f"Ctrl-C did not end it: {self.text}"


@dataclass(slots=True)
class Terminal:
    """A shell in `folder`; `close` ends what runs in the background."""

    folder: Path
    env: Mapping[str, str]
    running: list[Running] = field(default_factory=list)
    _state: Path = field(init=False)

    def __post_init__(self) -> None:
        self._state = Path(tempfile.mkdtemp(prefix="terminal-", dir=self.folder.parent))
        (self._state / "folder").write_text(f"{self.folder}\n")
        (self._state / "variables").touch()

    def run(self, text: str, timeout_s: float) -> Ended:
        """Run a command to its end."""
        file = self._state / "printed"
        process = self._start(_SAVE + _PRELUDE, text, file)
        is_in_time = _ends(process, timeout_s)
        printed = file.read_text(encoding="utf-8", errors="replace")
        return Ended(printed=printed, status=process.returncode if is_in_time else None)

    def start(self, text: str) -> Running:
        """Run a command in a terminal of its own, in the same folder and with the same variables."""
        file = self._state / f"background-{len(self.running)}-{time.monotonic_ns()}"
        process = self._start(_PRELUDE, text, file)
        self.running.append(Running(text=text, process=process, file=file))
        return self.running[-1]

    def close(self) -> list[str]:
        """End what runs, the last one first; return errors."""
        ends = [(one.interrupt(), one) for one in reversed(self.running)]
        self.running.clear()
        return [f"{trouble}\n{one.printed()}" for trouble, one in ends if trouble]

    def _start(self, prelude: str, text: str, file: Path) -> subprocess.Popen[bytes]:
        script = self._state / f"{file.name}.sh"
        script.write_text(prelude.format(state=self._state) + text + "\n", encoding="utf-8")
        with file.open("wb") as out:
            return subprocess.Popen(  # noqa: S603 - a command of the page
                ["bash", script],  # noqa: S607 - wherever it is
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=dict(self.env),
                start_new_session=True,
            )


def _ends(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a command; if it takes too long, kill it with all its children."""
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()
        return False
    return True


def _signal(process: subprocess.Popen[bytes], what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, what)
