"""Contracts of types: registering them, also concurrently, and enforcing them at the entry points."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from taskmill.domain.errors import (
    ContractRefused,
    IdempotencyConflict,
    InvalidInput,
    TypeLimitReached,
    TypeNotFound,
)
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.operations.contracts import Contracts
from taskmill.runtime.periodic import Periodic
from taskmill.storage import contracts as rows, tasks
from taskmill.storage.notifier import CONTRACTS, NotificationListener
from taskmill.storage.statements import statement
from taskmill.wire.batches import array_drafts
from taskmill.wire.contracts.secret_fields import MARK
from taskmill.wire.messages import CreationMessage, message_draft
from taskmill.wire.retry import spec_of
from taskmill.wire.tasks import to_draft
from tests.support.builders import AT_ONCE
from tests.support.contracts import (
    NEEDS_CC,
    NEEDS_TO,
    TYPE,
    a_contract,
    limits_of,
    message_limits_of,
    register,
    registered,
)
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage

BAD = {"copies": 0}
DETAILS = [
    ("/payload/to", "a string", "nothing"),
    ("/payload/copies", "a number of at least 1", "the number 0"),
]


def details(error: InvalidInput) -> list[tuple[str, str, str]]:
    return [(one.pointer, one.expected, one.got) for one in error.violations]


def a_body(payload: object = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a task
    return {"name": "a task", "type": TYPE, "payload": payload, **fields}


def a_draft(known: Contracts, body: dict[str, Any]) -> TaskDraft:
    return to_draft(body, source="rest", limits=limits_of(known))


async def versions(stage: Stage) -> list[tuple[str, int]]:
    found = await stage.sql.fetch("SELECT type, version FROM taskmill.type_contract ORDER BY 1, 2")
    return [tuple(row) for row in found]


async def revision(stage: Stage) -> int:
    number: int = await stage.sql.fetchval("SELECT revision FROM taskmill.contract_revision")
    return number


async def test_a_new_contract_is_a_new_version_and_an_old_one_comes_back(stage: Stage) -> None:
    old, new = a_contract(NEEDS_TO), a_contract(NEEDS_CC)
    known = stage.service.contracts
    for contract, version in ((old, 1), (new, 2), (old, 1), (new, 2)):
        await registered(stage, contract)
        assert known.by_type[TYPE].version == version
    assert await versions(stage) == [(TYPE, 1), (TYPE, 2)]
    found = await known.get(TYPE)
    assert [one.version for one in found.versions] == [2, 1]
    assert found.current.registered_by == "a worker"


async def test_registering_the_current_contract_writes_nothing(stage: Stage) -> None:
    await registered(stage, a_contract(), a_contract(NEEDS_CC, type="other"))
    before = await revision(stage)
    await registered(stage, a_contract(), a_contract(NEEDS_CC, type="other"))
    assert await revision(stage) == before


async def test_many_workers_that_start_at_once_make_one_version(stage: Stage) -> None:
    contracts = [a_contract(type=f"type-{n}") for n in range(20)]
    async with asyncio.TaskGroup() as group:
        for n in range(12):
            order = contracts if n % 2 else contracts[::-1]
            group.create_task(register(stage.database, f"worker {n}", order))
    assert await versions(stage) == sorted((one.type, 1) for one in contracts)


async def test_workers_of_two_releases_that_start_at_once_leave_one_of_their_contracts(
    stage: Stage,
) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            schema = NEEDS_TO if n % 2 else NEEDS_CC
            group.create_task(
                register(stage.database, "w", [a_contract(schema), a_contract({}, "o")])
            )
    assert [version for kind, version in await versions(stage) if kind == TYPE] == [1, 2]
    await stage.service.contracts.refresh()
    assert stage.service.contracts.by_type.keys() == {TYPE, "o"}


async def test_a_registration_waits_for_another_open_transaction(stage: Stage) -> None:
    holder = await stage.database.connect()
    await holder.execute("BEGIN")
    await holder.execute(statement("lock_contracts"))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(register(stage.database, "w", [a_contract()]))
        await until_blocked(stage)
        assert not waiting.done()
        await holder.execute("COMMIT")
    await holder.close()
    assert await versions(stage) == [(TYPE, 1)]


async def test_of_several_contracts_a_bad_one_refuses_all(stage: Stage) -> None:
    bad = a_contract({"anyOf": [{}] * 256}, type="bad")
    with pytest.raises(ContractRefused, match=r"type 'bad'.*at most 256 schemas"):
        await register(stage.database, "w", [a_contract(), bad])
    assert await versions(stage) == []


async def test_old_versions_are_deleted_and_types_have_a_limit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_VERSIONS", 3)
    monkeypatch.setattr(rows, "MOST_TYPES", 2)
    for n in range(5):
        await register(stage.database, "w", [a_contract({"title": str(n)})])
    assert await versions(stage) == [(TYPE, 3), (TYPE, 4), (TYPE, 5)]
    with pytest.raises(TypeLimitReached):
        await register(stage.database, "w", [a_contract(type="b"), a_contract(type="c")])
    await register(stage.database, "w", [a_contract(type="b")])


async def test_a_dropped_contract_frees_its_type_and_keeps_its_versions(stage: Stage) -> None:
    known = await registered(stage, a_contract())
    await known.drop(TYPE)
    assert not known.by_type
    assert a_draft(known, a_body(BAD)).payload_error is None
    with pytest.raises(TypeNotFound):
        await known.drop(TYPE)
    with pytest.raises(TypeNotFound):
        await known.get(TYPE)
    await registered(stage, a_contract())
    assert await versions(stage) == [(TYPE, 1)]


async def test_an_entry_point_knows_of_a_change_when_it_polls(stage: Stage) -> None:
    known = Contracts(stage.database)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Periodic("contracts", known.refresh, interval_s=0.01).run(stop))
        await register(stage.database, "w", [a_contract()])

        async def has_it() -> bool:
            return TYPE in known.by_type

        await eventually(has_it, "the contract at the entry point")
        before = known.by_type[TYPE]
        await register(stage.database, "w", [a_contract(type="other")])

        async def has_both() -> bool:
            return len(known.by_type) == 2

        await eventually(has_both, "the other contract at the entry point")
        stop.set()
    assert known.by_type[TYPE] is before


async def test_an_entry_point_that_listens_is_notified_of_a_change_at_once(stage: Stage) -> None:
    known, stop = Contracts(stage.database), asyncio.Event()
    never = Periodic("contracts", known.refresh, interval_s=3600)
    listener = NotificationListener(stage.database, lambda _: None, also={CONTRACTS: never.wake})
    async with asyncio.TaskGroup() as group:
        group.create_task(never.run(stop))
        group.create_task(listener.run(stop))
        for number in (1, 2):
            await register(stage.database, "w", [a_contract(type=f"type-{number}")])
            await eventually(has(known, number), "the contract at the entry point")
        await Contracts(stage.database).drop("type-1")
        await eventually(has(known, 1), "it to be dropped")
        stop.set()


def has(known: Contracts, count: int) -> Callable[[], Awaitable[bool]]:
    """Return a probe whether an entry point knows so many types."""

    async def has_so_many() -> bool:
        return len(known.by_type) == count

    return has_so_many


async def test_a_payload_that_does_not_fit_is_refused_before_there_is_a_task(stage: Stage) -> None:
    known = await registered(stage, a_contract())
    with pytest.raises(InvalidInput) as caught:
        a_draft(known, a_body(BAD))
    assert details(caught.value) == DETAILS
    with pytest.raises(InvalidInput) as caught:
        a_draft(known, {"name": "", "type": TYPE})
    assert [one.pointer for one in caught.value.violations] == ["/name", "/payload/to"]
    with pytest.raises(InvalidInput) as caught:
        a_draft(known, a_body({}, run_at="2030-01-01T00:00:00Z", delay_s=1))
    assert [one.pointer for one in caught.value.violations] == ["/delay_s", "/payload/to"]
    assert a_draft(known, a_body({"to": "x"})).payload_error is None
    assert a_draft(known, a_body(BAD, type="free")).payload_error is None


async def test_a_contracts_defaults_fill_only_what_a_request_leaves_out(
    stage: Stage,
) -> None:
    known = await registered(
        stage,
        a_contract(queue="mail", priority=7, max_attempts=5, max_losses=0, retry=spec_of(AT_ONCE)),
    )
    plain = a_draft(known, a_body({"to": "x"}))
    assert (plain.queue, plain.priority, plain.max_attempts, plain.max_losses, plain.retry) == (
        "mail", 7, 5, 0, AT_ONCE,
    )  # fmt: skip
    own = a_draft(known, a_body({"to": "x"}, queue="q", priority=4, max_attempts=1, retry=None))
    assert (own.queue, own.priority, own.max_attempts, own.retry) == ("q", 4, 1, None)
    assert own.max_losses == 0
    made = (await stage.creation.create(plain)).task
    assert (made.queue, made.priority) == ("mail", 7)


async def test_a_repeated_key_gets_its_task_though_the_contract_has_changed_since(
    stage: Stage,
) -> None:
    known = await registered(stage, a_contract({}))
    body = a_body(BAD, idempotency_key="k")
    first = await stage.creation.create(a_draft(known, body))
    await registered(stage, a_contract(NEEDS_TO))
    again = await stage.creation.create(a_draft(known, body))
    assert again.replayed
    assert again.task == first.task
    with pytest.raises(IdempotencyConflict):
        await stage.creation.create(a_draft(known, {**body, "name": "another"}))
    with pytest.raises(InvalidInput) as caught:
        await stage.creation.create(a_draft(known, {**body, "idempotency_key": "free"}))
    assert details(caught.value) == DETAILS
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 1
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now()")
    with pytest.raises(InvalidInput):
        await stage.creation.create(a_draft(known, body))
    await assert_safe(stage.sql)


async def test_a_bad_payload_waits_for_the_first_request_of_its_key(stage: Stage) -> None:
    """A redelivered message must not be refused while the task of its first delivery is being committed."""
    known = await registered(stage, a_contract({}))
    body = a_body(BAD, idempotency_key="k")
    new = stage.creation.with_ids([a_draft(known, body)])[0]
    await registered(stage, a_contract(NEEDS_TO))
    for end, is_replayed in (("ROLLBACK", False), ("COMMIT", True)):
        holder = await stage.database.connect()
        await holder.execute("BEGIN")
        await tasks.insert(holder, [new])
        async with asyncio.TaskGroup() as group:
            storing = stage.creation.store_each(stage.creation.with_ids([a_draft(known, body)]))
            waiting = group.create_task(storing)
            await until_blocked(stage)
            await holder.execute(end)
        await holder.close()
        [response] = waiting.result()
        assert isinstance(response, CreatedTask) == is_replayed
        assert is_replayed or (isinstance(response, InvalidInput) and details(response) == DETAILS)
    await assert_safe(stage.sql)


async def test_intake_refuses_with_the_same_texts_and_stores_the_others(stage: Stage) -> None:
    known = await registered(stage, a_contract())
    limits = message_limits_of(known)
    fits = b'{"name": "a", "type": "send-email", "payload": {"to": "x"}}'
    bad = b'{"name": "b", "type": "send-email", "payload": {"copies": 0}}'
    with pytest.raises(InvalidInput) as caught:
        message_draft(CreationMessage(body=bad), limits)
    assert details(caught.value) == DETAILS
    drafts = [
        message_draft(CreationMessage(body=body, message_id=f"m{n}"), limits)
        for n, body in enumerate((fits, bad, fits))
    ]
    responses = await stage.creation.store_each(stage.creation.with_ids(drafts))
    assert [isinstance(response, CreatedTask) for response in responses] == [True, False, True]
    assert isinstance(responses[1], InvalidInput)
    assert details(responses[1]) == DETAILS
    await assert_safe(stage.sql)


async def test_an_array_is_stored_only_if_all_payloads_fit_or_were_stored_before(
    stage: Stage,
) -> None:
    free = await registered(stage, a_contract({}))
    old = a_body(BAD, idempotency_key="old")
    made = await stage.creation.create(a_draft(free, old))
    known = await registered(stage, a_contract(NEEDS_TO))

    def drafts(*bodies: dict[str, Any]) -> list[TaskDraft]:
        return array_drafts(list(bodies), source="rest", limits=limits_of(known))

    fits = a_body({"to": "x"})
    with pytest.raises(InvalidInput) as caught:
        drafts(fits, a_body(BAD))
    assert [one.pointer for one in caught.value.violations] == [
        "/1/payload/to",
        "/1/payload/copies",
    ]
    with pytest.raises(InvalidInput) as caught:
        await stage.creation.create_all(drafts(fits, old, a_body(BAD, idempotency_key="new")))
    assert [one.pointer for one in caught.value.violations] == [
        "/2/payload/to",
        "/2/payload/copies",
    ]
    with pytest.raises(IdempotencyConflict):
        await stage.creation.create_all(drafts(fits, {**old, "name": "another"}))
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1
    responses = await stage.creation.create_all(drafts(fits, old, fits))
    assert [response.replayed for response in responses] == [False, True, False]
    assert responses[1].task.id == made.task.id
    await assert_safe(stage.sql)


async def test_a_waiting_task_is_run_whatever_contract_is_current_by_then(stage: Stage) -> None:
    known = await registered(stage, a_contract({}))
    lease = await stage.open_lease()
    waiting = (await stage.creation.create(a_draft(known, a_body(BAD)))).task
    await registered(stage, a_contract(NEEDS_TO))

    async def taken() -> bool:
        return waiting.id in [one.task.id for one in await stage.take(lease)]

    await eventually(taken, "the claim of a task that waited")


async def test_live_workers_are_counted(stage: Stage) -> None:
    known = await registered(stage, a_contract())
    assert [one.workers for one in await known.all()] == [0]
    await stage.open_lease()
    closed = await stage.open_lease()
    await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", closed)
    assert [one.workers for one in await known.all()] == [1]


async def test_polling_for_changes_reads_one_row_when_there_are_none(stage: Stage) -> None:
    await registered(stage, *(a_contract(type=f"t{n}") for n in range(50)))
    now = await revision(stage)
    assert await rows.read_changed(stage.database, now, MARK) is None
    found = await stage.database.fetch("read_contracts", now, MARK)
    assert len(found) == 1


async def test_looking_up_a_key_leaves_nothing_behind(stage: Stage) -> None:
    async with stage.database.hot() as connection:
        assert await tasks.find_live_keys(connection, {("rest", "k")}) == set()
        assert not connection.is_in_transaction()
        with pytest.raises(asyncpg.PostgresError):
            await tasks.find_live_keys(connection, {("rest", "\x00")})
        assert not connection.is_in_transaction()
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 0
