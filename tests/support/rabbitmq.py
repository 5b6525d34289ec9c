"""A RabbitMQ node for a test session, virtual hosts on it, and nodes that a test may break.

The node is installed or fetched as for `taskmill up`; where neither works the tests fail.
"""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aio_pika
import httpx

from taskmill.embedded.fetching import find_or_fetch
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from tests.support.polling import wait_until

# Counts in the management's listings are as old as this, in milliseconds.
FAST_SETTINGS: Mapping[str, str] = MappingProxyType({"collect_statistics_interval": "1000"})


class Management:
    """The calls of a node's management API that tests need, about one virtual host."""

    def __init__(self, url: str, password: str, vhost: str = "/") -> None:
        self._vhost = quote(vhost, safe="")
        self._client = httpx.Client(
            base_url=f"{url}/api", auth=("taskmill", password), timeout=10, trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def add_vhost(self, *, default_queue_type: str | None = None) -> None:
        """Make the virtual host, with every right for the user."""
        settings = {"default_queue_type": default_queue_type} if default_queue_type else {}
        self.call("PUT", f"/vhosts/{self._vhost}", settings)
        self.allow()

    def allow(self, *, but: str | None = None, write: str = ".*") -> None:
        """Give the user all rights except to declare the queue `but`; to write only where `write` matches."""
        configure = ".*" if but is None else f"^(?!{re.escape(but)}$).*"
        rights = {"configure": configure, "write": write, "read": ".*"}
        self.call("PUT", f"/permissions/{self._vhost}/taskmill", rights)

    def drop_vhost(self) -> None:
        """Remove the virtual host with all that is in it; its connections are closed."""
        self.call("DELETE", f"/vhosts/{self._vhost}")

    def queues(self) -> dict[str, dict[str, Any]]:
        """Return all queues by name; their counts lag by some seconds (a passive declare's do not)."""
        found: list[dict[str, Any]] = self.call("GET", f"/queues/{self._vhost}?disable_stats=false")
        return {queue["name"]: queue for queue in found}

    def delete_queue(self, name: str) -> None:
        """Delete a queue, whatever is in it; its consumers are cancelled."""
        self.call("DELETE", f"/queues/{self._vhost}/{quote(name, safe='')}")

    def delete_exchange(self, name: str) -> bool:
        """Delete an exchange with all its bindings; return whether it was there."""
        return self._delete(f"/exchanges/{self._vhost}/{quote(name, safe='')}")

    def unbind(self, exchange: str, queue: str) -> bool:
        """Delete all bindings of a queue to an exchange; return whether there was one."""
        path = f"/bindings/{self._vhost}/e/{quote(exchange, safe='')}/q/{quote(queue, safe='')}"
        try:
            found = self.call("GET", path)
        except AssertionError:  # the exchange or the queue does not exist
            return False
        gone = [self._delete(f"{path}/{binding['properties_key']}") for binding in found]
        return any(gone)

    def set_policy(self, name: str, pattern: str, definition: Mapping[str, object]) -> None:
        """Set a policy for all queues and exchanges whose names match, above any other."""
        policy = {"pattern": pattern, "definition": definition, "priority": 99, "apply-to": "all"}
        self.call("PUT", f"/policies/{self._vhost}/{name}", policy)

    def delete_policy(self, name: str) -> bool:
        """Delete a policy; return whether it was there."""
        return self._delete(f"/policies/{self._vhost}/{name}")

    def has_alarm(self) -> bool:
        """Whether the node blocks publishers, for want of memory or disk."""
        return self._client.get("/health/checks/local-alarms").status_code == 503

    def _delete(self, path: str) -> bool:
        response = self._client.delete(path)
        assert response.status_code in {204, 404}, response.text
        return response.status_code == 204

    def consumers(self) -> list[dict[str, Any]]:
        """Return the consumers of the virtual host."""
        found: list[dict[str, Any]] = self.call("GET", f"/consumers/{self._vhost}")
        return found

    def connections(self) -> list[dict[str, Any]]:
        """Return the connections to the virtual host."""
        found: list[dict[str, Any]] = self.call("GET", f"/vhosts/{self._vhost}/connections")
        return found

    def close_connections(self) -> int:
        """Close every connection to the virtual host, as an operator does; return how many."""
        names = [connection["name"] for connection in self.connections()]
        for name in names:
            self._delete(f"/connections/{quote(name, safe='')}")
        return len(names)

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call any path below /api; fail unless that succeeds."""
        response = self._client.request(method, path, json=body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def serves(self) -> bool:
        """Whether the management API responds."""
        try:
            return self._client.get("/overview").is_success
        except httpx.TransportError:
            return False


@dataclass(frozen=True, kw_only=True)
class SharedBroker:
    """Virtual hosts on a node that another process starts and stops."""

    amqp_url: str
    management_url: str
    password: str


class VirtualHosts:
    """Virtual hosts on one node, and the management calls about them."""

    def __init__(self, node: EmbeddedRabbitMQ | SharedBroker) -> None:
        self._numbers = itertools.count(1)
        self._at = node
        self._management: dict[str, Management] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for management in self._management.values():
            management.close()

    def management(self, url: str | None = None) -> Management:
        """Return the management calls about the virtual host of an AMQP address (default `/`)."""
        vhost = vhost_of(url) if url else "/"
        if vhost not in self._management:
            self._management[vhost] = Management(self._at.management_url, self._at.password, vhost)
        return self._management[vhost]

    def create(self) -> str:
        """Make a virtual host and return its address."""
        url = f"{self._at.amqp_url}test_{os.getpid()}_{next(self._numbers)}"
        self.management(url).add_vhost()
        return url

    def drop(self, url: str) -> None:
        """Remove a virtual host, whatever is still connected to it."""
        management = self.management(url)
        management.drop_vhost()
        management.close()
        del self._management[vhost_of(url)]


class BrokerServer(VirtualHosts):
    """A node, with what a test may do to it. Start it in the main thread."""

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] = FAST_SETTINGS) -> None:
        self._node = EmbeddedRabbitMQ(data_dir, settings=settings)
        super().__init__(self._node)

    def __enter__(self) -> Self:
        self.start()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._node.stop()

    @property
    def url(self) -> str:
        """The address of the virtual host `/`; the same after `kill`, `start` and `wipe`."""
        return self._node.amqp_url

    def shared(self) -> SharedBroker:
        """Return what another process needs to know of it."""
        return SharedBroker(
            amqp_url=self._node.amqp_url,
            management_url=self._node.management_url,
            password=self._node.password,
        )

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._node.pid

    @property
    def node(self) -> EmbeddedRabbitMQ:
        """The node itself."""
        return self._node

    def start(self) -> None:
        """Start it (again), and return when it serves clients and the management API."""
        self.spawn()
        self._node.wait_until_ready()
        self.wait()

    def spawn(self) -> None:
        """Start it (again), and return at once, so that the test's event loop goes on."""
        if not self._node.revive():
            self._node.start(find_or_fetch(_say))

    def wait(self) -> None:
        """Wait until it serves clients and the management API; may be called in any thread."""
        wait_until(self._node.is_ready, "the broker serves", timeout_s=60)
        wait_until(self.management().serves, "the management API", timeout_s=30)

    def kill(self, *, settled: bool = True) -> None:
        """Kill the server as `kill -9` does; the folder and the address stay its own.

        RabbitMQ breaks a quorum queue for good when it is killed within about 1.5 s after the queue was made
        (consumers hang; only deleting it helps). With `settled` this waits until no queue is that new.
        """
        pid = self._node.pid
        assert pid, "the broker runs"
        if settled:
            queues = self.management().call("GET", "/queues")
            names = [queue["name"] for queue in queues if queue["type"] == "quorum"]
            await_queues_on_disk(self._node, *names)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self._node.pid is None, "the broker has died")

    def freeze(self) -> None:
        """Suspend the server's process: the system accepts connections, and nothing responds."""
        assert self._node.pid, "the broker runs"
        os.kill(self._node.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        assert self._node.pid, "the broker runs"
        os.kill(self._node.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it and remove its data; `start` brings an empty broker to the same address."""
        if self._node.pid is not None:
            self.kill(settled=False)
        shutil.rmtree(self._node.data_dir / "data")

    def control(self, *words: str) -> None:
        """Run `rabbitmqctl` against the node, which takes half a second."""
        pid = self._node.pid
        assert pid, "the broker runs"
        lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        done = subprocess.run(  # noqa: S603 - our own program and words
            [find_or_fetch(_say).server.parent / "rabbitmqctl", "--quiet", *words],
            env=dict(line.split("=", 1) for line in lines if "=" in line),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def await_queues_on_disk(node: EmbeddedRabbitMQ, *queues: str) -> None:
    """Wait until a node has written these quorum queues to disk, which it does only now and then."""
    (register,) = node.data_dir.glob("data/*/quorum/*/names.dets")

    def has_all() -> bool:
        written = register.read_bytes()
        return all(f"_{queue}".encode() in written for queue in queues)

    wait_until(has_all, f"{queues} are on the disk")


def processes_of(folder: Path) -> list[int]:
    """Every process whose environment names the folder: the node, its epmd, and their children."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={folder}/home".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def publish_task(url: str, name: str) -> None:
    """Create a task as any producer does, by publishing."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("taskmill")
        body = json.dumps({"name": name, "payload": {"delay_s": 0, "failure_probability": 0}})
        await exchange.publish(aio_pika.Message(body.encode()), routing_key="tasks.create")


def vhost_of(url: str) -> str:
    """The virtual host that an AMQP address names."""
    return urlsplit(url).path[1:] or "/"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
