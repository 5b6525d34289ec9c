"""What is left of a server when its parent is killed, and how the next start copes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.embedded.postmaster import is_ready
from tests.support.polling import wait_until
from tests.support.postgres import chosen_bin_dir

OWNER = """
import sys
from pathlib import Path
from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.postgres import EmbeddedPostgres
bin_dir = Path(sys.argv[2]) if sys.argv[2] else None
server = EmbeddedPostgres(Path(sys.argv[1]), bin_dir=bin_dir, settings={"fsync": "off"})
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def owner_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that owns a running server: the process, and the server's pid."""
    command = [sys.executable, "-c", OWNER, str(data_dir), str(chosen_bin_dir() or "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - a child
    with subprocess.Popen(  # noqa: S603 - our own script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def processes_in(folder: Path) -> list[int]:
    """Every process that works inside `folder`: a server and all its children do."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").samefile(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def assert_no_server_remains(cluster: Path) -> None:
    wait_until(lambda: not processes_in(cluster), "the orphaned server has ended")
    assert not (cluster / "postmaster.pid").exists(), "it shut down in order"


linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="other kernels do not tell a child that its parent died"
)


@linux_only
def test_a_killed_parent_leaves_no_server(data_dir: Path) -> None:
    with owner_process(data_dir) as (owner, server_pid):
        assert server_pid in processes_in(data_dir / "cluster")
        owner.kill()
        owner.wait()
        assert_no_server_remains(data_dir / "cluster")


@linux_only
def test_a_parent_that_ends_without_a_stop_leaves_no_server(data_dir: Path) -> None:
    with owner_process(data_dir) as (owner, _):
        assert owner.stdin
        owner.stdin.close()
        assert owner.wait() == 0
        assert_no_server_remains(data_dir / "cluster")


def test_the_folder_of_a_killed_owner_is_free_at_once(
    data_dir: Path, server: EmbeddedPostgres
) -> None:
    with owner_process(data_dir) as (owner, orphan):
        owner.kill()
        owner.wait()
        with server:  # waits for the orphan, which is still shutting down
            assert server.pid not in (None, orphan)


def test_a_server_that_was_not_stopped_is_stopped_by_the_next_start(
    data_dir: Path, tmp_path: Path, server: EmbeddedPostgres
) -> None:
    """As on a system where a server cannot learn that its parent died."""
    cluster = data_dir / "cluster"
    folder = find_binaries(chosen_bin_dir(), data_dir=data_dir, data_major=None).folder
    words = ["-c", "listen_addresses=", "-c", "unix_socket_directories=."]
    command = [*choose_identity(data_dir).prefix, f"{folder}/postgres", "-D", str(cluster), *words]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log) as leftover:  # noqa: S603 - our own words
        try:
            wait_until(lambda: is_ready(cluster, leftover.pid), "the leftover runs")
            with server:
                assert leftover.wait(0) == 0, "it shut down in order"
        finally:
            leftover.kill()


def test_the_short_socket_folder_of_a_killed_owner_is_removed(
    data_dir: Path, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 100)
    data_dir.rename(long)
    with owner_process(long) as (owner, _):
        folder = (long / "socket").readlink()
        owner.kill()
        owner.wait()
    assert folder.is_dir()
    with EmbeddedPostgres(long, bin_dir=chosen_bin_dir(), settings={"fsync": "off"}):
        assert not folder.exists()


def test_a_pid_that_belongs_to_another_program_by_now_is_no_obstacle(
    data_dir: Path, server: EmbeddedPostgres
) -> None:
    with owner_process(data_dir) as (_, server_pid):
        os.kill(server_pid, signal.SIGKILL)
        wait_until(
            lambda: not processes_in(data_dir / "cluster"), "the server and its children died"
        )
    file = data_dir / "cluster" / "postmaster.pid"
    with subprocess.Popen(["sleep", "600"]) as stranger:  # noqa: S607 - any program
        try:
            file.write_text("\n".join([str(stranger.pid), *file.read_text().splitlines()[1:], ""]))
            with server:
                assert server.pid != stranger.pid
            assert stranger.poll() is None
        finally:
            stranger.kill()
