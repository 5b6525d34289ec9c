"""The default signing key of callbacks: that of the database."""

import asyncio

import asyncpg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from taskmill.domain.signing import secret_of
from taskmill.storage import callbacks
from taskmill.storage.keyring import Keyring
from tests.support.commands import Taskmill, taskmill
from tests.support.endpoint import an_endpoint
from tests.support.stage import Stage
from tests.support.webhooks import RoleOptions, a_webhooks_role, done, settled

__all__ = ["taskmill"]

SET = secret_of(b"s" * 32)


def change(url: str, command: str, *arguments: object) -> None:
    async def changed() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(command, *arguments)
        finally:
            await connection.close()

    asyncio.run(changed())


async def test_without_a_key_in_the_settings_that_of_the_database_signs(stage: Stage) -> None:
    key = await callbacks.signing_key(stage.database, Keyring())
    assert key is not None
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        task = await done(stage, callback_url=endpoint.url)
        await settled(stage, 1)
    [received] = endpoint.received
    event = Webhook(key).verify(received.body, received.headers)
    assert event["subject"] == str(task.id)
    with pytest.raises(WebhookVerificationError):
        Webhook(SET).verify(received.body, received.headers)


async def test_a_key_in_the_settings_is_the_only_one_that_signs(stage: Stage) -> None:
    key = await callbacks.signing_key(stage.database, Keyring())
    assert key is not None
    async with an_endpoint() as endpoint, a_webhooks_role(stage, RoleOptions(keys=(SET,))):
        await done(stage, callback_url=endpoint.url)
        await settled(stage, 1)
    [received] = endpoint.received
    Webhook(SET).verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(key).verify(received.body, received.headers)


async def test_callbacks_are_delivered_unsigned_when_the_key_was_deleted(stage: Stage) -> None:
    await stage.sql.execute("DELETE FROM taskmill.callback_key")
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        await done(stage, callback_url=endpoint.url)
        await settled(stage, 1)
    [received] = endpoint.received
    assert "webhook-signature" not in received.headers


def test_the_command_prints_the_key_of_the_database(taskmill: Taskmill, stage_url: str) -> None:
    change(stage_url, "UPDATE taskmill.callback_key SET secret = $1", SET)
    command = ("webhook", "callback-key", "--database-url", stage_url)
    assert taskmill(*command) == (0, f"{SET}\n", "")


def test_the_command_warns_that_keys_of_the_settings_win(
    taskmill: Taskmill, stage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS", SET)
    status, out, err = taskmill("webhook", "callback-key", "--database-url", stage_url)
    assert (status, out.startswith("whsec_"), SET in out + err) == (0, True, False)
    assert "TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS" in err
    assert out.strip() not in taskmill("settings", "--json")[1]


@pytest.mark.parametrize(
    ("change_made", "message"),
    [
        ("DELETE FROM taskmill.callback_key", "it was deleted"),
        ("DROP TABLE taskmill.callback_key", "taskmill migrate"),
    ],
)
def test_the_command_explains_why_there_is_no_key(
    taskmill: Taskmill, stage_url: str, change_made: str, message: str
) -> None:
    change(stage_url, change_made)
    status, out, err = taskmill("webhook", "callback-key", "--database-url", stage_url)
    assert (status, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
