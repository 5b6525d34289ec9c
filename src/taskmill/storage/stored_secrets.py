"""All stored secrets, to store them in another form: encrypted with another key, or plain."""

from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.errors import SecretUnreadable
from taskmill.storage.database import Database
from taskmill.storage.keyring import CALLBACK_KEY, Keyring, webhook_owner
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

_FIRST: Final = UUID(int=0)
_BATCH: Final = 100


class Conversion(NamedTuple):
    """How many secrets were stored in another form, and what of which rows could not be read."""

    converted: int
    unreadable: list[SecretUnreadable]


class _Converter:
    """Returns secrets in another form, and counts them."""

    def __init__(self, old: Keyring, new: Keyring) -> None:
        self._old = old
        self._new = new
        self.converted = 0
        self.unreadable: list[SecretUnreadable] = []

    def __call__(self, stored: str, owner: str) -> str:
        if stored.startswith(self._new.form):
            return stored
        try:
            secret = self._old.decrypted(stored, owner)
        except SecretUnreadable as error:
            self.unreadable.append(error)
            return stored
        self.converted += 1
        return self._new.encrypted(secret, owner)


async def convert(database: Database, *, old: Keyring, new: Keyring) -> Conversion:
    """Store all secrets as `new` does; `old` reads them. What can't be read stays as it is.

    Webhooks are converted in batches, each a transaction of its own: others wait for none of them for long.
    """
    converter = _Converter(old, new)
    async with database.hot_transaction() as connection:
        await _convert_callback_key(connection, converter)
    after: UUID | None = _FIRST
    while after is not None:
        async with database.hot_transaction() as connection:
            after = await _convert_batch(connection, converter, after, new.form)
    return Conversion(converter.converted, converter.unreadable)


async def _convert_callback_key(
    connection: Connection, convert_one: Callable[[str, str], str]
) -> None:
    stored: str | None = await connection.fetchval(statement("lock_callback_key"))
    if stored is not None and (changed := convert_one(stored, CALLBACK_KEY)) != stored:
        await connection.execute(statement("change_callback_key"), changed)


async def _convert_batch(
    connection: Connection, convert_one: Callable[[str, str], str], after: UUID, form: str
) -> UUID | None:
    """Convert the next webhooks; return the id of the last one, None after all."""
    rows: list[asyncpg.Record] = await connection.fetch(
        statement("lock_webhook_secrets"), after, form, _BATCH
    )
    for row in rows:
        owner = webhook_owner(row["id"])
        changed = [convert_one(stored, owner) for stored in row["secrets"]]
        if changed != row["secrets"]:
            await connection.execute(statement("change_webhook_secrets"), row["id"], changed)
    return rows[-1]["id"] if len(rows) == _BATCH else None
