"""Where API keys are required: what producers of messages may create."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import orjson
import pytest

from taskmill.composition.keys import producer_keys
from taskmill.composition.process_context import ProcessContext
from taskmill.domain.api_key_errors import NotAuthenticated, ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.runtime.offload import Caller, caller
from taskmill.settings import Settings
from taskmill.storage.api_keys import revoke
from tests.support.api import LogLines
from tests.support.api_keys import a_new_key
from tests.support.intake import Producer, counted, producing, taking_in, until_counted
from tests.support.polling import eventually
from tests.support.stage import Stage, a_rejections

# The user of the tests' broker.
USER = "taskmill"


@pytest.fixture
def producers(stage: Stage) -> ProducerKeys:
    """The keys of producers, as the intake has them where keys are required."""
    return ProducerKeys(stage.database, stage.clock)


@asynccontextmanager
async def an_intake(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> AsyncIterator[Producer]:
    async with taking_in(stage, broker_url, producers=producers), producing(broker_url) as producer:
        yield producer


async def refusals(stage: Stage) -> list[tuple[int, str]]:
    """The status and the text of each rejection, oldest first."""
    rows = await stage.sql.fetch("SELECT status, problem FROM taskmill.rejection ORDER BY id")
    return [(row["status"], orjson.loads(row["problem"])["detail"]) for row in rows]


async def test_a_message_creates_what_the_key_of_its_user_grants(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    grants = ("tasks:create queue=billing.* type=charge", "outbound host=hooks.example.org")
    await a_new_key(stage.database, *grants, name=USER)
    good = {"name": "Charge", "type": "charge", "queue": "billing.cards"}
    async with an_intake(stage, broker_url, producers) as producer:
        await producer.send(good, user_id=USER)
        await producer.send({**good, "callback_url": "https://hooks.example.org/"}, user_id=USER)
        await until_counted(stage, 2, 0)
        await producer.send({**good, "queue": "other"}, user_id=USER)
        await until_counted(stage, 2, 1)
        await producer.send({**good, "type": "other"}, user_id=USER)
        await until_counted(stage, 2, 2)
        await producer.send({**good, "callback_url": "https://example.net/"}, user_id=USER)
        await until_counted(stage, 2, 3)
    owners = await stage.sql.fetch("SELECT owner FROM taskmill.queue WHERE name = 'billing.cards'")
    assert [row["owner"] for row in owners] == [USER], "it counts for the quota of the key"
    found = await refusals(stage)
    assert [status for status, _ in found] == [403, 403, 403]
    assert "tasks:create for queue 'other' and type 'charge'" in found[0][1]
    assert "queue 'billing.cards' and type 'other'" in found[1][1]
    assert "outbound for host 'example.net'" in found[2][1]


async def test_a_refused_message_is_for_a_queue_only_if_its_producer_may_create_in_it(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    await a_new_key(stage.database, "tasks:create queue=billing.* type=charge", name=USER)
    wrong = {"name": 5, "type": "charge"}
    async with an_intake(stage, broker_url, producers) as producer:
        for number, queue in enumerate(("billing.cards", "other", None)):
            await producer.send(wrong | ({} if queue is None else {"queue": queue}), user_id=USER)
            await until_counted(stage, 0, number + 1)
        await producer.send({**wrong, "queue": "billing.cards"})
        await until_counted(stage, 0, 4)
    rows = await stage.sql.fetch("SELECT status, queue FROM taskmill.rejection ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (422, "billing.cards"),
        (422, None),
        (422, None),
        (401, None),
    ]


async def test_a_message_without_a_user_or_of_one_without_a_key_creates_nothing(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    async with an_intake(stage, broker_url, producers) as producer:
        # What is wrong with it is not told to somebody unknown.
        await producer.send(b"rubbish")
        await producer.send({"name": "Charge"}, user_id=USER)
        await until_counted(stage, 0, 2)
    [first, second] = await refusals(stage)
    assert first == second
    assert first[0] == 401
    assert "user_id" in first[1]
    assert "taskmill key create" in first[1]


async def test_an_intake_without_settings_requires_keys_once_there_is_one(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    """Also one that has ended: whoever made it wants keys to be required somewhere."""
    keys = ProducerKeys(stage.database, stage.clock, only_if_any=True)
    async with an_intake(stage, broker_url, keys) as producer:
        await producer.send({"name": "Charge"})
        await until_counted(stage, 1, 0)
        key = await a_new_key(stage.database, "tasks:create", name=USER)
        keys.forget()
        await producer.send({"name": "Charge"})
        await until_counted(stage, 1, 1)
        await producer.send({"name": "Charge"}, user_id=USER)
        await until_counted(stage, 2, 1)
        await revoke(stage.owner_database, key.key.id)
        keys.forget()
        await producer.send({"name": "Charge"}, user_id=USER)
        await until_counted(stage, 2, 2)
    assert [status for status, _ in await refusals(stage)] == [401, 401]
    [line] = log_lines.named("producer_keys.required")
    assert "TASKMILL_AUTH" in line["advice"]


@pytest.mark.parametrize(
    ("settings", "serves_api", "is_required"),
    [
        ({}, False, None),
        ({}, True, False),
        ({"api": {"host": "127.0.0.1"}}, False, False),
        ({"api": {"host": "10.0.0.11"}}, False, True),
        ({"auth": "off"}, False, False),
        ({"auth": "required"}, False, True),
        ({"auth": "required"}, True, True),
    ],
)
async def test_an_intake_knows_where_the_api_listens_if_a_setting_says_so(
    stage: Stage, settings: dict[str, object], *, serves_api: bool, is_required: bool | None
) -> None:
    """None: it has to find out whether there is a key."""
    context = cast(
        "ProcessContext",
        SimpleNamespace(
            settings=Settings.model_validate(settings),
            database=stage.database,
            clock=stage.clock,
            on_api_keys=[],
        ),
    )
    keys, services = producer_keys(context, stage.creation, serves_api=serves_api)
    assert (keys is None, services == []) == (is_required is False,) * 2
    if keys is not None:
        await keys.refresh()
        if is_required is None:
            assert keys.key_of(USER) is None
            await a_new_key(stage.database, "metrics")
            keys.forget()
            await keys.refresh()
        with pytest.raises(NotAuthenticated):
            keys.key_of(USER)


async def test_a_key_that_was_revoked_or_has_expired_creates_nothing_and_a_new_one_does(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    async with an_intake(stage, broker_url, producers) as producer:
        await a_new_key(stage.database, "tasks:create", name=USER, lifetime=timedelta(seconds=-1))
        await producer.send({"name": "Charge"}, user_id=USER)
        await until_counted(stage, 0, 1)
        await a_new_key(stage.database, "tasks:create", name=USER)
        producers.forget()
        await producer.send({"name": "Charge"}, user_id=USER)
        await until_counted(stage, 1, 1)
        await revoke(stage.owner_database, USER)
        producers.forget()
        await producer.send({"name": "Charge"}, user_id=USER)
        await until_counted(stage, 1, 2)


async def test_the_use_of_a_key_is_recorded(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    await a_new_key(stage.database, "tasks:create", name=USER)
    noticed: list[bool] = []
    producers.on_use = lambda: noticed.append(True)
    async with an_intake(stage, broker_url, producers) as producer:
        for number in range(3):
            await producer.send({"name": f"Charge {number}"}, user_id=USER)
        await until_counted(stage, 3, 0)
    assert noticed == [True]
    await producers.record_use()
    assert await stage.sql.fetchval("SELECT last_used_at IS NOT NULL FROM taskmill.api_key")


async def test_a_message_and_a_request_of_one_key_share_their_idempotency_keys(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    await a_new_key(stage.database, "tasks:create", name=USER)
    async with an_intake(stage, broker_url, producers) as producer:
        await producer.send({"name": "Charge"}, user_id=USER, message_id="order-1")
        await producer.send({"name": "Charge"}, user_id=USER, message_id="order-1")
        await producer.send({"name": "Charge"}, user_id=USER, message_id="order-2")
        await until_counted(stage, 2, 0)
    scopes = await stage.sql.fetch("SELECT DISTINCT scope FROM taskmill.idempotency")
    assert [row["scope"] for row in scopes] == [f"api_key:{USER}"]
    assert await counted(stage) == (2, 0)


async def test_messages_wait_while_the_keys_can_not_be_read_whatever_the_reason(
    stage: Stage,
    broker_url: str,
    producers: ProducerKeys,
    log_lines: LogLines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("taskmill.intake.amqp._FIRST_PAUSE_S", 0.01)
    await a_new_key(stage.database, "tasks:create", name=USER)
    await stage.sql.execute("ALTER TABLE taskmill.api_key RENAME TO gone")

    async def has_often_failed() -> bool:
        await until_counted(stage, 0, 0)
        return max((line["failures"] for line in log_lines.named("intake.delayed")), default=0) > 8

    async with an_intake(stage, broker_url, producers) as producer:
        await producer.send({"name": "Charge"}, user_id=USER)
        await eventually(has_often_failed, "more tries than a fault of a message gets")
        await stage.sql.execute("ALTER TABLE taskmill.gone RENAME TO api_key")
        await until_counted(stage, 1, 0)


@asynccontextmanager
async def calling(key: ApiKey) -> AsyncIterator[None]:
    """Do what follows for a request with a key."""
    token = caller.set(Caller(host="127.0.0.1", key=key))
    try:
        yield
    finally:
        caller.reset(token)


async def only_rejection(stage: Stage) -> UUID:
    found: UUID = await stage.sql.fetchval("SELECT id FROM taskmill.rejection")
    return found


async def test_a_refused_message_that_its_producer_has_sent_again_is_no_second_task(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    operator = await a_new_key(stage.database, "tasks:operate")
    async with an_intake(stage, broker_url, producers) as producer:
        await producer.send({"name": "Charge"}, user_id=USER, message_id="order-1")
        await until_counted(stage, 0, 1)
        await a_new_key(stage.database, "tasks:create", name=USER)
        producers.forget()
        await producer.send({"name": "Charge"}, user_id=USER, message_id="order-1")
        await until_counted(stage, 1, 1)
    rejections = a_rejections(stage.database, stage.creation, stage.ids, producers=producers)
    async with calling(operator.key):
        assert (await rejections.resend(await only_rejection(stage))).replayed
    assert await counted(stage) == (1, 1)


async def test_who_sends_a_message_again_gives_it_no_more_rights_than_its_producer_has(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    operator = await a_new_key(stage.database, "admin")
    await a_new_key(stage.database, "tasks:create", name=USER)
    async with an_intake(stage, broker_url, producers) as producer:
        url = "https://hooks.example.org/"
        await producer.send({"name": "Charge", "callback_url": url}, user_id=USER)
        await until_counted(stage, 0, 1)
    rejections = a_rejections(stage.database, stage.creation, stage.ids, producers=producers)
    async with calling(operator.key):
        with pytest.raises(ScopeMissing, match="outbound"):
            await rejections.resend(await only_rejection(stage))


async def test_a_message_of_nobody_needs_the_rights_of_who_sends_it_again(
    stage: Stage, broker_url: str, producers: ProducerKeys
) -> None:
    operator = await a_new_key(stage.database, "tasks:operate")
    creator = await a_new_key(stage.database, "tasks:operate", "tasks:create queue=default")
    async with an_intake(stage, broker_url, producers) as producer:
        await producer.send({"name": "Charge"})
        await until_counted(stage, 0, 1)
    rejections = a_rejections(stage.database, stage.creation, stage.ids, producers=producers)
    async with calling(operator.key):
        with pytest.raises(ScopeMissing, match="tasks:create"):
            await rejections.resend(await only_rejection(stage))
    async with calling(creator.key):
        assert not (await rejections.resend(await only_rejection(stage))).replayed
