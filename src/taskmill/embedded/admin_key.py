"""The API key that comes with an installation: it grants everything, and is in a file of the data folder's owner.

An `up` that requires keys makes it, and `taskmill migrate --keys`.
"""

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
from taskmill.storage import key_file
from taskmill.storage.api_keys import find
from taskmill.storage.database import Database
from taskmill.storage.key_file import make_key_file


def ensure_admin_key(settings: Settings, *, maker: str = "up") -> Path:
    """Return the file with the key; make the key if there is none that is valid. `maker` is the command.

    Raises:
        ConfigurationError: The file can't be read or written.
    """
    file = settings.data_dir / ADMIN_KEY_FILE
    try:
        present = file.read_text(encoding="ascii", errors="replace") if file.exists() else ""
        if (text := asyncio.run(_made(settings, maker, parse_key(present.strip())))) is not None:
            write_private(file, text + "\n")
    except OSError as error:
        raise ConfigurationError(f"{file} can't be written: {error.strerror}") from error
    return file


def make_keys(settings: Settings) -> None:
    """Make what is missing in the data folder: the key of stored secrets, and an API key that grants everything.

    Raises:
        ConfigurationError: A file can't be read or written.
    """
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"can't make {settings.data_dir}: {error.strerror}") from error
    make_key_file(settings.secrets_key_file or settings.data_dir / key_file.NAME)
    ensure_admin_key(settings, maker="migrate")


async def _made(settings: Settings, maker: str, present: PresentedKey | None) -> str | None:
    """Return a new key, None if the one that is there is valid."""
    database = Database(settings.require_database_url(), settings.database)
    try:
        if present is not None and await _is_valid(database, present):
            return None
        draft = ApiKeyDraft(
            name=f"{maker}-{secrets.token_hex(4)}",
            grants=(Grant(scope=Scope.ADMIN),),
            description=f"of taskmill {maker} in {settings.data_dir.absolute()}",
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
