"""Decides which handlers a worker process has, and in which pools they run.

Async handlers share the event loop, so there may be many; plain functions need threads and isolated ones
processes, of which there are fewer. So each kind has its own worker with its own slots, and claims no more than it
can run.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

from taskmill.app import Context, TaskType
from taskmill.app.registry import Taskmill
from taskmill.composition.outgoing import open_outbound, push_signer
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import ConfigurationError
from taskmill.runtime.services import Service
from taskmill.wire.push import TYPE as PUSH
from taskmill.worker.attempt_spans import recording_exceptions
from taskmill.worker.calling import in_loop, in_processes, in_threads
from taskmill.worker.emulation import Emulation, Profile
from taskmill.worker.handlers import EVERY_TYPE, Handler, Handlers
from taskmill.worker.isolation.pool import IsolatedProcesses
from taskmill.worker.scheduled_ticks import with_ticks
from taskmill.worker.threads import Threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Handlers that share slots, the worker's name for them, and what must run `beside` them.

    `contracts` are of the types that are not built in.
    """

    name: str
    handlers: Handlers
    slots: int
    beside: Sequence[Service] = ()
    contracts: Sequence[TypeContract] = ()


def pools(context: ProcessContext) -> list[Pool]:
    """Return the pools of a worker: for its built-in types and async handlers, and those that its app needs.

    Raises:
        ConfigurationError: types of the app are to be emulated as well.
    """
    settings, app = context.settings.worker, context.app or Taskmill()
    plain = [one for one in app if one.isolation is None and not one.is_async]
    isolated = [one for one in app if one.isolation is not None]
    outside_loop = {one.name for one in (*plain, *isolated)}
    if emulated := outside_loop.intersection(context.settings.emulation.types):
        raise ConfigurationError(
            f"TASKMILL_EMULATION__TYPES names {min(emulated)}, for which app {settings.app} has a handler: "
            "now and then it would be emulated"
        )
    if EVERY_TYPE in context.settings.emulation.types and outside_loop:
        raise ConfigurationError(
            f"TASKMILL_EMULATION__TYPES=* would emulate types of app {settings.app}: name those to be emulated"
        )
    found = [_loop_pool(context, [one for one in app if one.isolation is None and one.is_async])]
    if plain:
        found.append(_thread_pool(context, plain))
    if isolated:
        found.append(_process_pool(context, isolated))
    return found


def built_in_pool(context: ProcessContext, name: str) -> Pool:
    """Return a pool of the types that every worker has."""
    return _pool(context, name, _built_in(context), context.settings.worker.concurrency)


def _loop_pool(context: ProcessContext, types: Sequence["TaskType[..., Any]"]) -> Pool:
    settings = context.settings.worker
    handlers = _built_in(context) | {one.name: _ticked(context, one, in_loop(one)) for one in types}
    return _pool(context, settings.name, handlers, settings.concurrency, types)


def _thread_pool(context: ProcessContext, types: Sequence["TaskType[..., Any]"]) -> Pool:
    settings, threads = context.settings.worker, Threads()
    handlers = {one.name: _ticked(context, one, in_threads(one, threads)) for one in types}
    return _pool(context, f"{settings.name}-threads", handlers, settings.threads, types)


def _process_pool(context: ProcessContext, types: Sequence["TaskType[..., Any]"]) -> Pool:
    settings = context.settings.worker
    assert settings.app is not None  # noqa: S101 - the types come from it
    processes = IsolatedProcesses(
        settings.app,
        result_bytes=context.settings.limits.result_bytes,
        stop_timeout_s=settings.stop_timeout_s,
    )
    handlers = {one.name: _ticked(context, one, in_processes(one, processes)) for one in types}
    name = f"{settings.name}-processes"
    return _pool(context, name, handlers, settings.isolated, types, beside=[processes])


def _ticked(context: ProcessContext, made: "TaskType[..., Any]", handler: Handler) -> Handler:
    """Return a handler whose context has the schedule of its task, if the function takes a context."""
    return handler if made.binding.context is None else with_ticks(handler, context.database)


def _built_in(context: ProcessContext) -> dict[str, Handler]:
    emulation = context.settings.emulation
    profile = Profile(
        delay_min_s=emulation.delay_min_s,
        delay_max_s=emulation.delay_max_s,
        failure_probability=emulation.failure_probability,
    )
    emulated: Handler = Emulation(profile, context.randomness)
    handlers = dict.fromkeys(("emulate", *emulation.types), emulated)
    # Calls may be emulated, too, for instance by a front-end team.
    handlers.setdefault(PUSH, _push(context))
    return handlers


def _push(context: ProcessContext) -> Handler:
    """Return the handler of pushes, which is made at the first one: the HTTP client takes 0.1 s and 7 MB."""
    made: list[Handler] = []

    async def push(call: Context) -> object:
        if not made:
            await asyncio.to_thread(import_module, "taskmill.worker.push")
            made.append(_make_push(context))
        return await made[0](call)

    return push


def _make_push(context: ProcessContext) -> Handler:
    from taskmill.worker.push import Push  # noqa: PLC0415 - see `_push`

    settings = context.settings.outbound
    return Push(
        open_outbound(context),
        push_signer(context),
        context.clock,
        timeout_s=settings.timeout_s,
        longest_wait=timedelta(seconds=settings.retry_after_s),
        result_bytes=context.settings.limits.result_bytes,
    )


def _pool(
    context: ProcessContext,
    name: str,
    handlers: dict[str, Handler],
    slots: int,
    types: Sequence["TaskType[..., Any]"] = (),
    *,
    beside: Sequence[Service] = (),
) -> Pool:
    if context.traces is not None:
        handlers = {kind: recording_exceptions(handler) for kind, handler in handlers.items()}
    exclusive = {
        *context.settings.worker.exclusive_types,
        *(one.name for one in types if one.is_exclusive),
    }
    return Pool(
        name=name,
        handlers=Handlers(handlers, exclusive=exclusive),
        slots=slots,
        beside=beside,
        contracts=[one.contract() for one in types],
    )
