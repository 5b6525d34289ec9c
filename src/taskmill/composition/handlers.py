"""Says which handlers a worker process has, and in which pools they run.

Async handlers share the event loop and may be many; plain functions need threads, isolated ones processes, of
which there are fewer. So each kind has a worker of its own, with its own slots, and takes no more than it can run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from taskmill.app import TaskType
from taskmill.app.registry import Taskmill
from taskmill.composition.outgoing import open_outbound, signer
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import ConfigurationError
from taskmill.runtime.services import Service
from taskmill.wire.push import TYPE as PUSH
from taskmill.worker.calling import in_loop, in_processes, in_threads
from taskmill.worker.emulation import Emulation, Profile
from taskmill.worker.handlers import EVERY_TYPE, Handler, Handlers
from taskmill.worker.isolation.pool import IsolatedProcesses
from taskmill.worker.threads import Threads
from taskmill.worker.traced import noting_exceptions


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


def pools(parts: ProcessContext) -> list[Pool]:
    """Return the pools of a worker: for its built-in types and async handlers, and those that its app needs.

    Raises:
        ConfigurationError: types of the app are to be emulated as well.
    """
    settings, app = parts.settings.worker, parts.app or Taskmill()
    plain = [made for made in app if made.isolation is None and not made.is_async]
    isolated = [made for made in app if made.isolation is not None]
    apart = {made.name for made in (*plain, *isolated)}
    if both := apart.intersection(parts.settings.emulation.types):
        raise ConfigurationError(
            f"TASKMILL_EMULATION__TYPES names {min(both)}, for which app {settings.app} has a handler: "
            "now and then it would be emulated"
        )
    if EVERY_TYPE in parts.settings.emulation.types and apart:
        raise ConfigurationError(
            f"TASKMILL_EMULATION__TYPES=* would emulate types of app {settings.app}: name those to be emulated"
        )
    found = [_loop_pool(parts, [made for made in app if made.isolation is None and made.is_async])]
    if plain:
        found.append(_thread_pool(parts, plain))
    if isolated:
        found.append(_process_pool(parts, isolated))
    return found


def built_in_pool(parts: ProcessContext, name: str) -> Pool:
    """Return a pool of the types that every worker has."""
    return _pool(parts, name, _built_in(parts), parts.settings.worker.concurrency)


def _loop_pool(parts: ProcessContext, made: Sequence["TaskType[..., Any]"]) -> Pool:
    settings = parts.settings.worker
    handlers = _built_in(parts) | {one.name: in_loop(one) for one in made}
    return _pool(parts, settings.name, handlers, settings.concurrency, made)


def _thread_pool(parts: ProcessContext, made: Sequence["TaskType[..., Any]"]) -> Pool:
    settings, threads = parts.settings.worker, Threads()
    handlers: dict[str, Handler] = {one.name: in_threads(one, threads) for one in made}
    return _pool(parts, f"{settings.name}-threads", handlers, settings.threads, made)


def _process_pool(parts: ProcessContext, made: Sequence["TaskType[..., Any]"]) -> Pool:
    settings = parts.settings.worker
    assert settings.app is not None  # noqa: S101 - the types are its
    processes = IsolatedProcesses(
        settings.app,
        result_bytes=parts.settings.limits.result_bytes,
        stop_timeout_s=settings.stop_timeout_s,
    )
    handlers: dict[str, Handler] = {one.name: in_processes(one, processes) for one in made}
    name = f"{settings.name}-processes"
    return _pool(parts, name, handlers, settings.isolated, made, beside=[processes])


def _built_in(parts: ProcessContext) -> dict[str, Handler]:
    emulation = parts.settings.emulation
    profile = Profile(
        delay_min_s=emulation.delay_min_s,
        delay_max_s=emulation.delay_max_s,
        failure_probability=emulation.failure_probability,
    )
    emulated: Handler = Emulation(profile, parts.randomness)
    handlers = dict.fromkeys(("emulate", *emulation.types), emulated)
    # A front-end team may want calls emulated, too.
    handlers.setdefault(PUSH, _push(parts))
    return handlers


def _push(parts: ProcessContext) -> Handler:
    # Here, because the HTTP client takes 0.1 s to import, and the API needs it for a drain only.
    from taskmill.worker.push import Push  # noqa: PLC0415

    settings = parts.settings.outbound
    return Push(
        open_outbound(parts),
        signer(parts),
        parts.clock,
        timeout_s=settings.timeout_s,
        longest_wait=timedelta(seconds=settings.retry_after_s),
        result_bytes=parts.settings.limits.result_bytes,
    )


def _pool(
    parts: ProcessContext,
    name: str,
    handlers: dict[str, Handler],
    slots: int,
    made: Sequence["TaskType[..., Any]"] = (),
    *,
    beside: Sequence[Service] = (),
) -> Pool:
    if parts.traces is not None:
        handlers = {kind: noting_exceptions(handler) for kind, handler in handlers.items()}
    exclusive = {*parts.settings.worker.exclusive_types, *(m.name for m in made if m.is_exclusive)}
    return Pool(
        name=name,
        handlers=Handlers(handlers, exclusive=exclusive),
        slots=slots,
        beside=beside,
        contracts=[one.contract() for one in made],
    )
