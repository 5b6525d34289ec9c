"""Taskmill: a self-hosted task service.

What programs that use it need is here; each name is imported when somebody asks for it, so that a client does not
pay for what a worker needs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmill.app import (
        Context,
        PayloadRefused,
        PermanentFailure,
        RetryLater,
        RetryPolicy,
        ScheduledTick,
        Stopped,
        Taskmill,
        TaskType,
    )
    from taskmill.client import AsyncTaskmillClient as AsyncClient, TaskmillClient as Client
    from taskmill.client.enqueue import enqueue

    __version__: str

__all__ = [
    "AsyncClient",
    "Client",
    "Context",
    "PayloadRefused",
    "PermanentFailure",
    "RetryLater",
    "RetryPolicy",
    "ScheduledTick",
    "Stopped",
    "TaskType",
    "Taskmill",
    "__version__",
    "enqueue",
]

_CLIENTS = {"AsyncClient": "AsyncTaskmillClient", "Client": "TaskmillClient"}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - see above

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        return import_module(f"{__name__}.version").VERSION
    if name == "enqueue":
        return import_module(f"{__name__}.client.enqueue").enqueue
    if name in _CLIENTS:
        return getattr(import_module(f"{__name__}.client"), _CLIENTS[name])
    extras = import_module(f"{__name__}.domain.extras")
    with extras.needing(f"{__name__}.{name}", extra="worker"):
        return getattr(import_module(f"{__name__}.app"), name)
