"""A private RabbitMQ node that lives and dies with this process.

Everything listens on 127.0.0.1 only, with a password of its own. This module knows nothing about queues, and
fetches nothing unless `start` is called without programs.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from taskmill.embedded.errors import NodeFailedError, NotRunningError
from taskmill.embedded.fetching import find_or_fetch
from taskmill.embedded.programs import end
from taskmill.embedded.rabbitmq_folder import Ports, RabbitMQFolder, Secrets, with_other_ports
from taskmill.embedded.rabbitmq_node import NODE, USER, Node, boot_error, speaks_amqp
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms

_START_TIMEOUT_S = 120.0
_POLL_S = 0.02
# Repeated, because the Erlang VM loses a SIGTERM while it starts.
_STOP_STEPS = (*[(signal.SIGTERM, 1.0)] * 15, (signal.SIGKILL, 5.0))

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Makes a node one of several on this machine: they share secrets, and an epmd that outlives each.

    `name` is the Erlang name, such as "one@localhost"; the settings say how they find each other.
    """

    name: str
    secrets: Secrets
    epmd_port: int


class EmbeddedRabbitMQ:
    """One node on one data folder, with the user `taskmill`, the vhost `/` and the management plugin.

    `settings` are lines of rabbitmq.conf that go before ours. On Linux the kernel kills the node when the
    **thread** that started it ends, so `start` insists on the main thread.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] = _NO_SETTINGS,
        member: Membership | None = None,
    ) -> None:
        self._folder = RabbitMQFolder(data_dir.absolute())
        self._settings = settings
        self._member = member
        self._programs: RabbitMQPrograms | None = None
        self._secrets: Secrets | None = None
        self._ports: Ports | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._has_served = False
        self._console_start = 0

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def amqp_url(self) -> str:
        """Where clients connect, with the password; known from `reserve` to `stop`."""
        secrets, ports = self._reserved()
        return f"amqp://{USER}:{secrets.password}@127.0.0.1:{ports.amqp}/"

    @property
    def management_url(self) -> str:
        """Where the management pages and their HTTP API are, without user and password."""
        return f"http://127.0.0.1:{self._reserved()[1].management}"

    @property
    def password(self) -> str:
        """The password of the user `taskmill`, for both."""
        return self._reserved()[0].password

    @property
    def version(self) -> str:
        """The broker's version, such as "4.0.5"; known once it was started."""
        if self._programs is None:
            raise NotRunningError
        return self._programs.version

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        server = self._server
        return server.pid if server is not None and server.poll() is None else None

    @property
    def data_dir(self) -> Path:
        """The node's folder."""
        return self._folder.path

    @property
    def secrets_file(self) -> Path:
        """The file with the password, which only its owner may read."""
        return self._folder.node_file

    @property
    def console(self) -> Path:
        """The file with the output of the node's programs, which says why it did not start."""
        return self._folder.console

    def reserve(self) -> str:
        """Become the owner of the folder and choose the ports; return the `amqp_url`.

        So clients can have the address before there are programs to start.

        Raises:
            DataFolderInUseError: another process owns the folder.
            DataFolderUnusableError: it cannot be made or written.
        """
        if self._secrets is None:
            secrets, ports = self._folder.reserve()
            if self._member is not None:
                secrets = self._member.secrets
                ports = replace(ports, epmd=self._member.epmd_port)
            self._secrets, self._ports = secrets, ports
        return self.amqp_url

    def start(self, programs: RabbitMQPrograms | None = None) -> str:
        """Start the node and return its `amqp_url`, some seconds before it serves.

        Without `programs` it finds or fetches them, which may block for a while.
        Does nothing when the node runs already.

        Raises:
            EmbeddedError: it cannot start; the message says why and what to do.
            RuntimeError: called outside the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("EmbeddedRabbitMQ.start needs the main thread; its class says why.")
        if self.pid is not None:
            return self.amqp_url
        try:
            self._programs = programs or self._programs or find_or_fetch(lambda _: None)
            self.reserve()
            self._spawn()
        except BaseException:
            self.stop()
            raise
        return self.amqp_url

    def is_ready(self) -> bool:
        """Whether the node runs and responds to clients; blocks for 1 s at most."""
        if self.pid is None or not speaks_amqp(self._reserved()[1].amqp):
            return False
        self._has_served = True
        return True

    def wait_until_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until the node serves; one that dies before it ever did is started once more.

        Raises:
            NodeFailedError: it died again, or is not ready after `timeout_s` seconds.
        """
        give_up_at = time.monotonic() + timeout_s
        may_die = True
        while not self.is_ready():
            if time.monotonic() > give_up_at or (self.pid is None and not may_die):
                output = boot_error(self._folder.console, self._console_start)
                raise NodeFailedError("RabbitMQ did not start", output, self._folder.console)
            if self.revive():
                may_die = False
            time.sleep(_POLL_S)

    def revive(self) -> bool:
        """Start the node again, at the same address, when it has ended by itself; True when it had.

        Does not wait until it serves. Needs the thread that `start` needs.
        """
        if self._server is None or self._server.poll() is None:
            return False
        secrets, ports = self._reserved()
        if not self._has_served and self._member is None:
            # Seen in private starts: "nodistribution", when ports were taken meanwhile.
            self._ports = with_other_ports(ports)
            self._folder.save(secrets, self._ports)
            self._end_epmd()
        self._spawn()
        return True

    def stop(self) -> None:
        """Stop the node, in order or else harder, and release the folder; idempotent.

        Its data stays. Blocks for some seconds.
        """
        if self._server is not None:
            end(self._server, _STOP_STEPS)
            self._server = None
        self._end_epmd()
        self._has_served = False
        self._folder.release()
        self._secrets = self._ports = None

    def _spawn(self) -> None:
        secrets, ports = self._reserved()
        if self._programs is None:
            raise NotRunningError
        node = Node(
            programs=self._programs,
            folder=self._folder,
            secrets=secrets,
            ports=ports,
            settings=self._settings,
            name=self._member.name if self._member else NODE,
        )
        node.write_configuration()
        console = self._folder.console
        self._console_start = console.stat().st_size if console.exists() else 0
        if self._member is None and (self._epmd is None or self._epmd.poll() is not None):
            self._epmd = node.spawn_epmd()
        self._server = node.spawn_server()

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            end(self._epmd, _STOP_STEPS)
            self._epmd = None

    def _reserved(self) -> tuple[Secrets, Ports]:
        if self._secrets is None or self._ports is None:
            raise NotRunningError
        return self._secrets, self._ports
