"""A RabbitMQ node with the settings that `taskmill up` gives it, and a virtual host for each measurement.

The node is installed or fetched as for `taskmill up`. Each measurement has a virtual host of its own, without
remains of an earlier round.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aio_pika
import httpx
from aio_pika.abc import AbstractQueue

from taskmill.amqp.topology import create_arguments
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ

_RIGHTS = {"configure": ".*", "write": ".*", "read": ".*"}
_RESPONSE_TIMEOUT_S = 30.0
_POLL_S = 0.1
_PUBLISHED_AT_ONCE = 500


class Broker:
    """Makes virtual hosts on one running node."""

    def __init__(self, node: EmbeddedRabbitMQ) -> None:
        self._node = node
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def vhost(self) -> AsyncIterator[str]:
        """Make a virtual host and return its AMQP address; it is removed with all that is in it."""
        name = f"bench_{next(self._numbers)}"
        async with self._management() as management:
            await self._call(management, "PUT", f"/vhosts/{name}", {})
            user = urlsplit(self._node.amqp_url).username
            await self._call(management, "PUT", f"/permissions/{name}/{user}", _RIGHTS)
        try:
            yield f"{self._node.amqp_url}{name}"
        finally:
            async with self._management() as management:
                await self._call(management, "DELETE", f"/vhosts/{name}")

    async def wait(self) -> None:
        """Wait until the management API responds: it starts after the broker."""
        async with asyncio.timeout(_RESPONSE_TIMEOUT_S), self._management() as management:
            while not await _is_ready(management):  # noqa: ASYNC110 - another process gets there
                await asyncio.sleep(_POLL_S)

    def _management(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"{self._node.management_url}/api",
            auth=(urlsplit(self._node.amqp_url).username or "", self._node.password),
            timeout=_RESPONSE_TIMEOUT_S,
            trust_env=False,
        )

    async def _call(
        self,
        management: httpx.AsyncClient,
        method: str,
        path: str,
        body: Mapping[str, str] | None = None,
    ) -> None:
        response = await management.request(method, path, json=body)
        response.raise_for_status()


async def _is_ready(management: httpx.AsyncClient) -> bool:
    try:
        return (await management.get("/overview")).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def creation_queue(url: str, name: str) -> AsyncIterator[AbstractQueue]:
    """Make a queue like the intake's, and connect to it with confirms."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel(publisher_confirms=True) as channel:
        # From this version on, a queue must be set to drop nothing: see create_arguments.
        arguments = create_arguments((4,))
        yield await channel.declare_queue(name, durable=True, arguments=arguments)


async def publish_all(queue: AbstractQueue, messages: Sequence[aio_pika.Message]) -> None:
    """Publish to the queue and return when the broker has every message."""
    exchange = queue.channel.default_exchange
    for start in range(0, len(messages), _PUBLISHED_AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for message in messages[start : start + _PUBLISHED_AT_ONCE]:
                group.create_task(exchange.publish(message, routing_key=queue.name))
