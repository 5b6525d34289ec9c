"""Starts the services of a process in order and stops them in the opposite one."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from taskmill.observability.logs import get_logger

log = get_logger(__name__)


class Service(Protocol):
    """Something that runs until it is asked to stop."""

    @property
    def name(self) -> str:
        """Its name in logs."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end by itself; cancellation ends it at once."""
        ...


class ServiceEnded(Exception):
    """A service returned although it was not asked to stop."""


async def run_services(services: Sequence[Service], stop: asyncio.Event, *, grace_s: float) -> None:
    """Run all services until `stop` is set or one of them fails.

    They are stopped in reverse order, one after the other; each has `grace_s` to end by itself before it
    is cancelled.

    Raises:
        ExceptionGroup: with the error of the service that failed; the others were cancelled.
    """
    stops = [asyncio.Event() for _ in services]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_run(service, own_stop), name=service.name)
            for service, own_stop in zip(services, stops, strict=True)
        ]
        await stop.wait()
        for task, own_stop in reversed(list(zip(tasks, stops, strict=True))):
            own_stop.set()
            await asyncio.wait([task], timeout=grace_s)
            if not task.done():
                log.warning("service.cancelled", service=task.get_name(), grace_s=grace_s)
                task.cancel()
                await asyncio.wait([task])


async def _run(service: Service, stop: asyncio.Event) -> None:
    try:
        await service.run(stop)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            # Nobody has cancelled it: a library reports something so. A task group would take no notice.
            raise ServiceEnded(f"{service.name} was cancelled from within") from error
        raise
    if not stop.is_set():
        raise ServiceEnded(service.name)
