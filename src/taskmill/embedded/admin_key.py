"""The API key of an `up` that requires keys: it grants everything, and is in a file of the data folder's owner."""

import asyncio
import secrets
from hmac import compare_digest
from pathlib import Path

from taskmill.domain.api_keys import ApiKeyDraft, KeyState, PresentedKey, parse_key, secret_hash
from taskmill.domain.errors import ConfigurationError
from taskmill.domain.grants import Grant, Scope
from taskmill.embedded.private_files import write_private
from taskmill.operations import api_keys
from taskmill.runtime.clock import SystemClock
from taskmill.settings import Settings
from taskmill.settings.client_key import ADMIN_KEY_FILE
from taskmill.storage.api_keys import find
from taskmill.storage.database import Database


def ensure_admin_key(settings: Settings) -> Path:
    """Return the file with the key; make the key if there is none that is valid.

    Raises:
        ConfigurationError: The file can't be read or written.
    """
    file = settings.data_dir / ADMIN_KEY_FILE
    try:
        present = file.read_text(encoding="ascii", errors="replace") if file.exists() else ""
        if (text := asyncio.run(_made(settings, parse_key(present.strip())))) is not None:
            write_private(file, text + "\n")
    except OSError as error:
        raise ConfigurationError(f"{file} can't be written: {error.strerror}") from error
    return file


async def _made(settings: Settings, present: PresentedKey | None) -> str | None:
    """Return a new key, None if the one that is there is valid."""
    database = Database(settings.require_database_url(), settings.database)
    try:
        if present is not None and await _is_valid(database, present):
            return None
        draft = ApiKeyDraft(
            name=f"up-{secrets.token_hex(4)}",
            grants=(Grant(scope=Scope.ADMIN),),
            description=f"of taskmill up in {settings.data_dir.absolute()}",
        )
        environment = settings.api_key_environment
        return (await api_keys.create(database, draft, environment=environment)).text
    finally:
        await database.close()


async def _is_valid(database: Database, present: PresentedKey) -> bool:
    stored = await find(database, present.id)
    if stored is None or not compare_digest(stored.hash, secret_hash(present.secret)):
        return False
    return stored.key.state(SystemClock().now()) is KeyState.LIVE
