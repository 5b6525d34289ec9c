"""Several API processes on one port: they share its connections, and one that dies is replaced."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.polling import wait_until
from tests.support.processes import Program, descendants


@pytest.fixture
def pair(database_url: str, tmp_path: Path) -> Iterator[Program]:
    env = {"TASKMILL_DATABASE_URL": database_url}
    with Program(
        "run", "api", "--processes", "2", "--port", "0", folder=tmp_path / "api", env=env
    ) as program:
        yield program


def responding(program: Program) -> set[str]:
    """The processes that serve new connections, by the beginnings of their request ids."""
    found = set()
    for _ in range(40):
        response = httpx.get(f"{program.facts['url']}/tasks?limit=1")
        assert response.status_code == 200
        found.add(response.headers["x-request-id"][:10])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections")
def test_all_respond_and_one_that_dies_is_replaced(pair: Program) -> None:
    first = responding(pair)
    assert len(first) == 2
    victim = descendants(pair.process.pid)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: bool(pair.logged("process.died")), "its end is logged")
    assert len(responding_despite_cuts(pair) & first) == 1, "the other one goes on"
    # On a busy machine a process takes half a minute to start.
    wait_until(lambda: len(responding_despite_cuts(pair)) == 2, "there are two again", timeout_s=60)
    children = descendants(pair.process.pid)
    pair.process.terminate()
    assert pair.process.wait(15) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def responding_despite_cuts(program: Program) -> set[str]:
    """The same, while connections may be cut with their process."""
    try:
        return responding(program)
    except httpx.TransportError:
        return set()


def test_a_taken_port_is_an_error(pair: Program, database_url: str, tmp_path: Path) -> None:
    port = str(httpx.URL(pair.facts["url"]).port)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", "run", "api", "--processes", "2", "--port", port],
        env={**os.environ, "TASKMILL_DATABASE_URL": database_url},  # noqa: TID251 - for a child
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "port 0 picks a free one" in done.stderr
