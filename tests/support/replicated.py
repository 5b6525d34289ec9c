"""A PostgreSQL primary with a synchronous standby, both on TCP ports of this machine."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.cluster import DATABASE, USER, prepare_cluster
from taskmill.embedded.data_folder import DataFolder
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.postmaster import is_ready
from taskmill.embedded.programs import Programs
from tests.support.polling import wait_until
from tests.support.postgres import FAST_SETTINGS, chosen_bin_dir
from tests.support.processes import descendants

_SYNCHRONOUS: Mapping[str, str] = MappingProxyType({"synchronous_standby_names": "*"})
COMMON: Mapping[str, str] = MappingProxyType(
    {
        **FAST_SETTINGS,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_locks_per_transaction": "256",
    }
)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(kw_only=True)
class Server:
    """One of the two servers."""

    programs: Programs
    cluster: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, settings: Mapping[str, str]) -> None:
        """Start it and wait until it takes connections."""
        options = {**COMMON, **settings, "port": str(self.port)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.process = None

        def is_started() -> bool:
            # It ends at once while somebody else's outgoing connection has its port.
            if self.process is None or self.process.poll() is not None:
                self.process = self._spawned(arguments)
            return is_ready(self.cluster, self.process.pid)

        wait_until(is_started, f"{self.cluster} is ready")

    def _spawned(self, arguments: list[str]) -> "subprocess.Popen[bytes]":
        with (self.programs.folder / f"{self.cluster.name}.log").open("ab") as log:
            return self.programs.spawn("postgres", "-D", str(self.cluster), *arguments, log=log)

    def promote(self) -> None:
        """Make a primary of the standby; returns when it takes writes."""
        self.programs.run("pg_ctl", "promote", "-D", str(self.cluster), "-w")

    def kill(self) -> None:
        """Do what a power cut does to all its processes; idempotent."""
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def freeze(self) -> None:
        """Suspend all its processes: connections stay open, new ones are accepted, and nothing comes back."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume them."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the server and the processes of its sessions, each of which leads a group of its own."""
        assert self.process is not None
        for pid in (self.process.pid, *descendants(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class ReplicatedDatabase:
    """A primary whose commits wait for its standby. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        identity = choose_identity(folder)
        identity.own(folder)
        binaries = find_binaries(chosen_bin_dir(), data_dir=folder, data_major=None)
        programs = Programs(binaries=binaries, identity=identity, folder=folder)
        self._data = DataFolder(folder)
        self.primary = Server(programs=programs, cluster=self._data.cluster)
        self.standby = Server(programs=programs, cluster=folder / "standby")
        self._password = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            programs = self.primary.programs
            self._password = prepare_cluster(self._data, programs, fsync=False)
            stack.callback(self.primary.kill)
            self.primary.start({})
            source = self._address(f"127.0.0.1:{self.primary.port}", "postgres")
            target = str(self.standby.cluster)
            programs.run("pg_basebackup", "-d", source, "-D", target, "-R", "-c", "fast", "-N")
            stack.callback(self.standby.kill)
            self.standby.start({})
            # Only now: until there was a standby no commit would have returned.
            self.primary.kill()
            self.primary.start(_SYNCHRONOUS)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The address that names both, the first primary first."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return self._address(hosts, DATABASE)

    def url_of(self, server: Server) -> str:
        """The address of one of them."""
        return self._address(f"127.0.0.1:{server.port}", DATABASE)

    def _address(self, hosts: str, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@{hosts}/{database}"
