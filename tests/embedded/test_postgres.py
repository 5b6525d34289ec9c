"""The life of the embedded server, on real servers."""

import asyncio
import os
import signal
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from taskmill.embedded import postgres
from taskmill.embedded.errors import (
    DataFolderInUseError,
    DataFolderUnusableError,
    NotRunningError,
    ServerFailedError,
)
from taskmill.embedded.postgres import EmbeddedPostgres
from tests.support.polling import wait_until
from tests.support.postgres import FAST_SETTINGS, chosen_bin_dir


async def _fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def fetch(url: str, query: str) -> object:
    return asyncio.run(_fetch(url, query))


def setting(url: str, name: str) -> object:
    return fetch(url, f"SELECT current_setting('{name}')")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_folder(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def test_the_first_start_makes_a_durable_database_with_checksums(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "data", bin_dir=chosen_bin_dir()) as server:
        names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
        assert [setting(server.url, name) for name in names] == ["on"] * 4
        assert setting(server.url, "server_encoding") == "UTF8"
        assert fetch(server.url, "SELECT current_database()") == "taskmill"
        assert str(setting(server.url, "server_version")).startswith(server.version)


def test_tables_that_people_make_land_in_public(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with EmbeddedPostgres(data, bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS) as server:
        assert setting(server.url, "search_path") == "public"


def test_only_its_owner_can_reach_the_server(server: EmbeddedPostgres, data_dir: Path) -> None:
    with server:
        folder = socket_folder(server.url)
        assert (mode_of(folder), mode_of(data_dir / "password")) == (0o700, 0o600)
        assert setting(server.url, "listen_addresses") == ""


def test_a_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    with server:
        password = urlsplit(server.url).password
        assert password
        with pytest.raises(asyncpg.InvalidPasswordError):
            fetch(server.url.replace(password, "guess"), "SELECT 1")


def test_a_server_that_was_killed_is_revived_at_its_address(server: EmbeddedPostgres) -> None:
    with server:
        fetch(server.url, "CREATE TABLE stored AS SELECT 42 AS n")
        assert server.revive() is False
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)

        def has_row() -> bool:
            # The first tries fail while processes of the killed server still hold its memory.
            server.revive()
            try:
                return fetch(server.url, "SELECT n FROM stored") == 42
            except (OSError, asyncpg.PostgresError):
                return False

        wait_until(has_row, "the revived server")
    assert server.revive() is False


def test_data_and_password_outlive_a_stop(server: EmbeddedPostgres) -> None:
    with server:
        password = urlsplit(server.url).password
        fetch(server.url, "CREATE TABLE stored AS SELECT 42 AS n")
    with server:
        assert urlsplit(server.url).password == password
        assert fetch(server.url, "SELECT n FROM stored") == 42


def test_a_stop_leaves_neither_process_nor_socket_nor_shared_memory(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    server.start()
    pid = server.pid
    assert pid
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (data_dir / "socket").exists()
    segments = Path("/proc/sysvipc/shm")
    if segments.exists():  # Linux tells which process made a segment
        makers = [line.split()[4] for line in segments.read_text().splitlines()[1:]]
        assert str(pid) not in makers


def test_starting_and_stopping_twice_is_harmless(server: EmbeddedPostgres) -> None:
    assert server.start() == server.start()
    server.stop()
    server.stop()
    assert server.pid is None


def test_a_stopped_server_has_no_address(server: EmbeddedPostgres) -> None:
    with pytest.raises(NotRunningError, match="Start it first"):
        _ = server.url
    with pytest.raises(NotRunningError):
        _ = server.version


def test_a_second_owner_is_refused_with_the_pid_of_the_first(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    second = EmbeddedPostgres(data_dir, bin_dir=chosen_bin_dir())
    with server:
        with pytest.raises(DataFolderInUseError, match=f"in use by process {os.getpid()}") as error:
            second.start()
        assert error.value.owner == os.getpid()
        assert fetch(server.url, "SELECT 1") == 1, "the first one is not disturbed"


def test_a_folder_name_may_have_spaces_quotes_and_percent_signs(data_dir: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="t") as short:
        folder = Path(short) / "a \"b\" 'c' %20 ü d"
        data_dir.rename(folder)
        with EmbeddedPostgres(folder, bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS) as server:
            assert fetch(server.url, "SELECT 1") == 1
            assert socket_folder(server.url).parent == folder


@pytest.mark.parametrize("name", ["x" * 100, "a,b"])
def test_a_path_that_cannot_hold_a_socket_gets_a_short_folder_that_goes_away(
    data_dir: Path, name: str
) -> None:
    unsuitable = data_dir.rename(data_dir.with_name(name))
    with EmbeddedPostgres(unsuitable, bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS) as server:
        folder = socket_folder(server.url)
        assert fetch(server.url, "SELECT 1") == 1
        assert mode_of(folder) == 0o700
        assert len(str(folder)) < 84
    assert not folder.exists()


def test_a_lost_password_file_is_replaced(server: EmbeddedPostgres, data_dir: Path) -> None:
    old = (data_dir / "password").read_text()
    (data_dir / "password").unlink()
    with server:
        assert fetch(server.url, "SELECT 1") == 1
    assert (data_dir / "password").read_text() != old


def test_a_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    side = tmp_path / "data" / "cluster.new"
    side.mkdir(parents=True)
    (side / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(
        tmp_path / "data", bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS
    ) as server:
        assert fetch(server.url, "SELECT 1") == 1
    assert not side.exists()


def test_settings_of_the_caller_win(data_dir: Path) -> None:
    settings = {**FAST_SETTINGS, "work_mem": "7MB"}
    with EmbeddedPostgres(data_dir, bin_dir=chosen_bin_dir(), settings=settings) as server:
        assert setting(server.url, "work_mem") == "7MB"
        assert setting(server.url, "fsync") == "off"


def test_a_server_that_refuses_its_settings_says_why(data_dir: Path) -> None:
    server = EmbeddedPostgres(
        data_dir, bin_dir=chosen_bin_dir(), settings={"max_connections": "many"}
    )
    with pytest.raises(ServerFailedError, match='max_connections": "many"'):
        server.start()
    with EmbeddedPostgres(data_dir, bin_dir=chosen_bin_dir()):
        pass  # the failed one has released the folder


def test_a_server_that_died_is_started_again(server: EmbeddedPostgres) -> None:
    with server:
        killed = server.pid
        assert killed
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: server.pid is None, "the death is noticed")
        server.start()
        assert server.pid not in (None, killed)
        assert fetch(server.url, "SELECT 1") == 1


def test_a_server_that_does_not_stop_is_made_to(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ((signal.SIGINT, 0.05), (signal.SIGQUIT, 0.05), (signal.SIGKILL, 5.0))
    monkeypatch.setattr(postgres, "_STOP_STEPS", steps)
    server.start()
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with server:
        assert fetch(server.url, "SELECT 1") == 1, "it recovers"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusableError, match="file/data cannot be used"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()


def test_a_start_outside_the_main_thread_is_refused(server: EmbeddedPostgres) -> None:
    with ThreadPoolExecutor(1) as thread, pytest.raises(RuntimeError, match="main thread"):
        thread.submit(server.start).result()


def test_a_large_log_is_renamed(server: EmbeddedPostgres, data_dir: Path) -> None:
    log = data_dir / "postgres.log"
    log.write_bytes(b"x" * (9 * 1024 * 1024))
    with server:
        pass
    assert log.with_suffix(".log.1").stat().st_size > 8 * 1024 * 1024
    assert log.stat().st_size < 1024 * 1024
