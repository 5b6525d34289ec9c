"""What a process never calls, as its settings say: its own services, plain http, other ports."""

from typing import Any

import orjson
import pytest

from taskmill.composition.handlers import pools
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.lifecycle import Status
from taskmill.domain.webhooks import DeliveryState
from taskmill.outbound.addresses import AddressRules
from taskmill.settings import load
from taskmill.settings.outgoing import OutboundSettings
from tests.support.endpoint import an_endpoint
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.webhooks import RoleOptions, a_webhooks_role, deliveries, done, settled
from tests.support.workers import WorkerOptions, a_worker, finished

ALLOWED = {"outbound": {"allow": "127.0.0.1,localhost"}}


async def _pushed(stage: Stage, url: str, settings: dict[str, Any]) -> str:
    """Push by the handler of a process with these settings; return the error, "" if there is none."""
    context = ProcessContext(load(**settings))
    try:
        handler = pools(context)[0].handlers.get("http")
        assert handler is not None
        async with a_worker(stage, {"http": handler}, WorkerOptions(result_bytes=10_000)):
            payload = orjson.dumps({"url": url}).decode()
            task = await stage.created(type="http", payload=payload, max_attempts=3)
            ended = await finished(stage, task.id)
    finally:
        await context.close()
    if ended.status is Status.SUCCEEDED:
        return ""
    error = orjson.loads(ended.error or "null")
    assert (error["type"], ended.attempt) == ("AddressForbidden", 1), "it fails at once"
    return str(error["message"])


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"database_url": "postgresql://me:hidden@127.0.0.1:{port}/x"}, "the database"),
        ({"broker_url": "amqp://me:hidden@localhost:{port}/x"}, "the broker"),
        ({"api": {"host": "0.0.0.0", "port": "{port}"}}, "the API"),  # noqa: S104 - not bound
    ],
)
async def test_a_push_never_reaches_an_own_service_though_its_network_is_allowed(
    stage: Stage, settings: dict[str, Any], what: str
) -> None:
    async with an_endpoint() as endpoint:
        port = endpoint.url.rpartition(":")[2]
        text = orjson.dumps(settings).decode().replace("{port}", port)
        base = {"database_url": "postgresql://127.0.0.1:1/x", **ALLOWED}
        for host in ("127.0.0.1", "localhost"):
            url = endpoint.url.replace("127.0.0.1", host)
            message = await _pushed(stage, url, {**base, **orjson.loads(text)})
            assert message.startswith(f"port {port} of {host} is not called: it is {what}")
            assert "hidden" not in message
        assert endpoint.received == []
        assert await _pushed(stage, endpoint.url, base) == ""


@pytest.mark.parametrize(
    ("outbound", "words"),
    [
        ({"https_only": True}, "TASKMILL_OUTBOUND__HTTPS_ONLY only https is"),
        ({"ports": "443,1-79"}, "TASKMILL_OUTBOUND__PORTS allows only 443,1-79"),
    ],
)
async def test_a_push_to_what_the_settings_exclude_fails_at_once(
    stage: Stage, outbound: dict[str, Any], words: str
) -> None:
    async with an_endpoint() as endpoint:
        settings = {"outbound": {"allow": "127.0.0.1", **outbound}}
        url = f"{endpoint.url}/?key=hidden"
        database = {"database_url": "postgresql://127.0.0.1:1/x"}
        message = await _pushed(stage, url, {**database, **settings})
        assert words in message
        assert "hidden" not in message
        assert endpoint.received == []


async def test_a_callback_to_plain_http_waits_until_it_is_allowed(stage: Stage) -> None:
    rules = AddressRules.of(OutboundSettings(allow=("127.0.0.1",), https_only=True))
    async with an_endpoint() as endpoint:
        async with a_webhooks_role(stage, RoleOptions(rules=rules)):
            await done(stage, callback_url=endpoint.url)

            async def trouble() -> str:
                return "".join(str(one["trouble"] or "") for one in await deliveries(stage.sql))

            assert "HTTPS_ONLY" in await eventually(trouble, "a try")
        assert endpoint.received == []
        async with a_webhooks_role(stage):
            [delivery] = await settled(stage, 1)
        assert delivery["state"] == DeliveryState.DELIVERED
