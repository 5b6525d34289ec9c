"""Callbacks of tasks: written with the task, read to deliver its end, pruned when the task is gone."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from taskmill.storage import partitions
from taskmill.storage.database import Database
from taskmill.storage.keyring import CALLBACK_KEY, Keyring
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement


class NewCallback(NamedTuple):
    """A task's callback; those of one `endpoint` share its connections and its pace."""

    task_id: UUID
    url: str
    endpoint: str


async def insert(connection: Connection, new: Iterable[NewCallback]) -> None:
    """Store callbacks, in the transaction that creates their tasks."""
    await connection.execute(statement("store_callbacks"), *zip(*new, strict=True))


async def find(database: Database, task_id: UUID) -> str | None:
    """Return the callback URL of a task, None when it has none."""
    url: str | None = await database.fetch_value("find_callback", task_id)
    return url


async def signing_key(database: Database, keyring: Keyring) -> str | None:
    """Return the key for signing callbacks that a migration made; None when somebody has deleted it.

    Raises:
        SecretUnreadable: it can't be decrypted.
    """
    stored: str | None = await database.fetch_value("get_callback_key")
    return None if stored is None else keyring.decrypted(stored, CALLBACK_KEY)


async def prune(database: Database, limit: int) -> int:
    """Delete up to `limit` callbacks of tasks that are gone; return how many."""
    weeks = await partitions.attached(database)
    if not weeks:
        return 0
    return len(await database.fetch("prune_callbacks", weeks[0].bounds[0], limit))
