"""Contracts of types: registering them, telling them, and having them at hand where requests come in."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from taskmill.domain.contracts import RegisteredType, TypeContract
from taskmill.domain.errors import ContractRefused, TypeNotFound, Violation
from taskmill.observability.logs import get_logger
from taskmill.runtime.offload import Offload
from taskmill.storage import contracts as rows
from taskmill.storage.database import Database
from taskmill.wire.contracts.contract import (
    Contract,
    compile_contract,
    refuse_many_looks,
)

log = get_logger(__name__)

REFRESH_S = 0.5
"""How often a door looks whether contracts have changed, if it does not hear of it at once."""


async def register(
    database: Database,
    worker: str,
    contracts: Sequence[TypeContract],
    offload: Offload | None = None,
) -> None:
    """Make these the contracts that hold for their types; all of them, or none.

    A contract that was never seen for its type is a new version; one that was holds again. Whoever registers
    last decides, so a worker of an older release that starts again brings its contracts back. Registering what
    holds already writes nothing, however many workers do it at once. `worker` is told with new versions. They are
    compiled on a thread, of `offload` where that is given: that may take some ten milliseconds.

    Raises:
        ContractRefused: A contract can't be kept; nothing is registered.
        TypeLimitReached: Too many types would have a contract.
        Unavailable: The database is away; registering again is safe.
    """
    offload = offload or Offload()
    compiled = await offload.run(lambda: list(map(compile_contract, contracts)))
    wanted = {one.type: one for one in compiled}
    if len(wanted) < len(contracts):
        raise _doubled(contracts)
    held = await rows.held_digests(database, wanted)
    news = [one for one in wanted.values() if held.get(one.type) != one.digest]
    if not news:
        return
    for one in news:
        await offload.run(partial(refuse_many_looks, one))
    # All of them: what held a moment ago may be replaced by the time that our turn comes.
    changed = await rows.register(database, worker, list(wanted.values()))
    log.info("contract.registered", types=sorted(one.type for one in news), changed=changed)


def _doubled(contracts: Sequence[TypeContract]) -> ContractRefused:
    seen: set[str] = set()
    for one in contracts:
        if one.type in seen:
            break
        seen.add(one.type)
    fault = Violation(pointer="/type", expected="one contract for a type", got="several")
    return ContractRefused(one.type, (fault,))


def _report_unusable(contract: Contract, problem: str) -> None:
    log.error("contract.unusable", type=contract.type, version=contract.version, error=problem)


class Contracts:
    """The contracts that hold, as a door has them (about `REFRESH_S` late), and what may be done to them.

    `by_type` is always the same mapping, changed in place; `revision` changes with it. `offload` compiles them.
    """

    def __init__(self, database: Database) -> None:
        self.offload = Offload()
        self._database = database
        self._current: dict[str, Contract] = {}
        self._turn = asyncio.Lock()
        self.revision = 0

    @property
    def by_type(self) -> Mapping[str, Contract]:
        """The contracts by the names of their types."""
        return self._current

    async def refresh(self) -> None:
        """Look for changes. While the database is away nothing changes here, and no task is stored either."""
        async with self._turn:  # of two answers the later one must stay
            await self._refresh()

    async def _refresh(self) -> None:
        changed = await rows.read_changed(self._database, self.revision)
        if changed is None:
            return
        revision, stored = changed
        current = await self.offload.run(lambda: {one.type: self._made(one) for one in stored})
        # Other threads look up types meanwhile: none that has a contract before and after may seem free.
        self._current.update(current)
        for name in self._current.keys() - current.keys():
            del self._current[name]
        self.revision = revision

    def _made(self, stored: rows.StoredContract) -> Contract:
        known = self._current.get(stored.type)
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
        """Make this the contract that holds for its type; raises as `register` does."""
        await register(self._database, by, (contract,), self.offload)
        await self.refresh()
        return await self.get(contract.type)

    async def drop(self, name: str) -> None:
        """Free a type from its contract, until somebody registers one again; its versions are kept.

        Raises:
            TypeNotFound: It has none.
        """
        await rows.drop(self._database, name)
        log.info("contract.dropped", type=name)
        await self.refresh()

    async def all(self) -> list[RegisteredType]:
        """Return the types that have a contract, by name, without older versions."""
        return await rows.types(self._database)

    async def get(self, name: str) -> RegisteredType:
        """Return a type with all versions of its contract. Raises `TypeNotFound`."""
        found = await rows.types(self._database, [name])
        if not found:
            raise TypeNotFound(name)
        return replace(found[0], versions=await rows.versions(self._database, name))
