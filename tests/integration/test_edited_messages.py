"""Rejected messages that are edited where API keys are required: whose rights count, and whose key it is."""

from dataclasses import replace
from uuid import UUID

import orjson
import pytest

from taskmill.domain.api_key_errors import ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.contracts import TypeContract
from taskmill.domain.grants import Scope
from taskmill.domain.visibility import Visibility
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.rejections import Rejections
from taskmill.operations.visibility import limited_to
from taskmill.runtime.offload import Caller, caller
from taskmill.storage.rejections import NewRejection
from taskmill.storage.tasks import OWNED
from taskmill.wire.messages import MessageLimits
from taskmill.wire.rules import InputLimits
from tests.support.api_keys import a_new_key
from tests.support.refusals import refused_message
from tests.support.stage import Stage, a_rejections

PRODUCER = "shop"
EDITED = b'{"name": "edited", "queue": "mail"}'


@pytest.fixture
def rejections(stage: Stage) -> Rejections:
    """The rejected messages where producers need keys, under the contracts in force."""
    return a_rejections(
        stage.database,
        stage.creation,
        stage.ids,
        limits=MessageLimits(input=InputLimits(contracts=stage.service.contracts.by_type)),
        producers=ProducerKeys(stage.database, stage.clock),
    )


async def refused(stage: Stage, message_id: str | None = None, user_id: str = PRODUCER) -> UUID:
    """Store a message of a producer."""
    message = replace(
        refused_message(b'{"queue": "mail"}', message_id),
        properties=orjson.dumps({"user_id": user_id}).decode(),
        queue="mail",
    )
    new = NewRejection(id=stage.ids(), message=message, body_hash=message.body_hash)
    [rejection_id] = await stage.service.rejections.store([new])
    return rejection_id


async def forget_task(stage: Stage, rejection_id: UUID) -> None:
    """Have the process die before it recorded the task."""
    await stage.sql.execute(
        "UPDATE taskmill.rejection SET task_id = NULL, resent_at = NULL WHERE id = $1", rejection_id
    )


async def an_operator(stage: Stage, *grants: str) -> ApiKey:
    """A key whose request is being served."""
    key = (await a_new_key(stage.database, *grants)).key
    caller.set(Caller(host="127.0.0.1", key=key))
    return key


@pytest.mark.parametrize("message_id", ["order-1", None])
async def test_two_operators_make_one_task_of_a_message_whose_task_was_not_recorded(
    stage: Stage, rejections: Rejections, message_id: str | None
) -> None:
    await a_new_key(stage.database, "tasks:create", name=PRODUCER)
    rejection_id = await refused(stage, message_id)
    created = []
    for _ in range(2):
        operator = await an_operator(stage, "tasks:operate", "tasks:create")
        created.append(await rejections.resend_edited(rejection_id, EDITED, operator))
        await forget_task(stage, rejection_id)
    assert [one.replayed for one in created] == [False, True]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1


async def test_the_key_of_an_edited_message_is_its_producers(
    stage: Stage, rejections: Rejections
) -> None:
    await a_new_key(stage.database, "tasks:create", name=PRODUCER)
    operator = await an_operator(stage, "tasks:operate", "tasks:create")
    await rejections.resend_edited(await refused(stage, "order-1"), EDITED, operator)
    await rejections.resend_edited(await refused(stage, "order-2", "gone"), EDITED, operator)
    scopes = await stage.sql.fetch("SELECT key, scope FROM taskmill.idempotency ORDER BY key")
    # Nobody is named like the producer of the second.
    wanted = [("order-1", f"{OWNED}{PRODUCER}"), ("order-2", f"{OWNED}{operator.draft.name}")]
    assert [tuple(row) for row in scopes] == wanted


async def test_who_edits_a_message_learns_nothing_of_contracts_of_other_types(
    stage: Stage, rejections: Rejections
) -> None:
    schema = {"type": "object", "required": ["iban"]}
    await stage.service.contracts.register(
        TypeContract(type="pay", schema=orjson.dumps(schema).decode()), by="test"
    )
    await stage.service.contracts.refresh()
    operator = await an_operator(stage, "tasks:operate", "tasks:create type=send")
    body = b'{"name": "a", "queue": "mail", "type": "pay", "payload": {}}'
    with pytest.raises(ScopeMissing, match="tasks:create"):
        await rejections.resend_edited(await refused(stage), body, operator)


async def test_a_queue_out_of_reach_is_named_when_an_edited_message_is_sent_there(
    stage: Stage, rejections: Rejections
) -> None:
    operator = await an_operator(stage, "tasks:read queue=mail", "tasks:create")
    visibility = Visibility(key=operator, scopes=(Scope.TASKS_READ,))
    with limited_to(visibility), pytest.raises(ScopeMissing, match="queue 'news'"):
        await rejections.resend_edited(
            await refused(stage), EDITED.replace(b"mail", b"news"), operator
        )
