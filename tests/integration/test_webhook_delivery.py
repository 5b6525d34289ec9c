"""Deliveries on their way: signed, tried again, made once, and never to addresses that are not public."""

import asyncio

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from taskmill.domain.errors import WebhookNotFound
from taskmill.domain.signing import secret_of
from taskmill.domain.webhooks import DeliveryState
from taskmill.storage import webhook_deliveries
from taskmill.wire.feed import CloudEventView
from tests.support.endpoint import Received, an_endpoint, came, status
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

KEY = secret_of(b"k" * 32)


async def test_an_event_comes_signed_as_a_cloud_event(stage: Stage) -> None:
    async with an_endpoint(status(204)) as endpoint, a_webhooks_role(stage):
        webhook, secret = await subscribed(stage, f"{endpoint.url}/hooks?a=b")
        task = await done(stage, queue="mine", labels='{"team":"x"}')
        [row] = await settled(stage, 1)
        assert (row["state"], row["attempts"], row["response_status"]) == ("delivered", 1, 204)
        [received] = endpoint.received
        assert (received.method, received.path) == ("POST", "/hooks?a=b")
        assert received.headers["content-type"] == "application/cloudevents+json"
        assert received.headers["taskmill-webhook-id"] == str(webhook.id)
        event = CloudEventView.model_validate(
            Webhook(secret).verify(received.body, received.headers)
        )
        assert received.headers["webhook-id"] == "evt_" + event.id.replace(".", "_")
        assert (event.type, event.source, event.subject) == (
            "taskmill.task.succeeded",
            "/tests",
            task.id,
        )
        assert (event.data.status, event.data.queue, event.data.labels) == (
            "succeeded",
            "mine",
            {"team": "x"},
        )


async def test_a_callback_is_signed_with_the_keys_of_the_settings(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage, RoleOptions(keys=(KEY,))):
        task = await done(stage, callback_url=endpoint.url)
        await settled(stage, 1)
        [received] = endpoint.received
        event = Webhook(KEY).verify(received.body, received.headers)
        assert event["subject"] == str(task.id)
        assert "taskmill-webhook-id" not in received.headers
        url, [delivery] = await a_webhooks(stage.database).of_task(task.id)
        assert (url, delivery.url, delivery.state, delivery.attempts) == (
            endpoint.url,
            endpoint.url,
            "delivered",
            1,
        )


