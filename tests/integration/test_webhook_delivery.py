"""Deliveries on their way: signed, tried again, given up, and never blocking each other."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from taskmill.domain.errors import WebhookNotFound
from taskmill.domain.signing import secret_of
from taskmill.domain.webhooks import DeliveryState, WebhookState
from taskmill.observability.outbound import CALLBACKS_GIVEN_UP
from taskmill.storage import tasks, webhook_deliveries
from taskmill.storage.tasks import NewTask
from taskmill.wire.feed import CloudEventView
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.endpoint import Received, an_endpoint, never, ok, status
from tests.support.feed import a_numbering, all_numbered
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


async def came(endpoint: Any, count: int, *, timeout_s: float = 15) -> None:  # noqa: ANN401 - an endpoint
    async def probe() -> bool:
        return len(endpoint.received) >= count

    await eventually(probe, f"{count} requests", timeout_s=timeout_s)


async def test_an_event_comes_signed_as_a_cloud_event(stage: Stage) -> None:
    async with an_endpoint(status(204)) as endpoint, a_webhooks_role(stage):
        webhook, secret = await subscribed(stage, f"{endpoint.url}/hooks?a=b")
        task = await done(stage, queue="mine", labels='{"team":"x"}')
        [row] = await settled(stage, 1)
        assert (row["state"], row["attempts"], row["answer"]) == ("delivered", 1, 204)
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


async def test_a_webhook_whose_endpoint_returns_410_is_disabled(
    stage: Stage, log_lines: LogLines
) -> None:
    async with an_endpoint(status(410)) as endpoint, a_webhooks_role(stage):
        webhook, _ = await subscribed(stage, endpoint.url)
        await done(stage)
        [row] = await settled(stage, 1)
        assert (row["state"], row["attempts"], row["answer"]) == ("failed", 1, 410)

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
        assert (row["state"], row["answer"]) == ("failed", 503)
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
    assert await webhook_deliveries.give_up(stage.database, 100) == (1, 0)
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
    assert await webhook_deliveries.give_up(stage.database, 100) == (2, 1)


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


async def test_what_waits_for_a_private_address_is_not_tried_over_and_over(stage: Stage) -> None:
    async with a_webhooks_role(stage, RoleOptions(allow=())):
        await subscribed(stage, "http://127.0.0.1:1/")
        await finish_at_once(stage, ["q"] * 200)

        async def are_made() -> bool:
            return len(await deliveries(stage.sql)) == 200

        await eventually(are_made, "the deliveries")
        # By now each of 200 would have been tried several times; it pauses for 1 s after the first.
        await stage.sql.execute("SELECT pg_sleep(0.8)")
        assert sum(row["attempts"] for row in await deliveries(stage.sql)) <= 3


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


async def test_what_is_taken_though_it_was_given_up_meanwhile_counts_as_delivered(
    stage: Stage,
) -> None:
    webhook, _ = await subscribed(stage, "http://127.0.0.1:1/")
    made = await a_webhooks(stage.database).test(webhook.id)
    [taken] = await webhook_deliveries.claim(
        stage.database, [(f"webhook:{webhook.id}", 1)], hold_s=60
    )
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET give_up_at = now()")
    assert await webhook_deliveries.give_up(stage.database, 100) == (1, 0)
    for ended, recorded in (
        (webhook_deliveries.EndedTry(delivery=taken, state=DeliveryState.PENDING), 0),
        (webhook_deliveries.EndedTry(delivery=taken, state=DeliveryState.DELIVERED, answer=204), 1),
    ):
        assert await webhook_deliveries.record(stage.database, [ended]) == recorded
    [row] = await deliveries(stage.sql)
    assert (row["id"], row["state"], row["answer"], row["trouble"]) == (
        made.id,
        "delivered",
        204,
        None,
    )


async def test_several_processes_make_each_delivery_once(stage: Stage) -> None:
    async with an_endpoint() as endpoint:
        await subscribed(stage, endpoint.url)
        async with a_webhooks_role(stage), a_webhooks_role(stage), a_webhooks_role(stage):
            for _ in range(30):
                await done(stage)
            await settled(stage, 30)
        assert len(endpoint.received) == len(set(endpoint.ids)) == 30


async def test_buckets_are_scanned_some_at_a_time_and_none_is_skipped(stage: Stage) -> None:
    """Of 100 endpoints every seventh has something due."""
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook_delivery (lane, give_up_at, next_at) "
        "SELECT 'callback:' || lpad(n::text, 3, '0'), now() + interval '1 day', "
        "now() + CASE WHEN n % 7 = 0 THEN interval '-1 s' ELSE interval '1 h' END "
        "FROM generate_series(1, 100) AS n"
    )
    for limit, scan_limit in (
        (500, 2000),
        (500, 100),
        (500, 10),
        (500, 1),
        (3, 2000),
        (3, 10),
        (1, 7),
    ):
        found, after = [], ""
        while True:
            some, after = await webhook_deliveries.find_due(
                stage.database, after, limit, scan_limit=scan_limit
            )
            found += some
            if not after:
                break
        assert found == [f"callback:{n:03}" for n in range(7, 101, 7)], (limit, scan_limit)


async def finish_at_once(stage: Stage, queues: list[str]) -> None:
    """Store one task for each name of a queue, ended already, with their changes."""
    ids = [stage.ids() for _ in queues]
    now = stage.clock.now()
    new = [
        NewTask(
            id=task_id,
            created_at=now,
            run_at=now,
            draft=a_draft(queue=queue),
            key_scope="rest",
            key_expires_at=now + timedelta(days=1),
        )
        for task_id, queue in zip(ids, queues, strict=True)
    ]
    async with stage.database.hot() as connection:
        for start in range(0, len(new), 1000):
            await tasks.insert(connection, new[start : start + 1000])
    for start in range(0, len(ids), 1000):
        await stage.database.fetch("cancel_waiting_tasks", ids[start : start + 1000], "a test")


async def test_ten_thousand_tasks_reach_nineteen_endpoints_while_one_is_dead(stage: Stage) -> None:
    """20 webhooks of a queue each, 500 tasks a queue; one endpoint never responds."""
    queues = [f"q{number % 20}" for number in range(10_000)]
    for name in set(queues):
        await stage.created(queue=name)
    async with a_numbering(stage.database):
        await all_numbered(stage)
    options = RoleOptions(timeout_s=2.0, concurrency=100)
    loop = asyncio.get_running_loop()
    async with an_endpoint() as well, an_endpoint(never) as dead:
        for number in range(20):
            url = dead.url if number == 0 else f"{well.url}/{number}"
            await subscribed(stage, url, queues=(f"q{number}",))
        await finish_at_once(stage, queues)
        async with a_numbering(stage.database):
            await all_numbered(stage)
        began = loop.time()
        async with a_webhooks_role(stage, options):
            await came(well, 19 * 500, timeout_s=90)
            took_s = loop.time() - began
        assert Counter(one.path for one in well.received) == {f"/{n}": 500 for n in range(1, 20)}
        assert len(set(well.ids)) == 9500
        assert 0 < len(dead.received) < 20, "it is tried now and then, and paused in between"
        assert took_s < 60


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
