"""Faults of RabbitMQ: killed, wiped, in alarm, and with queues, exchanges and policies changed by an operator."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from taskmill.amqp.names import CREATE_QUEUE, EVENTS_EXCHANGE, EXCHANGE, HINTS
from tests.chaos.faults.scene import Fault, Scene
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer, Management

_POLICY = "hostile"
# Policies that an operator may set without causing losses: hints may vanish at any time; the queue of creation
# messages may refuse messages, but not drop them.
_POLICIES: Sequence[tuple[str, dict[str, Any]]] = (
    (f"^{HINTS}", {"max-length": 1, "overflow": "reject-publish"}),
    (f"^{HINTS}", {"message-ttl": 1}),
    (f"^{HINTS}", {"expires": 1000}),
    (f"^{CREATE_QUEUE}$", {"max-length": 1, "overflow": "reject-publish"}),
)
_ALARMS = {
    "memory": ("set_vm_memory_high_watermark", "0.00001", "0.25"),
    "disk": ("set_disk_free_limit", "900000GB", "50MB"),
}


class BrokerFaults:
    """Faults of the node, one at a time."""

    def __init__(self, scene: Scene, broker: BrokerServer) -> None:
        self._scene = scene
        self._dice = scene.dice
        self._broker = broker

    def all(self) -> Mapping[str, Fault]:
        """Return all faults by name."""
        return {
            "broker_killed": self._kill,
            "broker_wiped": self._wipe,
            "broker_connections_closed": self._close_connections,
            "hints_deleted": self._delete_hints,
            "exchange_deleted": self._delete_an_exchange,
            "binding_deleted": self._delete_the_binding,
            "memory_alarm": lambda: self._raise_alarm("memory"),
            "disk_alarm": lambda: self._raise_alarm("disk"),
            "hostile_policy": self._set_a_policy,
        }

    async def heal(self) -> None:
        """Do nothing: each fault undoes itself."""

    async def _kill(self) -> bool:
        return await self._end_node(self._broker.kill, self._dice.choice((0, 1, 5)))

    async def _wipe(self) -> bool:
        is_wiped = await self._end_node(self._broker.wipe, 0)
        # Messages that were not consumed yet are lost.
        self._scene.history.broker_wiped_at = asyncio.get_running_loop().time()
        return is_wiped

    async def _end_node(self, harm: Callable[[], None], seconds: float) -> bool:
        async with self._scene.alone_with("broker"):
            did_run = self._broker.pid is not None
            await asyncio.to_thread(harm)
            has_ended = self._broker.pid is None
            await asyncio.sleep(seconds)
            self._broker.spawn()
            await asyncio.to_thread(self._broker.wait)
        return did_run and has_ended

    async def _close_connections(self) -> bool:
        async with self._a_management() as management:
            return await asyncio.to_thread(management.close_connections) > 0

    async def _delete_hints(self) -> bool:
        deleted = 0
        async with self._a_management() as management:
            names = [n for n in await asyncio.to_thread(management.queues) if n.startswith(HINTS)]
            for name in names:
                with suppress(AssertionError):  # another has deleted it
                    await asyncio.to_thread(management.delete_queue, name)
                    deleted += 1
        return deleted > 0

    async def _delete_an_exchange(self) -> bool:
        name = self._dice.choice((EXCHANGE, EVENTS_EXCHANGE))
        async with self._a_management() as management:
            return await asyncio.to_thread(management.delete_exchange, name)

    async def _delete_the_binding(self) -> bool:
        async with self._a_management() as management:
            return await asyncio.to_thread(management.unbind, EXCHANGE, CREATE_QUEUE)

    async def _raise_alarm(self, kind: str) -> bool:
        """Make it block publishers for a while; it still delivers."""
        command, alarming, usual = _ALARMS[kind]
        async with self._a_management() as management:
            await asyncio.to_thread(self._broker.control, command, alarming)
            with suppress(AssertionError):
                await eventually(_of(management.has_alarm), "the alarm", timeout_s=5)
            is_raised = await asyncio.to_thread(management.has_alarm)
            await asyncio.sleep(self._dice.choice((1, 4)))
            await asyncio.to_thread(self._broker.control, command, usual)
        return is_raised

    async def _set_a_policy(self) -> bool:
        pattern, definition = self._dice.choice(_POLICIES)
        async with self._a_management() as management:
            await asyncio.to_thread(management.set_policy, _POLICY, pattern, definition)
            with suppress(AssertionError):
                await eventually(_of(_holds, management), "the policy to hold", timeout_s=5)
            holds = await asyncio.to_thread(_holds, management)
            await asyncio.sleep(self._dice.choice((1, 3)))
            await asyncio.to_thread(management.delete_policy, _POLICY)
        return holds

    @asynccontextmanager
    async def _a_management(self) -> AsyncIterator[Management]:
        async with self._scene.alone_with("broker"):
            yield self._broker.management()


def _holds(management: Management) -> bool:
    """Return whether some queue is under the policy."""
    return any(queue.get("policy") == _POLICY for queue in management.queues().values())


def _of(check: Callable[..., bool], *arguments: object) -> Callable[[], Any]:
    async def probe() -> bool:
        return await asyncio.to_thread(check, *arguments)

    return probe
