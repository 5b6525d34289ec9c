"""A cluster of three RabbitMQ nodes on this machine, and what a test may do to each."""

import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from taskmill.embedded.fetching import find_or_fetch
from taskmill.embedded.programs import end
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ, Membership
from taskmill.embedded.rabbitmq_folder import RabbitMQFolder, Secrets
from taskmill.embedded.rabbitmq_node import Node
from tests.support.polling import wait_until
from tests.support.rabbitmq import FAST_SETTINGS, Management

_NAMES = ("one@localhost", "two@localhost", "three@localhost")


class BrokerCluster:
    """Three nodes; `url` names them all. Start it in the main thread."""

    def __init__(self, folder: Path) -> None:
        self._programs = find_or_fetch(print)
        self._folder = RabbitMQFolder(folder / "epmd")
        self._epmd: subprocess.Popen[bytes] | None = None
        opened, ports = self._folder.reserve()
        self._host = Node(
            programs=self._programs,
            folder=self._folder,
            secrets=opened,
            ports=ports,
            settings={},
            name="epmd@localhost",
        )
        shared = Secrets(password=secrets.token_hex(8), cookie=secrets.token_hex(8))
        self.nodes: Sequence[EmbeddedRabbitMQ] = [
            EmbeddedRabbitMQ(
                folder / name,
                settings=_settings(),
                member=Membership(name=name, secrets=shared, epmd_port=ports.epmd),
            )
            for name in _NAMES
        ]

    def __enter__(self) -> Self:
        try:
            self._epmd = self._host.spawn_epmd()
            for node in self.nodes:
                node.start(self._programs)
            for node in self.nodes:
                node.wait_until_ready()
            wait_until(self._is_whole, "three nodes run together", timeout_s=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # All at once: stopped one after the other, the last ones would wait for a majority.
        for node in self.nodes:
            if node.pid is not None:
                os.kill(node.pid, signal.SIGKILL)
        for node in self.nodes:
            node.stop()
        if self._epmd is not None:
            end(self._epmd, [(signal.SIGKILL, 5.0)])
        self._folder.release()

    @property
    def url(self) -> str:
        """The address with the hosts of all nodes."""
        hosts = ",".join(f"127.0.0.1:{urlsplit(node.amqp_url).port}" for node in self.nodes)
        return f"amqp://taskmill:{self.nodes[0].password}@{hosts}/"

    def kill(self, number: int) -> None:
        """Kill one node (0, 1, 2) as `kill -9` does."""
        node = self.nodes[number]
        assert node.pid, "the node runs"
        os.kill(node.pid, signal.SIGKILL)
        wait_until(lambda: node.pid is None, "the node has died")

    def restart(self, number: int) -> None:
        """Start a killed node again; `nodes[number].is_ready()` is true once it serves."""
        assert self.nodes[number].revive()

    def _is_whole(self) -> bool:
        management = Management(self.nodes[0].management_url, self.nodes[0].password)
        try:
            if not management.serves():
                return False
            nodes = management.call("GET", "/nodes")
        finally:
            management.close()
        return [node["running"] for node in nodes] == [True] * len(_NAMES)


def _settings() -> dict[str, str]:
    peers = {
        f"cluster_formation.classic_config.nodes.{number}": name
        for number, name in enumerate(_NAMES, 1)
    }
    return {
        **FAST_SETTINGS,
        **peers,
        "cluster_formation.peer_discovery_backend": "classic_config",
        "cluster_formation.target_cluster_size_hint": str(len(_NAMES)),
        "cluster_partition_handling": "pause_minority",
    }
