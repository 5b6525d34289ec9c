"""Makes handlers from an app's task types: they bind payloads to arguments, and call the functions."""

from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from typing import Any

from taskmill.app import Context, TaskType
from taskmill.worker.handlers import Handler
from taskmill.worker.isolation.pool import IsolatedProcesses
from taskmill.worker.threads import Threads


def in_loop(made: "TaskType[..., Any]") -> Handler:
    """Return the handler that awaits an async function."""
    function, arguments = made.function, made.binding.arguments

    async def handle(context: Context) -> object:
        value = function(**arguments(context))
        result: object = await value if isawaitable(value) else value
        return result

    return handle


def in_threads(made: "TaskType[..., Any]", threads: Threads) -> Handler:
    """Return the handler that calls a plain function in a thread."""
    function: Callable[..., object] = made.function
    arguments = made.binding.arguments

    async def handle(context: Context) -> object:
        return await threads.run(partial(function, **arguments(context)))

    return handle


def in_processes(made: "TaskType[..., Any]", processes: IsolatedProcesses) -> Handler:
    """Return the handler that calls the function in an isolated process."""
    arguments = made.binding.arguments

    async def handle(context: Context) -> object:
        # An invalid payload is refused here, before it costs a process.
        arguments(context)
        return await processes.call(context)

    return handle
