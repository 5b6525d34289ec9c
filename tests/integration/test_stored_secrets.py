"""Secrets that are stored encrypted, and what happens when their key is missing."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from standardwebhooks import Webhook

from taskmill.domain.errors import SecretUnreadable
from taskmill.domain.webhooks import DeliveryState, WebhookDraft, WebhookState
from taskmill.storage import callbacks, webhook_deliveries
from taskmill.storage.keyring import Keyring
from taskmill.storage.rights import APP
from taskmill.storage.stored_secrets import convert
from tests.support.commands import Taskmill, taskmill
from tests.support.endpoint import an_endpoint, came
from tests.support.key_files import NEW, OLD, a_key_file
from tests.support.polling import eventually
from tests.support.roles import as_role
from tests.support.stage import Stage, a_webhooks
from tests.support.webhooks import RoleOptions, a_webhooks_role, deliveries, done, settled

__all__ = ["taskmill"]

WITH_KEY = Keyring([NEW])
URL = "http://127.0.0.1:1/"


async def stored(stage: Stage) -> list[str]:
    """All secrets as they are stored, webhooks in order."""
    rows = await stage.sql.fetch("SELECT secrets FROM taskmill.webhook ORDER BY id")
    key = await stage.sql.fetchval("SELECT secret FROM taskmill.callback_key")
    return [*(secret for row in rows for secret in row["secrets"]), key]


async def test_a_webhooks_secrets_are_stored_encrypted_and_still_sign(stage: Stage) -> None:
    webhooks = a_webhooks(stage.database, stage.ids, keyring=WITH_KEY)
    async with an_endpoint() as endpoint, a_webhooks_role(stage, RoleOptions(keyring=WITH_KEY)):
        webhook, first = await webhooks.create(WebhookDraft(url=endpoint.url), None)
        _, second = await webhooks.change(webhook.id, {}, rotates_secret=True)
        assert second is not None
        await done(stage)
        await settled(stage, 1)
    *secrets, _ = await stored(stage)
    assert len(secrets) == 2
    assert all(one.startswith(WITH_KEY.form) for one in secrets)
    assert not any(plain in one for one in secrets for plain in (first, second))
    [received] = endpoint.received
    for secret in (first, second):
        Webhook(secret).verify(received.body, received.headers)


@pytest.mark.parametrize("kind", ["webhook", "callback"])
async def test_deliveries_wait_for_a_missing_key_and_nothing_is_lost_or_disabled(
    stage: Stage, kind: str
) -> None:
    webhooks = a_webhooks(stage.database, stage.ids, keyring=WITH_KEY)
    await convert(stage.owner_database, old=WITH_KEY, new=WITH_KEY)
    async with an_endpoint() as endpoint:
        url = endpoint.url if kind == "webhook" else URL
        filtered = WebhookDraft(url=url, queues=() if kind == "webhook" else ("none",))
        webhook, secret = await webhooks.create(filtered, None)
        if kind == "callback":
            secret = str(await callbacks.signing_key(stage.database, WITH_KEY))
        task = await done(stage, callback_url=None if kind == "webhook" else endpoint.url)
        # A webhook would be disabled, and a delivery be given up, at once.
        options = RoleOptions(disable_s=0.01, give_up_s=0.01, keyring=Keyring([OLD]))
        async with a_webhooks_role(stage, options):

            async def trouble() -> str:
                return "".join(str(one["trouble"] or "") for one in await deliveries(stage.sql))

            text = await eventually(trouble, "a try")
            assert f"key {WITH_KEY.ids[0]} is not in TASKMILL_SECRETS_KEY_FILE" in text
        [row] = await deliveries(stage.sql)
        assert (row["state"], endpoint.received) == (DeliveryState.PENDING, [])
        now = await webhooks.get(webhook.id)
        assert (now.draft.state, now.failing_since) == (WebhookState.ENABLED, None)
        await stage.sql.execute(
            "UPDATE taskmill.webhook_delivery SET next_at = now(), give_up_at = now() + interval '1 h'"
        )
        async with a_webhooks_role(stage, RoleOptions(keyring=Keyring([OLD, NEW]))):
            await settled(stage, 1)
    [received] = endpoint.received
    assert Webhook(secret).verify(received.body, received.headers)["subject"] == str(task.id)


async def test_what_waits_for_a_key_is_not_given_up(stage: Stage) -> None:
    """A plain one beside it is, and so is one of a process that has the key."""
    await convert(stage.owner_database, old=WITH_KEY, new=WITH_KEY)
    encrypted = a_webhooks(stage.database, stage.ids, keyring=WITH_KEY)
    plain = a_webhooks(stage.database, stage.ids)
    for webhooks in (encrypted, plain):
        webhook, _ = await webhooks.create(WebhookDraft(url=URL), None)
        await webhook_deliveries.test(stage.database, webhook.id, give_up_s=60)
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook_delivery (endpoint, give_up_at) VALUES ('callback:x', now())"
    )
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET give_up_at = now()")

    async def given_up(keyring: Keyring, *, needs_key: bool) -> tuple[int, int, int]:
        return await webhook_deliveries.give_up(
            stage.database, 100, key_ids=keyring.ids, needs_callback_key=needs_key, hold_s=3600
        )

    assert await given_up(Keyring([OLD]), needs_key=True) == (1, 0, 2)
    assert await given_up(WITH_KEY, needs_key=True) == (0, 0, 0), "they have more time"
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET give_up_at = now()")
    assert await given_up(Keyring(), needs_key=False) == (1, 1, 1)
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET give_up_at = now()")
    assert await given_up(WITH_KEY, needs_key=True) == (1, 0, 0)


async def test_a_new_secret_ends_the_wait_though_the_previous_key_is_lost(stage: Stage) -> None:
    lost = a_webhooks(stage.database, stage.ids, keyring=Keyring([OLD]))
    webhooks = a_webhooks(stage.database, stage.ids, keyring=WITH_KEY)
    async with an_endpoint() as endpoint, a_webhooks_role(stage, RoleOptions(keyring=WITH_KEY)):
        webhook, _ = await lost.create(WebhookDraft(url=endpoint.url), None)
        _, secret = await webhooks.change(webhook.id, {}, rotates_secret=True)
        await done(stage)
        await came(endpoint, 1)
    [received] = endpoint.received
    Webhook(str(secret)).verify(received.body, received.headers)


async def test_all_secrets_are_encrypted_with_the_first_key_in_batches(stage: Stage) -> None:
    plain, old = a_webhooks(stage.database, stage.ids), Keyring([OLD])
    under_old = a_webhooks(stage.database, stage.ids, keyring=old)
    secrets = [
        (await webhooks.create(WebhookDraft(url=URL), None))[1]
        for webhooks in (plain, under_old)
        for _ in range(110)
    ]
    key = await callbacks.signing_key(stage.database, old)
    both = Keyring([NEW, OLD])
    assert await convert(stage.owner_database, old=both, new=both) == (221, [])
    assert all(one.startswith(both.form) for one in await stored(stage))
    assert await convert(stage.owner_database, old=both, new=both) == (0, []), (
        "repeating it is harmless"
    )
    only_new = Keyring([NEW])
    assert await callbacks.signing_key(stage.database, only_new) == key
    assert await convert(stage.owner_database, old=only_new, new=Keyring()) == (221, [])
    assert await stored(stage) == [*secrets, key]


async def test_what_can_not_be_decrypted_stays_and_is_named(stage: Stage) -> None:
    lost = a_webhooks(stage.database, stage.ids, keyring=Keyring([OLD]))
    webhook, _ = await lost.create(WebhookDraft(url=URL), None)
    [before, _] = await stored(stage)
    converted, unreadable = await convert(stage.owner_database, old=WITH_KEY, new=WITH_KEY)
    assert (converted, [one.owner for one in unreadable]) == (1, [f"webhook {webhook.id}"])
    [after, _] = await stored(stage)
    assert after == before


async def test_a_secret_of_another_row_is_refused(stage: Stage) -> None:
    webhooks = a_webhooks(stage.database, stage.ids, keyring=WITH_KEY)
    await webhooks.create(WebhookDraft(url=URL), None)
    await stage.sql.execute(
        "UPDATE taskmill.callback_key SET secret = (SELECT secrets[1] FROM taskmill.webhook)"
    )
    with pytest.raises(SecretUnreadable, match="the key for callbacks"):
        await callbacks.signing_key(stage.database, WITH_KEY)


def run_sql(url: str, query: str) -> str:
    async def fetched() -> str:
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval(query))
        finally:
            await connection.close()

    return asyncio.run(fetched())


def test_the_commands_encrypt_and_decrypt_and_say_which_keys_may_go(
    taskmill: Taskmill, stage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = ("--database-url", stage_url)
    key = taskmill("webhook", "callback-key", *database)[1]
    old, new = (Keyring([one]).ids[0] for one in (OLD, NEW))
    path = a_key_file(tmp_path / "keys", OLD)
    monkeypatch.setenv("TASKMILL_SECRETS_KEY_FILE", str(path))
    assert taskmill("secrets", "encrypt", *database) == (0, f"encrypted with key {old}: 1\n", "")
    assert taskmill("webhook", "callback-key", *database) == (0, key, "")
    a_key_file(path, NEW, OLD)
    status, out, err = taskmill("secrets", "encrypt", *database)
    assert (status, out) == (0, f"encrypted with key {new}: 1\n")
    assert err == f"not needed any more, and may be removed from the key file: {old}\n"
    a_key_file(path, OLD)
    status, out, err = taskmill("secrets", "encrypt", *database)
    assert (status, out) == (1, f"encrypted with key {old}: 0\n")
    assert f"key {new} is not in TASKMILL_SECRETS_KEY_FILE; add the key" in err
    assert "TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS" in err
    status, _, err = taskmill("webhook", "callback-key", *database)
    assert (status, "Traceback" in err, "can't be decrypted" in err) == (1, False, True)
    a_key_file(path, NEW)
    status, out, _ = taskmill("secrets", "decrypt", *database)
    assert (status, out) == (0, "decrypted: 1\n")
    assert run_sql(stage_url, "SELECT secret FROM taskmill.callback_key") == key.strip()


def test_without_a_key_file_nothing_can_be_encrypted(taskmill: Taskmill, stage_url: str) -> None:
    status, _, err = taskmill("secrets", "encrypt", "--database-url", stage_url)
    assert (status, "TASKMILL_SECRETS_KEY_FILE names it" in err) == (1, True)


def test_only_the_login_that_migrates_may_encrypt(
    taskmill: Taskmill, stage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_key_file(tmp_path / "keys", NEW)
    monkeypatch.setenv("TASKMILL_SECRETS_KEY_FILE", str(path))
    status, _, err = taskmill("secrets", "encrypt", "--database-url", as_role(stage_url, APP))
    assert (status, "use the login that migrates" in err, "Traceback" in err) == (1, True, False)
