"""The folder of one embedded RabbitMQ node: its owner, secrets, ports, and where things are.

It holds `node.json` (password, cookie and ports), `home` (the cookie as Erlang requires it), `rabbitmq.conf`,
`plugins`, `data` (the node's data), `log`, `console.log` (output before there is a log) and `owner` (locked while
a process owns the folder). It does not read the data.
"""

import json
import secrets
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from taskmill.embedded.ownership import Ownership
from taskmill.embedded.private_files import write_private

# Below the ports that systems use for outgoing connections, which could take one between two starts.
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
    """The password of a node's user, and its Erlang cookie."""

    password: str
    cookie: str


class RabbitMQFolder(Ownership):
    """Paths, ownership, secrets and ports of a node's folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.node_file = path / "node.json"
        self.home = path / "home"
        self.data = path / "data"
        self.configuration = path / "rabbitmq.conf"
        self.plugins = path / "plugins"
        self.logs = path / "log"
        self.console = path / "console.log"

    def reserve(self) -> tuple[Secrets, Ports]:
        """Become the only owner; return the secrets, and ports of which each is free now.

        Both are saved for the next start, which uses the ports that are still free.

        Raises:
            DataFolderInUseError: another process owns the folder.
            DataFolderUnusableError: it cannot be made or written.
        """
        self.take()
        saved = self._load()
        node_secrets = Secrets(
            password=str(saved.get("password") or secrets.token_hex(24)),
            cookie=str(saved.get("cookie") or secrets.token_hex(24)),
        )
        ports = _free_ports(saved)
        self.save(node_secrets, ports)
        return node_secrets, ports

    def save(self, node_secrets: Secrets, ports: Ports) -> None:
        """Save secrets and ports for the next start."""
        text = json.dumps({**asdict(node_secrets), **asdict(ports)}, indent=2)
        write_private(self.node_file, f"{text}\n")

    def _load(self) -> dict[str, object]:
        try:
            saved: dict[str, object] = json.loads(self.node_file.read_text())
        except FileNotFoundError:
            return {}
        return saved


def with_other_ports(ports: Ports) -> Ports:
    """Return the same ports for clients, with others for what only Erlang uses."""
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
