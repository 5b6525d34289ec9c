"""A service of `taskmill up` that encrypts stored secrets that are not under the first key.

Those of a new database are encrypted when it is migrated, if that is another process.
"""

import asyncio

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.settings import DatabaseSettings, Settings
from taskmill.storage.database import Database
from taskmill.storage.keyring import Keyring
from taskmill.storage.stored_secrets import Conversion, convert

log = get_logger(__name__)


class SecretEncryption:
    """Encrypts once, after an event; without a key file it does nothing. `url` is the database's."""

    name = "secret-encryption"

    def __init__(self, url: str, settings: Settings, *, start_after: asyncio.Event) -> None:
        self._url = url
        self._settings = settings.database
        self._keyring = Keyring.read(settings.secrets_key_file)
        self._start_after = start_after

    async def run(self, stop: asyncio.Event) -> None:
        """Encrypt, then wait until stopped."""
        async with asyncio.TaskGroup() as group:
            encrypting = group.create_task(self._encrypt())
            await stop.wait()
            encrypting.cancel()

    async def _encrypt(self) -> None:
        await self._start_after.wait()
        if not self._keyring.ids:
            return
        try:
            done = await encrypt_stored(self._url, self._settings, self._keyring)
        except (Unavailable, asyncpg.PostgresError) as error:
            log.warning("secrets.unencrypted", error=repr(error))
            return
        if done.converted:
            log.info("secrets.encrypted", secrets=done.converted, key_id=self._keyring.ids[0])
        for unreadable in done.unreadable:
            log.warning("secret.unreadable", owner=unreadable.owner, trouble=unreadable.why)


async def encrypt_stored(url: str, settings: DatabaseSettings, keyring: Keyring) -> Conversion:
    """Encrypt stored secrets that are not under the first key. Raises `Unavailable`, and errors of PostgreSQL."""
    database = Database(url, settings)
    try:
        return await convert(database, old=keyring, new=keyring)
    finally:
        await database.close()
