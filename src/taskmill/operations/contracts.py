"""Contracts of types: registering, listing, and caching them where requests come in."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.contracts import (
    CompiledContract,
    ContractVersion,
    RegisteredType,
    TypeContract,
)
from taskmill.domain.errors import TypeNotFound
from taskmill.domain.grants import Scope
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog
from taskmill.operations.visibility import current_visibility
from taskmill.runtime.offload import Offload
from taskmill.storage import contracts as rows
from taskmill.storage.database import Database
from taskmill.storage.queues import names_with_tasks
from taskmill.wire.contracts.contract import (
    Contract,
    compile_contract,
    refuse_many_checks,
)
from taskmill.wire.contracts.secret_fields import MARK, SecretFields
from taskmill.wire.masking import PUSH_SECRETS
from taskmill.wire.push import TYPE as PUSH

log = get_logger(__name__)

REFRESH_S = 0.5
"""How often an entry point polls for changed contracts, unless it is notified at once."""

_TRIES = 3


async def register(database: Database, worker: str, contracts: Sequence[CompiledContract]) -> None:
    """Make these the current contracts of their types; all of them, or none. Each is of another type.

    A contract that is new for its type becomes a new version; an earlier version becomes current again. The last
    one to register decides, so a worker of an older release that starts again brings its contracts back.
    Registering what is current writes nothing, however many workers do it at once. What changes has an entry in
    the audit log. `worker` is recorded with new versions.

    Raises:
        ContractRefused: A contract that is new would cost too much; nothing is registered.
        TypeLimitReached: Too many types would have a contract.
        Unavailable: The database is away; registering again is safe.
    """
    held = await rows.held_digests(database, [one.type for one in contracts])
    changed_ones = [one for one in contracts if held.get(one.type) != one.digest]
    if not changed_ones:
        return
    for one in changed_ones:
        refuse_many_checks(one)
    async with AsyncExitStack() as recorded:
        audit = AuditLog(database)
        for one in changed_ones:
            target = Target(TargetType.TYPE, one.type)
            details = {"by": worker}
            await recorded.enter_async_context(
                audit.record(AuditAction.TYPE_REGISTER, target, details=details)
            )
        # All of them: what was current a moment ago may be replaced until the statement has its lock.
        changed = await rows.register(database, worker, contracts)
    log.info("contract.registered", types=sorted(one.type for one in changed_ones), changed=changed)


def _report_unusable(contract: Contract, problem: str) -> None:
    log.error("contract.unusable", type=contract.type, version=contract.version, error=problem)


class Contracts:
    """The current contracts, cached for an entry point (about `REFRESH_S` old), and operations on them.

    `by_type` and `secrets` are always the same mappings, changed in place; `revision` changes with them. `offload`
    compiles those that are registered.
    """

    def __init__(self, database: Database) -> None:
        self.offload = Offload()
        self.database = database
        self._current: dict[str, Contract] = {}
        self._secrets: dict[str, SecretFields] = {PUSH: PUSH_SECRETS}
        self._dropped: dict[str, Contract] = {}
        self._refreshing = asyncio.Lock()
        self.revision = 0

    @property
    def by_type(self) -> Mapping[str, Contract]:
        """The contracts in force by the names of their types."""
        return self._current

    @property
    def secrets(self) -> Mapping[str, SecretFields]:
        """What is secret in payloads, by the types that have something secret; changed in place, too."""
        return self._secrets

    async def refresh(self) -> None:
        """Read what changed. While the database is away nothing changes here, and no task is stored either."""
        async with self._refreshing:  # so that the later of two results stays
            await self._refresh()

    async def _refresh(self) -> None:
        changed = await rows.read_changed(self.database, self.revision, MARK)
        if changed is None:
            return
        revision, stored = changed
        current = {one.type: self._contract(one) for one in stored if one.is_in_force}
        self._dropped = {one.type: self._contract(one) for one in stored if not one.is_in_force}
        await self._find_secrets(self._dropped | current)
        # Other threads look up types meanwhile: a type that keeps a contract must not seem to have none.
        self._current.update(current)
        for name in self._current.keys() - current.keys():
            del self._current[name]
        self.revision = revision

    async def _find_secrets(self, contracts: Mapping[str, Contract]) -> None:
        """Compile those that may have secrets, before any of them is in force here."""
        found = {PUSH: PUSH_SECRETS}
        for name, contract in contracts.items():
            if contract.may_have_secrets and (secrets := await self.offload.run(contract.secrets)):
                found[name] = secrets
        self._secrets.update(found)
        for name in self._secrets.keys() - found.keys():
            del self._secrets[name]

    def _contract(self, stored: rows.StoredContract) -> Contract:
        known = self._current.get(stored.type) or self._dropped.get(stored.type)
        if known is not None and known.version == stored.version and known.schema == stored.schema:
            return known
        return Contract(
            stored.type,
            stored.version,
            stored.schema,
            stored.defaults,
            on_unusable=_report_unusable,
        )

    async def register(self, contract: TypeContract, *, by: str) -> RegisteredType:
        """Compile this on a thread and make it the current contract of its type; raises as `register` does.

        Raises:
            ContractRefused: It does not compile, too.
        """
        compiled = await self.offload.run(partial(compile_contract, contract))
        for _ in range(_TRIES - 1):
            # If somebody drops it before it is read, it is registered again: the last one to register decides.
            with suppress(TypeNotFound):
                return await self._registered(compiled, by)
        return await self._registered(compiled, by)

    async def _registered(self, contract: CompiledContract, by: str) -> RegisteredType:
        await register(self.database, by, [contract])
        await self.refresh()
        return await self.get(contract.type)

    async def drop(self, name: str) -> None:
        """Remove a type's current contract, until one is registered again; its versions are kept.

        Raises:
            TypeNotFound: It has none.
        """
        target = Target(TargetType.TYPE, name)
        async with AuditLog(self.database).record(AuditAction.TYPE_DROP, target):
            await rows.drop(self.database, name)
        log.info("contract.dropped", type=name)
        await self.refresh()

    async def all(self) -> list[RegisteredType]:
        """Return the types that have a contract, by name, without older versions; those that may be seen."""
        found = await rows.types(self.database, queues=await self._served_queues())
        return [one for one in found if _is_visible(one.name, one.current)]

    async def get(self, name: str) -> RegisteredType:
        """Return a type with all versions of its contract that may be seen. Raises `TypeNotFound`."""
        found = await rows.types(self.database, [name], await self._served_queues())
        if not found or not _is_visible(name, found[0].current):
            raise TypeNotFound(name)
        versions = await rows.versions(self.database, name)
        return replace(found[0], versions=[one for one in versions if _is_visible(name, one)])

    async def _served_queues(self) -> frozenset[str] | None:
        """Return the queues whose workers are counted; None for all."""
        if (visibility := current_visibility()) is None:
            return None
        names = await names_with_tasks(self.database)
        return frozenset(one for one in names if visibility.key.permits_queue(Scope.TYPES, one))


def _is_visible(name: str, version: ContractVersion) -> bool:
    """Return whether this context may see a version of a contract: by its type and its default queue."""
    visibility = current_visibility()
    if visibility is None:
        return True
    return visibility.key.permits(Scope.TYPES, queue=version.queue, type=name)
