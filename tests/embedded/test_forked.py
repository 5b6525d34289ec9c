"""Processes that are forked at the start of `taskmill up` work like programs of their own, and share memory."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.polling import wait_until
from tests.support.processes import ROOT, descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks them")

# A parent that forks two processes, starts the first, prints what became of it, and waits for its input to end.
PARENT = """
import asyncio, os, sys
from pathlib import Path
from taskmill.embedded.forked import Assignment, fork_processes

SHARED = "x" * 50_000_000
forked = fork_processes(2)
if isinstance(forked, Assignment):
    print(forked.roles, forked.ready_file.name, os.environ["TASKMILL_X"], flush=True)
    assert sys.stdin.read() == ""
    if "wait" in forked.roles:
        while True:
            sys.modules["time"].sleep(1)
    sys.exit(3)
if sys.argv[1] == "discard":
    forked[0].discard()
    print("discarded", flush=True)
    sys.exit(int(bool(sys.stdin.read())))
forked[0].start(Assignment(roles=sys.argv[1:], ready_file=Path("ready")), {"TASKMILL_X": "y"})
print("ended", asyncio.run(forked[0].wait()), flush=True)
sys.stdin.read()
"""


class Parent:
    """The parent, which runs until it is killed or its input ends."""

    def __init__(self, *roles: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", "import time\n" + PARENT, *roles],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT / "src")},
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def children(self) -> list[int]:
        return descendants(self.process.pid)


@pytest.fixture
def start() -> Iterator[type[Parent]]:
    started: list[Parent] = []

    class Started(Parent):
        def __init__(self, *roles: str) -> None:
            super().__init__(*roles)
            started.append(self)

    yield Started
    for parent in started:
        parent.process.kill()
        parent.process.communicate()


def test_it_gets_its_roles_and_environment_and_its_exit_status_is_reported(
    start: type[Parent],
) -> None:
    parent = start("worker", "relay")
    assert parent.line() == "['worker', 'relay'] ready y"
    assert parent.line() == "ended 3"


def test_a_signal_that_ends_it_is_reported_and_its_command_is_shown(start: type[Parent]) -> None:
    parent = start("worker", "wait")
    parent.line()
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in parent.children()}
    [worker] = [pid for pid, command in commands.items() if command.startswith(b"taskmill run")]
    assert commands[worker].rstrip(b"\0") == b"taskmill run worker wait"
    os.kill(worker, signal.SIGKILL)
    assert parent.line() == f"ended {-signal.SIGKILL}"


def test_none_outlives_its_parent_whether_it_was_started_or_not(start: type[Parent]) -> None:
    parent = start("wait")
    parent.line()
    children = parent.children()
    assert len(children) == 2
    parent.process.kill()
    parent.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "both ended")


def test_one_that_is_not_needed_leaves_nothing(start: type[Parent]) -> None:
    parent = start("discard")
    assert parent.line() == "discarded"
    assert len(parent.children()) == 1, "the other one"


def test_what_existed_before_is_in_memory_once(start: type[Parent]) -> None:
    parent = start("wait")
    parent.line()
    for pid in parent.children():
        sizes = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
        assert int(sizes["Pss"].split()[0]) < 25_000 < int(sizes["Rss"].split()[0])