async def test_after_a_rotation_receivers_with_either_secret_accept_it(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        webhook, old = await subscribed(stage, endpoint.url)
        webhook_store = a_webhooks(stage.database)
        _, new = await webhook_store.change(webhook.id, {}, rotates_secret=True)
        _, newest = await webhook_store.change(webhook.id, {}, rotates_secret=True)
        assert new is not None
        assert newest is not None
        await done(stage)
        await settled(stage, 1)
        [received] = endpoint.received
        for secret in (new, newest):
            Webhook(secret).verify(received.body, received.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(received.body, received.headers)


async def test_what_fails_is_tried_again_with_the_same_id_until_it_is_accepted(
    stage: Stage,
) -> None:
    codes = [500, 404, 302, 200]

    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(status=codes.pop(0), headers={"Location": "http://127.0.0.1:1/"})

    async with an_endpoint(respond) as endpoint, a_webhooks_role(stage):
        webhook, _ = await subscribed(stage, endpoint.url)
        await done(stage)
        [row] = await settled(stage, 1)
        assert (row["state"], row["attempts"], row["trouble"]) == ("delivered", 4, None)
        assert len(set(endpoint.ids)) == 1
        assert [one.headers["taskmill-attempt"] for one in endpoint.received] == list("1234")
        assert len({one.body for one in endpoint.received}) == 1

        async def is_well() -> bool:
            return (await a_webhooks(stage.database).get(webhook.id)).failing_since is None

        # It is recorded right after the delivery, not with it.
        await eventually(is_well, "the endpoint's health")


async def test_retry_after_applies_to_everything_that_goes_to_that_endpoint(stage: Stage) -> None:
    codes = [429, 200, 200]

    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(status=codes.pop(0), headers={"Retry-After": "1"})

    loop = asyncio.get_running_loop()
    async with an_endpoint(respond) as endpoint, a_webhooks_role(stage):
        await subscribed(stage, endpoint.url)
        await done(stage)
        await came(endpoint, 1)
        began = loop.time()
        await done(stage)
        await settled(stage, 2)
        assert loop.time() - began >= 0.9
        assert len(endpoint.received) == 3


async def test_a_callback_that_must_wait_holds_up_no_other_to_that_host(stage: Stage) -> None:
    """Hosts of many receivers count for each of them."""

    async def respond(received: Received) -> web.StreamResponse:
        busy = received.path == "/busy"
        return web.Response(status=429 if busy else 204, headers={"Retry-After": "3600"})

    async with an_endpoint(respond) as endpoint, a_webhooks_role(stage):
        await done(stage, callback_url=f"{endpoint.url}/busy")
        await came(endpoint, 1)
        await done(stage, callback_url=f"{endpoint.url}/other")
        await came(endpoint, 2)
        assert [one.path for one in endpoint.received] == ["/busy", "/other"]


async def test_deliveries_to_private_addresses_are_refused(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage, RoleOptions(allow=())):
        await subscribed(stage, endpoint.url)
        await done(stage, callback_url=endpoint.url.replace("127.0.0.1", "localhost"))

        async def are_tried() -> bool:
            rows = await deliveries(stage.sql)
            return len(rows) == 2 and all(row["trouble"] for row in rows)

        await eventually(are_tried, "both to be tried")
        assert all("leads to no address" in r["trouble"] for r in await deliveries(stage.sql))
        assert endpoint.received == []


async def test_a_test_and_a_resend_are_deliveries_like_others(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        webhook_store = a_webhooks(stage.database)
        webhook, secret = await subscribed(stage, endpoint.url)
        sent = await webhook_store.test(webhook.id)
        await settled(stage, 1)
        [received] = endpoint.received
        event = Webhook(secret).verify(received.body, received.headers)
        assert (event["type"], event["id"]) == ("taskmill.webhook.test", f"test_{sent.id}")
        assert received.headers["webhook-id"] == sent.event_id == event["id"]
        again = await webhook_store.resend(webhook.id, sent.id)
        assert (again.state, again.attempts) == ("pending", 1)
        await came(endpoint, 2)
        [row] = await settled(stage, 1)
        assert (row["state"], row["attempts"]) == ("delivered", 2)
        assert endpoint.ids == [event["id"]] * 2


async def test_no_delivery_is_created_for_a_webhook_that_was_deleted_just_now(stage: Stage) -> None:
    """The client that asked for a delivery has still seen the webhook."""
    webhook, _ = await subscribed(stage, "http://127.0.0.1:1/")
    await a_webhooks(stage.database).delete(webhook.id)
    with pytest.raises(WebhookNotFound):
        await webhook_deliveries.test(stage.database, webhook.id, give_up_s=60)
    await stage.sql.execute("DELETE FROM taskmill.webhook")
    with pytest.raises(WebhookNotFound):
        await webhook_deliveries.test(stage.database, webhook.id, give_up_s=60)
    assert await deliveries(stage.sql) == []


async def test_a_deleted_webhook_gets_nothing_more(stage: Stage) -> None:
    async with an_endpoint(status(503)) as endpoint, a_webhooks_role(stage):
        webhook, _ = await subscribed(stage, endpoint.url)
        await done(stage)
        await came(endpoint, 1)
        await a_webhooks(stage.database).delete(webhook.id)
        await stage.sql.execute("SELECT pg_sleep(0.1)")
        count = len(endpoint.received)
        await stage.sql.execute("SELECT pg_sleep(0.3)")
        assert len(endpoint.received) == count


async def test_a_delivery_without_a_response_is_repeated(stage: Stage) -> None:
    """A process took it and died: it is due again a little after the time that an attempt may take."""
    async with an_endpoint() as endpoint:
        await subscribed(stage, endpoint.url)
        async with a_webhooks_role(stage, RoleOptions(concurrency=2)):
            await done(stage)
            await settled(stage, 1)
        await stage.sql.execute("UPDATE taskmill.webhook_delivery SET state = 'pending'")
        [due] = (await webhook_deliveries.find_due(stage.database, "", 10)).endpoints
        [taken] = await webhook_deliveries.claim(stage.database, [(due, 5)], hold_s=0.5)
        assert await webhook_deliveries.claim(stage.database, [(due, 5)], hold_s=0.5) == []
        async with a_webhooks_role(stage):
            await settled(stage, 1)
        assert len(endpoint.received) == 2
        # A late result of the lost attempt changes nothing.
        late = webhook_deliveries.EndedTry(
            delivery=taken, state=DeliveryState.FAILED, trouble="late"
        )
        assert await webhook_deliveries.record(stage.database, [late]) == 0


async def test_several_processes_make_each_delivery_once(stage: Stage) -> None:
    async with an_endpoint() as endpoint:
        await subscribed(stage, endpoint.url)
        async with a_webhooks_role(stage), a_webhooks_role(stage), a_webhooks_role(stage):
            for _ in range(30):
                await done(stage)
            await settled(stage, 30)
        assert len(endpoint.received) == len(set(endpoint.ids)) == 30


async def test_a_lost_database_delays_and_loses_nothing(stage: Stage) -> None:
    options = RoleOptions(timeout_s=0.5, concurrency=2, per_endpoint=1)
    async with an_endpoint() as endpoint:
        await subscribed(stage, endpoint.url)
        for _ in range(20):
            await done(stage)
        async with a_webhooks_role(stage, options):
            for number in range(5):
                await came(endpoint, number + 1)
                await stage.sql.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            rows = await settled(stage, 20, timeout_s=60)
    assert {row["state"] for row in rows} == {"delivered"}
    assert len(set(endpoint.ids)) == 20
