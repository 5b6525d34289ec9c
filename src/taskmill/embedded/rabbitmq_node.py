"""Starts the processes of one embedded RabbitMQ node, epmd and the server, and ends them.

Both end with their parent where the kernel supports it (Linux), by SIGKILL: a killed node keeps what it has
confirmed, and one that is asked to stop may hang. Ports and secrets are decided elsewhere.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taskmill.embedded.private_files import open_log, write_private
from taskmill.embedded.programs import end_with_parent
from taskmill.embedded.rabbitmq_folder import Ports, RabbitMQFolder, Secrets
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms

USER = "taskmill"
NODE = "taskmill@localhost"

_LOOPBACK = "127.0.0.1"
_POLL_S = 0.005
_LONGEST_LINE = 200
_PLAIN_PATH = re.compile(r"[\w./+~@-]+", re.ASCII)
_FAILED = "BOOT FAILED"
_LINES_AFTER = 4
_FEW_CORES = 2
_PREFIX = re.compile(r"^\d{4}-\S+ \S+ \[\w+\] <[\d.]+>")
_EPMD_TIMEOUT_S = 5.0
_PLUGINS = "[rabbitmq_management].\n"
# A request for the names of all nodes: its length, then "n". The reply begins with epmd's own port.
_EPMD_NAMES = b"\x00\x01n"
# The header that a client sends first, and the beginning of the reply's first frame (a method, channel 0).
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_AMQP_REPLY = b"\x01\x00\x00"

# Tables for a million processes and five million atoms took 11 MB of the node's 84 (2026-11-29).
_SMALL: Mapping[str, str] = {
    "RABBITMQ_MAX_NUMBER_OF_PROCESSES": "65536",
    "RABBITMQ_MAX_NUMBER_OF_ATOMS": "500000",
}

SETTINGS: Mapping[str, str] = {
    "default_vhost": "/",
    # One machine, shared with the database, the API and the workers. The broker's default threshold for free disk
    # space would block publishers on a small disk; it stores little here.
    "disk_free_limit.absolute": "50MB",
    "vm_memory_high_watermark.relative": "0.25",
    "raft.wal_max_size_bytes": "67108864",
    "log.file.level": "info",
    "log.file.rotation.size": "8388608",
    "log.file.rotation.count": "2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parameters of one node, and its processes."""

    programs: RabbitMQPrograms
    folder: RabbitMQFolder
    secrets: Secrets
    ports: Ports
    settings: Mapping[str, str]
    name: str

    def write_configuration(self) -> None:
        """Write the files that the node reads when it starts."""
        folder = self.folder
        for path in (folder.home, folder.data, folder.logs):
            path.mkdir(mode=0o700, exist_ok=True)
        write_private(folder.home / ".erlang.cookie", self.secrets.cookie, mode=0o400)
        write_private(folder.plugins, _PLUGINS)
        lines = {
            "listeners.tcp.1": f"{_LOOPBACK}:{self.ports.amqp}",
            "management.tcp.ip": _LOOPBACK,
            "management.tcp.port": str(self.ports.management),
            "default_user": USER,
            "default_pass": self.secrets.password,
            **SETTINGS,
            **self.settings,
        }
        text = "".join(f"{key} = {value}\n" for key, value in lines.items())
        write_private(folder.configuration, text)

    def spawn_epmd(self) -> subprocess.Popen[bytes]:
        """Start the node's own epmd, and return when it listens or has ended.

        Otherwise the node would start one as a daemon, which would outlive the node.
        """
        epmd = str(self.programs.epmd)
        words = ["-address", _LOOPBACK, "-port", str(self.ports.epmd), "-relaxed_command_check"]
        process = self._spawn([epmd, *words])
        give_up_at = time.monotonic() + _EPMD_TIMEOUT_S
        while process.poll() is None and not _epmd_responds(self.ports.epmd):
            if time.monotonic() > give_up_at:
                break
            time.sleep(_POLL_S)
        return process

    def spawn_server(self) -> subprocess.Popen[bytes]:
        """Start the server; it serves some seconds later."""
        return self._spawn([str(self._script())])

    def _script(self) -> Path:
        """The server's script; by a link when its path has characters that it does not quote itself."""
        server = self.programs.server.resolve()
        if _PLAIN_PATH.fullmatch(str(server)):
            return self.programs.server
        link = self.folder.path / "programs"
        link.unlink(missing_ok=True)
        link.symlink_to(server.parent.parent)
        # Relative, since our own folder may have such characters, too: the script starts in it.
        return Path(link.name) / server.parent.name / server.name

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open_log(self.folder.console) as log:
            return subprocess.Popen(  # noqa: S603 - our own programs and words
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                cwd=self.folder.path,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - plain system calls only
            )

    def _environment(self) -> dict[str, str]:
        """Our environment, without the variables of another RabbitMQ or Erlang."""
        excluded = ("RABBITMQ_", "ERL_", "LC_", "LANG", "TASKMILL_")
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(excluded)
        }
        folder = self.folder
        threads = _schedulers()
        erlang_words = (
            "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false -noinput "
            f"+S {threads}:{threads} +SDio 2"
        )
        return {
            **inherited,
            "HOME": str(folder.home),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{self.programs.erlang}{os.pathsep}{inherited.get('PATH', os.defpath)}",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": _LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.ports.amqp),
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_MNESIA_BASE": str(folder.data),
            "RABBITMQ_LOG_BASE": str(folder.logs),
            "RABBITMQ_PID_FILE": str(folder.path / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder.configuration),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder.path / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder.plugins),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang_words,
            **_SMALL,
            # The script then becomes the server instead of waiting for it as its parent.
            "RABBITMQ_ALLOW_INPUT": "1",
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": _LOOPBACK,
            "ERL_CRASH_DUMP": os.devnull,
        }


def _schedulers() -> int:
    """The number of Erlang's scheduler threads: one on two cores, as the broker shares them with everything else.

    Measured there (2026-11-25, 4.0.5, confirmed publishes of a client on the same machine): with one thread
    6,200/s and two thirds of the processor time, with two 4,500/s.
    """
    return 1 if (os.cpu_count() or 1) <= _FEW_CORES else 2


def _epmd_responds(port: int) -> bool:
    try:
        with socket.create_connection((_LOOPBACK, port), timeout=1) as client:
            client.sendall(_EPMD_NAMES)
            return client.recv(4) == port.to_bytes(4, "big")
    except OSError:
        return False


def speaks_amqp(port: int) -> bool:
    """Whether a broker responds on a port of the loopback interface."""
    try:
        with socket.create_connection((_LOOPBACK, port), timeout=1) as client:
            client.sendall(_AMQP_HEADER)
            return client.recv(len(_AMQP_REPLY)) == _AMQP_REPLY
    except OSError:
        return False


def boot_error(console: Path, start: int) -> str:
    """Return what was written to the console after its first `start` bytes, without Erlang's internals.

    The reason is before or just after the words "BOOT FAILED"; pages of internals follow.
    """
    with console.open("rb") as file:
        file.seek(start if console.stat().st_size >= start else 0)
        output = file.read().decode(errors="replace")
    lines = [_PREFIX.sub("", line).strip() for line in output.splitlines()]
    # The log and the program write the same things, in any order.
    distinct = [line[:_LONGEST_LINE] for line in dict.fromkeys(lines) if line.strip("=")]
    if _FAILED in distinct:
        distinct = distinct[: distinct.index(_FAILED) + _LINES_AFTER]
    return "\n".join(distinct)
