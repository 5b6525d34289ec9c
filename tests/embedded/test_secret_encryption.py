"""`taskmill up` encrypts stored secrets beside everything else, and what keeps it from that ends nothing."""

import asyncio
from pathlib import Path

import pytest

from taskmill.embedded.secret_encryption import SecretEncryption
from taskmill.settings import load
from taskmill.storage.keyring import Keyring
from tests.support.api import LogLines
from tests.support.key_files import NEW, a_key_file
from tests.support.polling import eventually
from tests.support.stage import Stage, a_stage


async def key_of(stage: Stage) -> str:
    return str(await stage.sql.fetchval("SELECT secret FROM taskmill.callback_key"))


async def test_it_encrypts_after_the_start_and_the_service_runs_until_it_is_stopped(
    database_url: str, tmp_path: Path
) -> None:
    started, stop = asyncio.Event(), asyncio.Event()
    settings = load(secrets_key_file=a_key_file(tmp_path / "key", NEW))
    encryption = SecretEncryption(database_url, settings, start_after=started)
    async with a_stage(database_url) as stage, asyncio.TaskGroup() as group:
        service = group.create_task(encryption.run(stop))
        assert (await key_of(stage)).startswith("whsec_")
        started.set()

        async def is_encrypted() -> bool:
            return (await key_of(stage)).startswith(Keyring([NEW]).form)

        await eventually(is_encrypted, "the key for callbacks")
        assert not service.done()
        stop.set()


@pytest.mark.parametrize("has_key", [True, False])
async def test_a_stop_before_the_start_leaves_secrets_as_they_are(
    database_url: str, tmp_path: Path, *, has_key: bool
) -> None:
    started, stop = asyncio.Event(), asyncio.Event()
    settings = load(secrets_key_file=a_key_file(tmp_path / "key", NEW) if has_key else None)
    encryption = SecretEncryption(database_url, settings, start_after=started)
    stop.set()
    async with asyncio.timeout(10):
        await encryption.run(stop)
    async with a_stage(database_url) as stage:
        assert (await key_of(stage)).startswith("whsec_")


async def test_a_database_that_does_not_let_it_is_logged_and_the_service_goes_on(
    database_url: str, tmp_path: Path, log_lines: LogLines
) -> None:
    started, stop = asyncio.Event(), asyncio.Event()
    started.set()
    settings = load(secrets_key_file=a_key_file(tmp_path / "key", NEW))
    encryption = SecretEncryption(database_url, settings, start_after=started)
    async with a_stage(database_url) as stage, asyncio.TaskGroup() as group:
        await stage.sql.execute("DROP TABLE taskmill.callback_key")
        service = group.create_task(encryption.run(stop))

        async def is_logged() -> bool:
            return bool(log_lines.named("secrets.unencrypted"))

        await eventually(is_logged, "the warning")
        assert not service.done()
        stop.set()
