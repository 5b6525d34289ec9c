"""The limit on open files: raised for the API, and for nothing that `up` starts."""

import os
import re
import signal
import sys
from pathlib import Path

from tests.support.polling import wait_until
from tests.support.processes import Program, descendants

SOFT, HARD = 1024, 4096


def soft_limit(pid: int) -> int:
    [found] = re.findall(r"Max open files +(\d+)", Path(f"/proc/{pid}/limits").read_text())
    return int(found)


def by_name(pid: int) -> dict[str, int]:
    """One child of each program below a process."""
    return {Path(f"/proc/{one}/comm").read_text().strip(): one for one in descendants(pid)}


def test_only_the_api_has_a_raised_limit_on_open_files(tmp_path: Path) -> None:
    limits = f'ulimit -Sn {SOFT}; ulimit -Hn {HARD}; exec "$@"'
    shell = ("/bin/sh", "-c", limits, "sh", sys.executable, "-m", "taskmill")
    words = ("--port", "0", "--data", tmp_path / "d", "--workers", "1")
    with Program("up", *words, folder=tmp_path, env={}, command=shell) as up:
        wait_until(lambda: bool(up.logged("rabbitmq.ready")), "RabbitMQ serves", timeout_s=120)
        assert soft_limit(up.process.pid) == HARD
        programs = by_name(up.process.pid)
        assert {"postgres", "beam.smp", "epmd"} <= set(programs)
        assert any(name.startswith("python") for name in programs)
        assert {name: soft_limit(pid) for name, pid in programs.items()} == dict.fromkeys(
            programs, SOFT
        )
        os.kill(up.logged("postgres.started")[0]["pid"], signal.SIGKILL)
        wait_until(lambda: bool(up.logged("postgres.revived")), "PostgreSQL is back", timeout_s=60)
        assert soft_limit(up.logged("postgres.revived")[0]["pid"]) == SOFT
        assert soft_limit(up.process.pid) == HARD
