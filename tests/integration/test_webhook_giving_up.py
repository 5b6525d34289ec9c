"""Deliveries that are given up, and webhooks that are disabled because their endpoint takes nothing."""

from taskmill.domain.webhooks import DeliveryState, WebhookState
from taskmill.observability.outbound import CALLBACKS_GIVEN_UP
from taskmill.storage import webhook_deliveries
from tests.support.api import LogLines
from tests.support.endpoint import an_endpoint, ok, status
from tests.support.polling import eventually
from tests.support.stage import Stage, a_webhooks
from tests.support.webhooks import (
    RoleOptions,
    a_webhooks_role,
    deliveries,
    done,
    settled,
    subscribed,
)


async def given_up(stage: Stage) -> webhook_deliveries.GivenUp:
    """Give up what is past its deadline, without any key for secrets."""
    return await webhook_deliveries.give_up(
        stage.database, 100, key_ids=[], needs_callback_key=True, hold_s=60
    )


async def test_a_webhook_whose_endpoint_returns_410_is_disabled(
    stage: Stage, log_lines: LogLines
) -> None:
    async with an_endpoint(status(410)) as endpoint, a_webhooks_role(stage):
        webhook, _ = await subscribed(stage, endpoint.url)
        await done(stage)
        [row] = await settled(stage, 1)
        assert (row["state"], row["attempts"], row["response_status"]) == ("failed", 1, 410)

        async def is_disabled() -> bool:
            now = await a_webhooks(stage.database).get(webhook.id)
            return now.draft.state is WebhookState.DISABLED

        await eventually(is_disabled, "the webhook to be disabled")
        now = await a_webhooks(stage.database).get(webhook.id)
        assert now.disabled_reason == "the endpoint answered 410: it is gone for good"
        [line] = log_lines.named("webhook.disabled")
        assert line["webhook_id"] == str(webhook.id)


async def test_an_endpoint_that_only_fails_is_disabled_after_a_while(stage: Stage) -> None:
    options = RoleOptions(disable_s=0.4)
    async with an_endpoint(status(500)) as endpoint, a_webhooks_role(stage, options):
        webhook, _ = await subscribed(stage, endpoint.url)
        await done(stage)

        async def is_disabled() -> bool:
            now = await a_webhooks(stage.database).get(webhook.id)
            return now.draft.state is WebhookState.DISABLED

        await eventually(is_disabled, "the webhook to be disabled")
        now = await a_webhooks(stage.database).get(webhook.id)
        assert str(now.disabled_reason).startswith("it has taken nothing since 20")
        count = len(endpoint.received)
        [row] = await deliveries(stage.sql)
        assert row["state"] == "pending"
        # Enabled again, it goes on with what is still to be delivered.
        endpoint.responds = ok
        await a_webhooks(stage.database).change(
            webhook.id, {"state": WebhookState.ENABLED}, rotates_secret=False
        )
        await settled(stage, 1)
        assert len(endpoint.received) > count


async def test_a_new_address_starts_without_the_failures_of_the_old_one(stage: Stage) -> None:
    webhook_store = a_webhooks(stage.database)
    webhook, _ = await subscribed(stage, "http://127.0.0.1:1/")
    await stage.sql.execute("UPDATE taskmill.webhook SET failing_since = now()")
    same = await webhook_store.change(webhook.id, {"description": "x"}, rotates_secret=False)
    assert same[0].failing_since is not None
    moved = await webhook_store.change(
        webhook.id, {"url": "http://127.0.0.1:2/"}, rotates_secret=False
    )
    assert moved[0].failing_since is None


async def test_what_is_never_accepted_is_given_up_in_the_end(stage: Stage) -> None:
    options = RoleOptions(give_up_s=600, retry_s=0.1)
    async with an_endpoint(status(503)) as endpoint, a_webhooks_role(stage, options):
        await subscribed(stage, endpoint.url)
        await done(stage)

        async def is_tried_again() -> bool:
            return any(row["attempts"] > 2 for row in await deliveries(stage.sql))

        await eventually(is_tried_again, "several attempts")
        await stage.sql.execute("UPDATE taskmill.webhook_delivery SET give_up_at = now()")
        [row] = await settled(stage, 1)
        assert (row["state"], row["response_status"]) == ("failed", 503)
        assert row["trouble"] == "the endpoint answered 503"
        assert row["attempts"] > 2


async def test_what_was_never_tried_in_its_time_is_given_up_too(stage: Stage) -> None:
    await subscribed(stage, "http://127.0.0.1:1/", state=WebhookState.PAUSED)
    options = RoleOptions(give_up_s=0.1)
    async with a_webhooks_role(stage, options):
        await done(stage)

        async def is_made() -> bool:
            return bool(await deliveries(stage.sql))

        await eventually(is_made, "the delivery")
    await stage.sql.execute("SELECT pg_sleep(0.1)")
    assert await given_up(stage) == (1, 0, 0)
    [row] = await deliveries(stage.sql)
    assert (row["state"], row["attempts"]) == ("failed", 0)


async def test_callbacks_that_are_given_up_are_counted_and_webhooks_are_not(stage: Stage) -> None:
    before = CALLBACKS_GIVEN_UP.value()

    async def are_given_up(count: int) -> None:
        async def probe() -> bool:
            return CALLBACKS_GIVEN_UP.value() == before + count

        await settled(stage, count * 2)
        await eventually(probe, f"{count} callbacks were given up")

    async with an_endpoint(status(410)) as gone, a_webhooks_role(stage):
        await subscribed(stage, gone.url)
        await done(stage, callback_url=gone.url)
        await are_given_up(1)
    # Those whose time is over before an attempt are counted by the statement that gives them up.
    await stage.sql.execute(
        "UPDATE taskmill.webhook_delivery SET state = 'pending', give_up_at = now() - interval '1 s'"
    )
    assert await given_up(stage) == (2, 1, 0)


async def test_what_is_taken_though_it_was_given_up_meanwhile_counts_as_delivered(
    stage: Stage,
) -> None:
    webhook, _ = await subscribed(stage, "http://127.0.0.1:1/")
    made = await a_webhooks(stage.database).test(webhook.id)
    [taken] = await webhook_deliveries.claim(
        stage.database, [(f"webhook:{webhook.id}", 1)], hold_s=60
    )
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET give_up_at = now()")
    assert await given_up(stage) == (1, 0, 0)
    for ended, recorded in (
        (webhook_deliveries.EndedTry(delivery=taken, state=DeliveryState.PENDING), 0),
        (
            webhook_deliveries.EndedTry(
                delivery=taken, state=DeliveryState.DELIVERED, response_status=204
            ),
            1,
        ),
    ):
        assert await webhook_deliveries.record(stage.database, [ended]) == recorded
    [row] = await deliveries(stage.sql)
    assert (row["id"], row["state"], row["response_status"], row["trouble"]) == (
        made.id,
        "delivered",
        204,
        None,
    )
