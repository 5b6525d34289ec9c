"""The folder of one embedded RabbitMQ node: who owns it, its secrets, its ports, and where things are.

It holds `node.json` (password, cookie and ports), `home` (the cookie as Erlang wants it), `rabbitmq.conf`,
`plugins`, `data` (what the node keeps), `log`, `console.log` (what is said before there is a log) and
`owner` (locked while a process owns the folder). It does not look into the data.
"""

import json
import secrets
import socket
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from taskmill.embedded.ownership import Ownership
from taskmill.embedded.private_files import write_private

# Below the ports that systems give to outgoing connections, which could take one between two starts.
_PORTS = range(10_240, 32_768)
_LOOPBACK = "127.0.0.1"
_TRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a node listens, on the loopback interface only."""

    amqp: int
    management: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What opens a node: the password of its user, and the cookie of its Erlang."""

    password: str
    cookie: str


@dataclass(slots=True)
class RabbitMQFolder:
    """Paths, ownership, secrets and ports of a node's folder."""

    path: Path
    _ownership: Ownership = field(init=False)

    def __post_init__(self) -> None:
        self._ownership = Ownership(self.path)

    @property
    def kept(self) -> Path:
        """Secrets and ports."""
        return self.path / "node.json"

    @property
    def home(self) -> Path:
        """The home folder of the node's programs, where the cookie is."""
        return self.path / "home"

    @property
    def data(self) -> Path:
        """What the node keeps."""
        return self.path / "data"

    @property
    def configuration(self) -> Path:
        """The node's settings."""
        return self.path / "rabbitmq.conf"

    @property
    def plugins(self) -> Path:
        """The list of the plugins that are on."""
        return self.path / "plugins"

    @property
    def logs(self) -> Path:
        """The folder of the node's own logs."""
        return self.path / "log"

    @property
    def console(self) -> Path:
        """What the programs say themselves; why a node did not start is here."""
        return self.path / "console.log"

    def take(self) -> tuple[Secrets, Ports]:
        """Become the only owner; return the secrets, and ports of which each is free now.

        Both are kept for the next start, as far as the ports are still free then.

        Raises:
            DataFolderInUseError: another process owns the folder.
            DataFolderUnusableError: it cannot be made or written.
        """
        self._ownership.take()
        kept = self._kept()
        opened = Secrets(
            password=str(kept.get("password") or secrets.token_hex(24)),
            cookie=str(kept.get("cookie") or secrets.token_hex(24)),
        )
        ports = _free_ports(kept)
        self.keep(opened, ports)
        return opened, ports

    def keep(self, opened: Secrets, ports: Ports) -> None:
        """Remember secrets and ports."""
        text = json.dumps({**asdict(opened), **asdict(ports)}, indent=2)
        write_private(self.kept, f"{text}\n")

    def release(self) -> None:
        """Let go of the folder; idempotent."""
        self._ownership.release()

    def _kept(self) -> dict[str, object]:
        try:
            kept: dict[str, object] = json.loads(self.kept.read_text())
        except FileNotFoundError:
            return {}
        return kept


def other_ports(ports: Ports) -> Ports:
    """The same doors for clients, with other ports for what only Erlang uses."""
    return _free_ports({"amqp": ports.amqp, "management": ports.management})


def _free_ports(wanted: dict[str, object]) -> Ports:
    chosen: dict[str, int] = {}
    for name in (item.name for item in fields(Ports)):
        port = wanted.get(name)
        if not isinstance(port, int) or port in chosen.values() or not _is_free(port):
            port = _free_port(avoid=set(chosen.values()))
        chosen[name] = port
    return Ports(**chosen)


def _free_port(*, avoid: set[int]) -> int:
    for _ in range(_TRIES):
        port = secrets.choice(_PORTS)
        if port not in avoid and _is_free(port):
            return port
    raise OSError(f"no free port on {_LOOPBACK} in {_TRIES} tries")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True
