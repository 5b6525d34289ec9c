"""Stores contracts of types and reads them back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from taskmill.domain.contracts import CompiledContract, ContractVersion, RegisteredType
from taskmill.domain.errors import TypeLimitReached, TypeNotFound
from taskmill.domain.task_fields import DEFAULT_QUEUE
from taskmill.storage.database import Database
from taskmill.storage.statements import statement

MOST_TYPES = 500
MOST_VERSIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContract:
    """The contract in force for a type, as JSON texts; or the last one that was, if none is."""

    type: str
    version: int
    schema: str
    defaults: str
    is_in_force: bool


async def read_changed(
    database: Database, revision: int, mark: str
) -> tuple[int, list[StoredContract]] | None:
    """Return the revision and all contracts in force, or None when the revision is still `revision`.

    With them come those that were dropped, if their schemas have `mark` in them.
    """
    rows = await database.fetch("read_contracts", revision, mark)
    if rows[0]["revision"] == revision:
        return None
    return rows[0]["revision"], [
        StoredContract(
            type=row["name"],
            version=row["version"],
            schema=row["schema"],
            defaults=row["defaults"],
            is_in_force=row["is_in_force"],
        )
        for row in rows
        if row["name"] is not None
    ]


async def held_digests(database: Database, types: Collection[str]) -> dict[str, bytes]:
    """Return the digests of the contracts in force for these types; types without one are left out."""
    rows = await database.fetch("find_contract_digests", list(types))
    return {row["name"]: row["digest"] for row in rows}


async def register(database: Database, worker: str, contracts: Sequence[CompiledContract]) -> int:
    """Put these contracts in force, in one transaction; return for how many types that is a change.

    No type may come twice. Concurrent registrations wait for each other.

    Raises:
        TypeLimitReached: too many types would have a contract.
    """
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_contracts"))
        types = [contract.type for contract in contracts]
        if await connection.fetchval(statement("count_types"), types) > MOST_TYPES:
            raise TypeLimitReached(MOST_TYPES)
        changed: int = await connection.fetchval(
            statement("register_contracts"),
            types,
            [contract.digest for contract in contracts],
            [contract.schema for contract in contracts],
            [contract.defaults for contract in contracts],
            worker,
            MOST_VERSIONS,
        )
        if changed:
            await connection.fetch(statement("notify_contracts"))
    return changed


async def drop(database: Database, name: str) -> None:
    """Remove the contract of a type. Raises `TypeNotFound`."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_contracts"))
        if not await connection.fetch(statement("drop_contract"), name):
            raise TypeNotFound(name)
        await connection.fetch(statement("notify_contracts"))


async def types(
    database: Database,
    names: Sequence[str] | None = None,
    queues: Collection[str] | None = None,
) -> list[RegisteredType]:
    """Return the types that have a contract, by name; only these `names` if given.

    Workers count that serve one of the `queues`; None: all.
    """
    served = None if queues is None else sorted(queues)
    return [_type(row) for row in await database.fetch("list_types", names, served)]


async def versions(database: Database, name: str) -> list[ContractVersion]:
    """Return all retained versions of a type's contract, newest first."""
    return [_version(row) for row in await database.fetch("list_contract_versions", name)]


def _type(row: asyncpg.Record) -> RegisteredType:
    return RegisteredType(
        name=row["name"],
        current=_version(row),
        changed_at=row["changed_at"],
        workers=row["workers"],
    )


def _version(row: asyncpg.Record) -> ContractVersion:
    return ContractVersion(
        version=row["version"],
        schema=row["schema"],
        defaults=row["defaults"],
        registered_at=row["registered_at"],
        registered_by=row["registered_by"],
        queue=orjson.loads(row["defaults"]).get("queue") or DEFAULT_QUEUE,
    )
