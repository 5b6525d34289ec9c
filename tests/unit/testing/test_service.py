"""A service in memory for tests of programs."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskmill import Client, Context, RetryLater, RetryPolicy, Taskmill
from taskmill.client import (
    BadCursor,
    Filters,
    IdempotencyConflict,
    InvalidInput,
    NotAccepted,
    TaskFields,
)
from taskmill.domain.lifecycle import Status
from taskmill.testing import ServiceInMemory


def an_app() -> Taskmill:
    app = Taskmill()

    @app.task("flaky", queue="mail", max_attempts=3, retry=RetryPolicy(base=timedelta(minutes=10)))
    async def flaky(failures: int, context: Context) -> str:
        context.progress(1)
        if context.attempt <= failures:
            raise ValueError("not yet")
        return "done"

    @app.task("retries-forever", max_attempts=1000)
    def retries_forever() -> None:
        raise RetryLater

    return app


@pytest.fixture
def service() -> ServiceInMemory:
    return ServiceInMemory(an_app())


def test_what_a_program_creates_can_be_read_and_run(service: ServiceInMemory) -> None:
    with service.client() as client:
        made = client.create("x", type="flaky", payload={"failures": 2}, labels={"a": "b"})
        [task] = service.tasks
        assert (task.id, task.status, task.queue, task.max_attempts) == (made.id, "new", "mail", 3)
        began = service.now
        [task] = service.run_all()
        assert (task.status, task.result, task.attempt) == (Status.SUCCEEDED, "done", 3)
        assert task.error is None
        assert task.progress is not None
        assert service.now - began == timedelta(minutes=30), "ten minutes, then twenty"
        assert [one.succeeded for one in service.attempts(task.id)] == [False, False, True]
        assert client.get(task.id) == task
        assert client.wait(task.id).status is Status.SUCCEEDED


def test_the_last_failure_is_final(service: ServiceInMemory) -> None:
    service.client().create("x", type="flaky", payload={"failures": 9})
    [task] = service.run_all()
    assert task.error is not None
    assert (task.status, task.attempt, task.error.message) == (Status.FAILED, 3, "not yet")


def test_what_the_api_refuses_is_refused(service: ServiceInMemory) -> None:
    client = service.client()
    for fields in ({"type": "flaky", "payload": {"failures": "x"}}, {"priority": 11}):
        with pytest.raises(NotAccepted) as refusal:
            client.create("x", **fields)
        assert refusal.value.status == 422
    with pytest.raises(NotAccepted) as refusal:
        client.get(UUID(int=7))
    assert refusal.value.status == 404
    with pytest.raises(NotAccepted):
        client.get("x")
    with pytest.raises(NotAccepted):
        client.queues()
    assert service.tasks == []


def test_keys_make_one_task_of_many_requests(service: ServiceInMemory) -> None:
    client = service.client()
    first, again = [client.create("x", idempotency_key="k") for _ in range(2)]
    assert first == again
    with pytest.raises(NotAccepted):
        client.create("y", idempotency_key="k")
    assert len(service.tasks) == 1


def test_many_are_created_listed_cancelled_and_retried(service: ServiceInMemory) -> None:
    client: Client = service.client()
    ids = client.create_many(
        [
            {"name": "a", "type": "flaky", "payload": {"failures": 0}, "labels": {"n": "1"}},
            {"name": "b"},
        ]
    )
    assert [task.id for task in client.list()] == list(ids)[::-1]
    assert [task.name for task in client.list(label="n=1")] == ["a"]
    assert [task.name for task in client.list(type="emulate", status=["new", "failed"])] == ["b"]
    assert client.cancel(ids[1]).status is Status.CANCELLED
    with pytest.raises(NotAccepted):
        client.cancel(ids[1])
    with pytest.raises(NotAccepted):
        client.retry(ids[0])
    assert client.retry(ids[1]).status is Status.NEW
    done, waiting = service.run_all()
    assert (done.status, waiting.status) == (Status.SUCCEEDED, Status.NEW), "it has no handler"


def test_a_waiting_task_is_rescheduled_as_by_the_service(service: ServiceInMemory) -> None:
    client = service.client()
    payload = {"failures": 0}
    later = client.create("later", type="flaky", payload=payload, delay_s=3600)
    sooner = client.create("sooner", type="flaky", payload=payload, delay_s=60)
    with pytest.raises(NotAccepted):
        client.reschedule(later.id, priority=10)
    with pytest.raises(NotAccepted):
        client.reschedule(later.id, priority=9, version=2)
    moved = client.reschedule(later.id, queue="urgent", priority=9, delay_s=0, version=1)
    assert (moved.queue, moved.priority, moved.run_at) == ("urgent", 9, service.now)
    assert client.reschedule(later.id, priority=9).version == moved.version == 2
    assert [task.started_at for task in service.run_all()] == [moved.run_at, sooner.run_at]
    with pytest.raises(NotAccepted):
        client.reschedule(later.id, delay_s=0)


async def test_all_of_it_works_in_a_loop(service: ServiceInMemory) -> None:
    async with service.async_client() as client:
        task = await client.create("x", type="flaky", payload={"failures": 0})
        await service.run_all_async()
        assert (await client.get(task.id)).result == "done"


def test_a_task_that_never_ends_is_reported(service: ServiceInMemory) -> None:
    service.client().create("x", type="retries-forever")
    with pytest.raises(RuntimeError, match="still wait after 10 attempts"):
        service.run_all(most=10)


def test_what_is_enqueued_in_a_transaction_exists_without_a_database(
    service: ServiceInMemory,
) -> None:
    engine = create_engine("sqlite://")
    fields: TaskFields = {
        "type": "flaky",
        "payload": {"failures": 0},
        "idempotency_key": "order-1",
        "description": None,
    }
    with Session(engine) as session, engine.connect() as connection:
        made = service.enqueue(session, "x", **fields)
        assert service.enqueue(connection, "x", **fields) == made
        with pytest.raises(NotAccepted, match="/payload/failures"):
            service.enqueue(session, "x", type="flaky", payload={"failures": "many"})
    engine.dispose()
    [task] = service.run_all()
    assert (task.id, task.result) == (made, "done")


async def test_on_an_asynchronous_connection_it_is_awaited(service: ServiceInMemory) -> None:
    async with AsyncSession() as session:
        made = await service.enqueue(session, "x", type="retries-forever")
    assert [task.id for task in service.tasks] == [made]


def test_a_batch_is_all_or_nothing(service: ServiceInMemory) -> None:
    client = service.client()
    with pytest.raises(IdempotencyConflict):
        client.create_batch([{"name": name, "idempotency_key": "k"} for name in ("a", "b")])
    assert service.tasks == []
    assert client.create("b", idempotency_key="k").name == "b"


def test_listings_are_filtered_and_paged_as_in_the_api(service: ServiceInMemory) -> None:
    client = service.client()
    for name in ("Anna", "Bob", "annabel"):
        client.create(name, queue="people")
    first = client.page(name="ANN", limit=1)
    assert ([task.name for task in first.items], first.total) == (["annabel"], 2)
    second = client.page(name="ANN", limit=1, cursor=first.next_cursor)
    assert ([task.name for task in second.items], second.next_cursor) == (["Anna"], None)
    in_order = client.list(order="asc", limit=2, created_after=service.now, queue="people")
    assert [task.name for task in in_order] == ["Anna", "Bob", "annabel"]
    assert client.page(created_before=service.now).items == []
    wrong: list[Filters] = [{"status": "nope"}, {"limit": 0}, {"order": "up"}, {"label": "a"}]
    for filters in wrong:
        with pytest.raises(InvalidInput):
            client.page(**filters)
    with pytest.raises(BadCursor):
        client.page(cursor=first.next_cursor)


def test_a_new_run_begins_with_nothing_of_the_one_before(service: ServiceInMemory) -> None:
    client = service.client()
    made = client.create("x", type="flaky", payload={"failures": 0})
    service.run_all()
    again = client.retry(made.id)
    assert (again.result, again.error, again.started_at, again.finished_at) == (None,) * 4


def test_an_expired_task_has_that_error_and_may_run_later(service: ServiceInMemory) -> None:
    client = service.client()
    until = service.now + timedelta(minutes=1)
    made = client.create("x", type="flaky", payload={"failures": 1}, expires_at=until)
    [expired] = service.run_all()
    assert expired.error is not None
    assert (expired.status, expired.error.type) == (Status.FAILED, "Expired")
    client.retry(made.id)
    [task] = service.run_all()
    assert task.status is Status.SUCCEEDED
