"""The network of `proxy` for tests without an event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.proxy import Network, a_network


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A proxy before a database, which can be cut; `url` is the database's address through it."""

    url: str
    _network: Network
    _loop: asyncio.AbstractEventLoop

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._loop.call_soon_threadsafe(lambda: self._network.refuse(refuses=True))
        self._loop.call_soon_threadsafe(self._network.break_all)

    def restore(self) -> None:
        """Accept connections again."""
        self._loop.call_soon_threadsafe(lambda: self._network.refuse(refuses=False))


@contextmanager
def a_wire(url: str) -> Iterator[Wire]:
    """Run a proxy before a database in a thread of its own."""
    is_up = threading.Event()
    wires: list[Wire] = []
    ends: list[asyncio.Event] = []

    async def carry() -> None:
        async with a_network(url) as (network, through):
            ends.append(asyncio.Event())
            wires.append(Wire(url=through, _network=network, _loop=asyncio.get_running_loop()))
            is_up.set()
            await ends[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(carry()), name="wire")
    thread.start()
    assert is_up.wait(10)
    try:
        yield wires[0]
    finally:
        wires[0]._loop.call_soon_threadsafe(ends[0].set)
        thread.join(10)
