"""Operations on the database that commands run once, without a role."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import asyncpg

from taskmill.amqp.names import hint_queue_name
from taskmill.domain.audit import AuditAction
from taskmill.domain.errors import ConfigurationError
from taskmill.domain.explain_snapshot import EVERY_TYPE
from taskmill.operations.audit import AuditLog
from taskmill.operations.verify import Extent, Verification, VerificationListener, verify
from taskmill.settings import Settings
from taskmill.storage import callbacks
from taskmill.storage.capacity import Workers
from taskmill.storage.database import Database
from taskmill.storage.keyring import Keyring
from taskmill.storage.notifier import CHANNEL
from taskmill.storage.stored_secrets import Conversion, convert

T = TypeVar("T")

_OTHER_LOGIN: Final = "use the login that migrates (--database-url)"


def send_hints(settings: Settings) -> None:
    """Have the relays send hints about all that is due.

    Raises:
        ConfigurationError: no database is set, or it is older than this program.
        Unavailable: the database is away.
    """

    async def notify(database: Database) -> None:
        await database.fetch("notify", CHANNEL)

    _run_recorded(settings, AuditAction.BROKER_REBUILD, notify)


def list_hint_queues(settings: Settings) -> list[str]:
    """Return the names of the broker's queues from which live workers take hints.

    Raises:
        ConfigurationError: no database is set.
        Unavailable: the database is away.
    """

    async def names(database: Database) -> list[str]:
        served = (await Workers.read(database)).served
        return sorted(hint_queue_name(queues, types - {EVERY_TYPE}) for queues, types in served)

    return _run_once(settings, names)


def callback_key(settings: Settings) -> str | None:
    """Return the key that signs callbacks when the settings have none; None when it is gone.

    Raises:
        ConfigurationError: no database is set, or it is older than this program.
        SecretUnreadable: it can't be decrypted.
        Unavailable: the database is away.
    """
    keyring = Keyring.read(settings.secrets_key_file)
    return _run_recorded(
        settings,
        AuditAction.CALLBACK_KEY_SHOW,
        lambda database: callbacks.signing_key(database, keyring),
    )


def on_api_keys(settings: Settings, operation: Callable[[Database], Awaitable[T]]) -> T:
    """Run an operation on the API keys.

    Raises:
        ConfigurationError: no database is set, or it is older than API keys, or the login lacks the right.
        Unavailable: the database is away.
    """
    try:
        return _run_once(settings, operation)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(f"{error}: {_OTHER_LOGIN}") from None
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            "the database is older than this program: `taskmill migrate` makes the table of API keys"
        ) from None


def convert_secrets(settings: Settings, *, to_plain: bool) -> tuple[Conversion, list[str]]:
    """Encrypt all stored secrets with the first key of the key file, or decrypt them.

    Also returns the ids of the file's keys.

    Raises:
        ConfigurationError: no database or no key file is set, or it can't be used, or the login lacks the right.
        Unavailable: the database is away.
    """
    if settings.secrets_key_file is None:
        raise ConfigurationError("no key file is set: TASKMILL_SECRETS_KEY_FILE names it")
    keyring = Keyring.read(settings.secrets_key_file)
    new = Keyring() if to_plain else keyring
    action = AuditAction.SECRETS_DECRYPT if to_plain else AuditAction.SECRETS_ENCRYPT
    try:
        found = _run_recorded(
            settings, action, lambda database: convert(database, old=keyring, new=new)
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(f"{error}: {_OTHER_LOGIN}") from None
    return found, keyring.ids


def verify_database(
    settings: Settings,
    listener: VerificationListener,
    *,
    since: timedelta | None,
    as_of: datetime | None,
    timeout_s: float,
) -> Verification:
    """Check all invariants against what is stored. `since`, `as_of` and `timeout_s` are those of `Extent`.

    Raises:
        ConfigurationError: no database is set, or it can't be verified.
        Unavailable: the database is away.
    """
    keep_changes = timedelta(days=settings.retention.change_days)
    keep_fires = timedelta(days=settings.retention.fire_days)
    extent = Extent(
        since=since,
        as_of=as_of,
        timeout_s=timeout_s,
        keep_changes=keep_changes,
        keep_fires=keep_fires,
    )
    return _run_once(settings, lambda database: verify(database, extent, listener))


def _run_recorded(
    settings: Settings, action: AuditAction, query: Callable[[Database], Awaitable[T]]
) -> T:
    """Run what is recorded in the audit log, as an action of this machine's user."""

    async def run(database: Database) -> T:
        async with AuditLog(database).record(action):
            return await query(database)

    try:
        return _run_once(settings, run)
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            "the database is older than this program: `taskmill migrate` brings it up to date"
        ) from None


def _run_once(settings: Settings, query: Callable[[Database], Awaitable[T]]) -> T:
    url = settings.require_database_url()

    async def run() -> T:
        database = Database(url, settings.database)
        try:
            return await query(database)
        finally:
            await database.close()

    return asyncio.run(run())
