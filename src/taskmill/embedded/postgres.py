"""A private PostgreSQL server that lives and dies with this process.

It is reached only by a socket, in a folder that only its owner can enter. This module knows nothing about schemas
or tasks: the caller migrates the database.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self
from urllib.parse import quote

from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.cluster import DATABASE, USER, prepare_cluster
from taskmill.embedded.data_folder import DataFolder
from taskmill.embedded.errors import NotRunningError, ServerFailedError
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.postmaster import clear_leftover, is_ready
from taskmill.embedded.private_files import open_log
from taskmill.embedded.programs import Programs, end

_PORT = 5432  # only a part of the socket's name
_START_TIMEOUT_S = 60.0
_POLL_S = 0.005
_STOP_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        # Durable: a request is acknowledged when its commit is on the disk.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        # One machine, shared with the API and the workers.
        "max_connections": "100",
        "shared_buffers": "128MB",
        # No process that waits for subscriptions, which nobody has here.
        "max_logical_replication_workers": "0",
        "jit": "off",
        "random_page_cost": "1.1",
        # A statement may touch every partition and each of its indexes.
        "max_locks_per_transaction": "256",
        # Rare checkpoints: each one makes the next write of every page expensive.
        "checkpoint_timeout": "15min",
        "max_wal_size": "2GB",
        # `dispatch` is a small table with very many changes.
        "autovacuum_naptime": "10s",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)
# Since this version three processes read for the others; here each reads for itself, as before.
_READERS_SINCE = 18
_NO_READERS: Mapping[str, str] = MappingProxyType({"io_method": "sync"})


class EmbeddedPostgres:
    """One server on one data folder, with the database and superuser `taskmill`.

    `settings` go before `SETTINGS`. On Linux the kernel stops the server when the **thread** that
    started it ends, so `start` insists on the main thread; elsewhere the next `start` stops a
    server that lost its parent.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] = _NO_SETTINGS,
    ) -> None:
        self._folder = DataFolder(data_dir.absolute())
        self._bin_dir = bin_dir
        self._settings = {**SETTINGS, **settings}
        self._version: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None
        self._spawn: Callable[[], subprocess.Popen[bytes]] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The database's URL, with the password; known from `start` to `stop`."""
        if self._url is None:
            raise NotRunningError
        return self._url

    @property
    def version(self) -> str:
        """The server's version, such as "18.6"; known once it was started."""
        if self._version is None:
            raise NotRunningError
        return self._version

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> str:
        """Start the server, making its data first when there is none; return the database's URL.

        Blocks for 0.02 to 0.3 s, the first time for about 1 s. Does nothing when it runs already.

        Raises:
            EmbeddedPostgresError: it cannot start; its message says why and what to do.
            RuntimeError: called outside the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("EmbeddedPostgres.start needs the main thread; its class says why.")
        if self.pid is not None:
            return self.url
        self.stop()
        try:
            self._folder.take()
            self._url = self._start_owned()
        except BaseException:
            self.stop()
            raise
        return self._url

    def stop(self) -> None:
        """Stop the server (fast shutdown, then harder) and release the data folder; idempotent.

        The data stays. Open connections are cut and their transactions rolled back.
        """
        if self._process is not None:
            end(self._process, _STOP_STEPS)
            self._process = None
        self._spawn = None
        self._folder.release()
        self._url = None

    def revive(self) -> bool:
        """Start the server again, at the same address, when it has ended by itself; True when it had.

        Does not wait until it serves: recovery may take a while. Needs the thread that `start` needs.
        """
        if self._spawn is None or self._process is None or self._process.poll() is None:
            return False
        self._process = self._spawn()
        return True

    def _start_owned(self) -> str:
        programs = self._choose_programs()
        if self._folder.cluster.exists():
            clear_leftover(self._folder.cluster, timeout_s=_START_TIMEOUT_S)
        is_durable = self._settings["fsync"] != "off"
        password = prepare_cluster(self._folder, programs, fsync=is_durable)
        socket = self._folder.make_socket_folder()
        programs.identity.own(socket)
        self._launch(programs, socket)
        return f"postgresql://{USER}:{password}@/{DATABASE}?host={quote(str(socket))}"

    def _choose_programs(self) -> Programs:
        path = self._folder.path
        identity = choose_identity(path)
        identity.own(path)
        binaries = find_binaries(self._bin_dir, data_dir=path, data_major=self._folder.data_major)
        identity.check_programs(binaries.folder)
        self._version = binaries.version
        return Programs(binaries=binaries, identity=identity, folder=path)

    def _launch(self, programs: Programs, socket: Path) -> None:
        options = self._options(socket, programs.binaries.major)
        arguments = [word for item in options for word in ("-c", item)]
        cluster = str(self._folder.cluster)

        def spawn() -> subprocess.Popen[bytes]:
            with open_log(self._folder.log) as log:
                return programs.spawn("postgres", "-D", cluster, *arguments, log=log)

        with open_log(self._folder.log) as log:
            log_start = log.tell()
        self._spawn = spawn
        self._process = spawn()
        self._wait_until_ready(self._process, log_start)

    def _options(self, socket: Path, major: int) -> list[str]:
        quoted = str(socket).replace('"', '""')
        settings = {
            **(_NO_READERS if major >= _READERS_SINCE else {}),
            **self._settings,
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": f'"{quoted}"',
            "unix_socket_permissions": "0700",
        }
        return [f"{name}={value}" for name, value in settings.items()]

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log_start: int) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not is_ready(self._folder.cluster, process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                output = self._folder.log.read_bytes()[log_start:].decode(errors="replace")
                advice = f"The whole log is {self._folder.log}."
                raise ServerFailedError("PostgreSQL did not start", output, advice)
            time.sleep(_POLL_S)
