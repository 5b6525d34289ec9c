"""Pushes and callbacks are signed with different keys: whoever creates a push chooses its body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from taskmill.composition.handlers import pools
from taskmill.composition.outgoing import callback_keys
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.lifecycle import Status
from taskmill.domain.signing import secret_of
from taskmill.settings import load
from taskmill.storage import callbacks
from taskmill.storage.keyring import Keyring
from taskmill.storage.rights import APP
from tests.support.endpoint import Received, an_endpoint
from tests.support.roles import as_role
from tests.support.stage import Stage
from tests.support.webhooks import RoleOptions, a_webhooks_role, done, settled
from tests.support.workers import WorkerOptions, a_worker, finished

PUSH_KEY = secret_of(b"p" * 32)
CALLBACK_KEY = secret_of(b"c" * 32)
EVENT = {
    "specversion": "1.0",
    "id": "1.1",
    "source": "/taskmill",
    "type": "taskmill.task.succeeded",
    "data": {"status": "succeeded"},
}


@asynccontextmanager
async def a_context(url: str, *, push: str, callback: str) -> AsyncIterator[ProcessContext]:
    keys = {"push_signing_keys": push, "callback_signing_keys": callback}
    context = ProcessContext(
        load(database_url=as_role(url, APP), outbound={"allow": "127.0.0.1", **keys})
    )
    try:
        yield context
    finally:
        await context.close()


async def _pushed(stage: Stage, context: ProcessContext) -> Received:
    """Push an event with the handler of a process, and return what the endpoint received."""
    handler = pools(context)[0].handlers.get("http")
    assert handler is not None
    async with an_endpoint() as endpoint:
        async with a_worker(stage, {"http": handler}, WorkerOptions(result_bytes=10_000)):
            payload = orjson.dumps({"url": endpoint.url, "body": EVENT}).decode()
            task = await finished(stage, (await stage.created(type="http", payload=payload)).id)
        assert task.status is Status.SUCCEEDED, task.error
        [received] = endpoint.received
        return received


@pytest.mark.parametrize("push_key", [PUSH_KEY, ""])
async def test_a_push_of_an_event_is_never_signed_with_the_key_of_callbacks(
    stage: Stage, stage_url: str, push_key: str
) -> None:
    of_database = await callbacks.signing_key(stage.database, Keyring())
    assert of_database is not None
    async with a_context(stage_url, push=push_key, callback=CALLBACK_KEY) as context:
        received = await _pushed(stage, context)
    assert orjson.loads(received.body) == EVENT
    for key in (CALLBACK_KEY, of_database):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(received.body, received.headers)
    assert ("webhook-signature" in received.headers) == bool(push_key)
    if push_key:
        Webhook(push_key).verify(received.body, received.headers)


async def test_a_callback_is_never_signed_with_the_key_of_pushes(
    stage: Stage, stage_url: str
) -> None:
    async with a_context(stage_url, push=PUSH_KEY, callback=CALLBACK_KEY) as context:
        options = RoleOptions(keys=tuple(callback_keys(context)))
        async with an_endpoint() as endpoint, a_webhooks_role(stage, options):
            await done(stage, callback_url=endpoint.url)
            await settled(stage, 1)
    [received] = endpoint.received
    Webhook(CALLBACK_KEY).verify(received.body, received.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(PUSH_KEY).verify(received.body, received.headers)
