"""Webhooks of keys for some queues: they get what their key may see, also when its name's next key grants less."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from taskmill.operations.api_keys import NewApiKey, rotate
from taskmill.storage.api_keys import revoke
from taskmill.webhooks.sending import NOT_GRANTED
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.endpoint import Received, an_endpoint, came, ok, status
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.webhooks import RoleOptions, a_webhooks_role, deliveries, done, settled

URL = "https://hooks.example.org/in"
OUTBOUND = "outbound host=hooks.example.org,127.0.0.1"


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def a_key(stage: Stage, *queues: str, name: str = "") -> NewApiKey:
    limit = f" queue={','.join(queues)}" if queues else ""
    return await a_new_key(stage.database, f"webhooks{limit}", OUTBOUND, name=name)


async def subscribe(
    served: Served,
    key: NewApiKey,
    url: str = URL,
    **fields: Any,  # noqa: ANN401 - of a webhook
) -> dict[str, Any]:
    response = await served.post("/webhooks", {"url": url, **fields}, headers=shown(key))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def test_a_key_has_the_webhooks_of_its_name_and_no_others(
    required: Served, stage: Stage
) -> None:
    key, other = await a_key(stage, "mail", name="team"), await a_key(stage, "mail")
    everything = await a_key(stage)
    own = await subscribe(required, key, queues=["mail"])
    foreign = await subscribe(required, other, queues=["mail"])
    of_all = await subscribe(required, everything, queues=["mail"])

    async def listed(who: NewApiKey) -> list[str]:
        items = (await required.get("/webhooks", headers=shown(who))).json()["items"]
        return [item["id"] for item in items]

    assert await listed(key) == [own["id"]]
    assert await listed(other) == [foreign["id"]]
    assert await listed(everything) == [own["id"], foreign["id"], of_all["id"]]
    unknown = str(uuid4())
    for method, rest, body in (
        ("GET", "", None),
        ("PATCH", "", {"description": "mine"}),
        ("DELETE", "", None),
        ("POST", "/test", None),
        ("GET", "/deliveries", None),
        ("POST", "/deliveries/1/resend", None),
    ):
        answers = set()
        for wanted in (foreign["id"], of_all["id"], unknown):
            response = await required.http.request(
                method, f"/webhooks/{wanted}{rest}", json=body, headers=shown(key)
            )
            answers.add((response.status_code, response.text.replace(wanted, "ID")))
        [(status, _)] = answers
        assert status == 404, (method, rest)
    assert await listed(everything) == [own["id"], foreign["id"], of_all["id"]]
    assert await deliveries(stage.sql) == []
    for method, rest, body in (("PATCH", "", {"description": "d"}), ("DELETE", "", None)):
        response = await required.http.request(
            method, f"/webhooks/{own['id']}{rest}", json=body, headers=shown(key)
        )
        assert response.is_success, response.text


async def test_a_webhook_names_only_queues_of_its_key(required: Served, stage: Stage) -> None:
    key = await a_key(stage, "mail", "billing.*")
    own = await subscribe(required, key, queues=["mail", "billing.eu"])
    address = f"/webhooks/{own['id']}"
    for queues, expected in ((["mail"], 200), ([], 200), (["mail", "secret"], 403)):
        made = await required.post("/webhooks", {"url": URL, "queues": queues}, headers=shown(key))
        changed = await required.http.patch(address, json={"queues": queues}, headers=shown(key))
        wanted = 201 if expected == 200 else expected
        assert (made.status_code, changed.status_code) == (wanted, expected), queues
        if expected == 403:
            assert "does not grant webhooks for queue 'secret'" in made.text
            assert "does not grant webhooks for queue 'secret'" in changed.text
    assert (await required.get(address, headers=shown(key))).json()["queues"] == []


async def test_a_webhook_gets_what_its_key_grants_whatever_it_names(
    required: Served, stage: Stage
) -> None:
    key = await a_key(stage, "mail", "billing.*")
    async with an_endpoint() as endpoint:
        await subscribe(required, key, endpoint.url)
        for queue in ("secret", "billing", "billing.eu", "mailer", "mail"):
            await done(stage, queue=queue)
        async with a_webhooks_role(stage):
            await came(endpoint, 2)
            await done(stage, queue="secret")
            await done(stage, queue="billing.new")
            await came(endpoint, 3)
    queues = sorted(_queue(one) for one in endpoint.received)
    assert queues == ["billing.eu", "billing.new", "mail"]
    assert len(await deliveries(stage.sql)) == 3, "others are not even stored"


async def less_than_before(stage: Stage, before: NewApiKey) -> NewApiKey:
    """Give the name of a key another one, for `mail` only."""
    await revoke(stage.owner_database, before.key.id)
    return await a_key(stage, "mail", name="team")


async def test_what_a_key_no_longer_grants_is_not_delivered(required: Served, stage: Stage) -> None:
    """Neither what comes from then on, nor what was stored before and is tried again."""
    key = await a_key(stage, name="team")
    async with an_endpoint(status(503)) as endpoint:
        await subscribe(required, key, endpoint.url)
        tasks = {queue: await done(stage, queue=queue) for queue in ("mail", "secret")}
        async with a_webhooks_role(stage, RoleOptions(retry_s=0.2)):
            await came(endpoint, 2)
        await less_than_before(stage, key)
        seen, endpoint.responds = len(endpoint.received), ok
        for queue in ("secret", "mail"):
            await done(stage, queue=queue)
        async with a_webhooks_role(stage, RoleOptions(retry_s=0.2)):
            rows = await settled(stage, 3)
    assert [_queue(one) for one in endpoint.received[seen:]] == ["mail", "mail"]
    ended = {row["task_id"]: (row["state"], row["trouble"]) for row in rows}
    assert len(ended) == 3, "the next one of the other queue is not even stored"
    assert ended[tasks["mail"].id][0] == "delivered"
    assert ended[tasks["secret"].id] == ("failed", NOT_GRANTED)


async def test_deliveries_of_queues_that_a_key_no_longer_has_are_not_there(
    required: Served, stage: Stage
) -> None:
    key = await a_key(stage, name="team")
    everything = shown(await a_key(stage))
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        webhook = await subscribe(required, key, endpoint.url)
        tasks = {queue: await done(stage, queue=queue) for queue in ("mail", "secret")}
        ids = {row["task_id"]: row["id"] for row in await settled(stage, 2)}
        less = shown(await less_than_before(stage, key))
        address = f"/webhooks/{webhook['id']}/deliveries"
        await required.post(f"/webhooks/{webhook['id']}/test", headers=less)
        listed = (await required.get(address, headers=less)).json()["items"]
        assert [one["task_id"] for one in listed] == [None, str(tasks["mail"].id)]
        assert len((await required.get(address, headers=everything)).json()["items"]) == 3
        own, foreign = (ids[tasks[queue].id] for queue in ("mail", "secret"))
        statuses = [
            (await required.post(f"{address}/{number}/resend", headers=less)).status_code
            for number in (own, foreign, 987_654)
        ]
        assert statuses == [202, 404, 404]
        before = len(await settled(stage, 3))
        sent = await required.post(f"{address}/{foreign}/resend", headers=everything)
        assert sent.status_code == 202
        rows = {row["id"]: row for row in await settled(stage, before)}
        assert rows[foreign]["trouble"] == NOT_GRANTED, "not even if somebody else asks for it"
    queues = [_queue(one) for one in endpoint.received if b"webhook.test" not in one.body]
    assert sorted(queues) == ["mail", "mail", "secret"]


async def test_without_a_live_key_events_wait_for_one(required: Served, stage: Stage) -> None:
    key = await a_key(stage, "mail", name="team")
    everything = shown(await a_key(stage))
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        webhook = await subscribe(required, key, endpoint.url)
        address = f"/webhooks/{webhook['id']}"
        allowed = (await required.get(address, headers=everything)).json()
        await revoke(stage.owner_database, "team")
        await done(stage, queue="mail")
        await done(stage, queue="secret")

        async def probe() -> bool:
            rows = await deliveries(stage.sql)
            return [row["trouble"] for row in rows] == [
                "no live API key is named 'team', which made the webhook"
            ]

        await eventually(probe, "a try that finds no key")
        held = (await required.get(address, headers=everything)).json()
        assert "no live API key is named 'team'" in held["warning"]
        assert held["state"] == "enabled"
        assert endpoint.received == []
        await a_key(stage, "mail", name="team")
        after = (await required.get(address, headers=everything)).json()
        assert after.get("warning") == allowed.get("warning")
    await stage.sql.execute("UPDATE taskmill.webhook_delivery SET next_at = now()")
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        await required.http.patch(address, json={"url": endpoint.url}, headers=everything)
        await came(endpoint, 1)
        assert [_queue(one) for one in endpoint.received] == ["mail"]


async def test_a_rotated_key_changes_nothing(required: Served, stage: Stage) -> None:
    key = await a_key(stage, "mail", name="team")
    async with an_endpoint() as endpoint, a_webhooks_role(stage):
        await subscribe(required, key, endpoint.url)
        await rotate(stage.owner_database, "team", environment="test", overlap=timedelta(hours=1))
        await revoke(stage.owner_database, key.key.id)
        await done(stage, queue="secret")
        await done(stage, queue="mail")
        await came(endpoint, 1)
        assert len(await settled(stage, 1)) == 1
    assert [_queue(one) for one in endpoint.received] == ["mail"]


def _queue(received: Received) -> str:
    return str(orjson.loads(received.body)["data"]["queue"])
