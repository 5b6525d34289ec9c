"""Checks whether a key may do what a task's draft or an address asks for.

Each function does nothing where no key is required. HTTP is not its matter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import orjson

from taskmill.domain.api_key_errors import ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope, permits_host
from taskmill.domain.task import Task, TaskDraft
from taskmill.wire import push
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.rules import InputLimits
from taskmill.wire.urls import target_of


@dataclass(frozen=True, slots=True)
class _PermittedContracts(Mapping[str, Contract]):
    """Contracts, but of no type that a key may not create tasks of."""

    key: ApiKey
    contracts: Mapping[str, Contract]

    def __getitem__(self, name: str) -> Contract:
        if not self.key.permits_type(Scope.TASKS_CREATE, name):
            raise KeyError(name)
        return self.contracts[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.contracts if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def permitted_contracts(
    key: ApiKey | None, contracts: Mapping[str, Contract]
) -> Mapping[str, Contract]:
    """Return the contracts of types that a key may create tasks of: the others say nothing to who has it."""
    if key is None or key.permits_type(Scope.TASKS_CREATE, None):
        return contracts
    return _PermittedContracts(key, contracts)


def permitted_limits(key: ApiKey | None, limits: InputLimits) -> InputLimits:
    """Return limits whose contracts are those of types that a key may create tasks of.

    A request for another type is refused for the key's sake; its contract stays hidden from it.
    """
    contracts = permitted_contracts(key, limits.contracts)
    return limits if contracts is limits.contracts else replace(limits, contracts=contracts)


def authorise_draft(key: ApiKey | None, draft: TaskDraft) -> None:
    """Check that a key may create a task, and make the task and its idempotency key those of the key's name.

    Raises:
        ScopeMissing: It may not, or not with this callback or this push.
    """
    if key is None:
        return
    if not key.permits(Scope.TASKS_CREATE, queue=draft.queue, type=draft.type):
        raise missing(Scope.TASKS_CREATE, draft.queue, draft.type)
    authorise_url(key, draft.callback_url)
    if draft.type == push.TYPE and draft.payload is not None and draft.payload_error is None:
        authorise_url(key, orjson.loads(draft.payload)["url"])
    draft.owner = key.owner
    if draft.idempotency is not None:
        draft.idempotency = replace(
            draft.idempotency,
            owner=key.draft.name,
            # Whose task that is, nobody knows: it is shown only to those who may read it anyway.
            may_be_earlier=key.permits(Scope.TASKS_READ, queue=draft.queue),
        )


def authorise_move(key: ApiKey | None, task: Task, queue: str | None, *, has_secrets: bool) -> None:
    """Check that a key may have a task wait in another queue, as if it created it there.

    What is secret in a task can't be moved to where the key would see it, unless it may see it where it is.

    Raises:
        ScopeMissing: It may not.
    """
    if key is None or queue is None or queue == task.queue:
        return
    if not key.permits(Scope.TASKS_CREATE, queue=queue, type=task.type):
        raise missing(Scope.TASKS_CREATE, queue, task.type)
    sees_here, sees_there = (_sees_secrets(key, one, task.type) for one in (task.queue, queue))
    if has_secrets and sees_there and not sees_here:
        raise missing(Scope.TASKS_READ_SECRET, task.queue)


def _sees_secrets(key: ApiKey, queue: str, type_: str) -> bool:
    """Return whether a key sees what is secret in tasks of a queue: as a reader, or as a worker, who gets all."""
    return permits_secrets(key, queue) or key.permits(Scope.WORKER, queue=queue, type=type_)


def authorise_keep(key: ApiKey | None) -> None:
    """Check that a key may change how long a queue keeps tasks: that deletes them, or keeps weeks of all queues.

    Raises:
        ScopeMissing: It may not.
    """
    if not permits_keep(key):
        raise keep_refused()


def permits_keep(key: ApiKey | None) -> bool:
    """Return whether a key may change how long a queue keeps tasks."""
    return key is None or key.permits(Scope.ADMIN)


def keep_refused() -> ScopeMissing:
    """Return the error that a key may not change how long a queue keeps tasks."""
    return ScopeMissing(Scope.ADMIN, "how long a queue keeps tasks")


def authorise_url(key: ApiKey | None, url: str | None) -> None:
    """Check that a key may have requests sent to an address, if one is given. Raises `ScopeMissing`."""
    if key is None or url is None:
        return
    host = target_of(url).host.lower()
    if not permits_host(key.draft.grants, host):
        raise ScopeMissing(Scope.OUTBOUND, f"host {host!r}")


def permits_secrets(key: ApiKey | None, queue: str | None) -> bool:
    """Return whether a key may see what is secret in tasks of a queue, None for all queues."""
    return key is None or key.permits(Scope.TASKS_READ_SECRET, queue=queue)


def missing(scope: Scope, queue: str | None, type_: str | None = None) -> ScopeMissing:
    """Return the refusal of a scope for a queue and a type, None for all of them."""
    what = "all queues" if queue is None else f"queue {queue!r}"
    return ScopeMissing(scope, what if type_ is None else f"{what} and type {type_!r}")
