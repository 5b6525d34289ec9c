"""Both clients against a fake service; the synchronous one over a real socket."""

from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest

from taskmill.client import (
    AsyncTaskmillClient,
    NotAccepted,
    QueueNotEmpty,
    ServiceUnavailable,
    TaskmillClient,
    TypeNotFound,
    Unreachable,
    WebhookNotFound,
)
from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.domain.lifecycle import Status
from tests.support.fake_service import FakeService, unused_url


def test_an_explanation_comes_back_as_a_typed_view(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add(queue="mail")
    found = client.explain(task["id"])
    assert (found.blocker, found.todo) == (BlockerName.QUEUE_PAUSED, "`taskmill queue resume mail`")
    assert {blocker.state for blocker in found.blockers} == set(BlockerState)
    with pytest.raises(NotAccepted):
        client.explain(uuid4())


async def test_an_explanation_comes_asynchronously_as_well(service: FakeService) -> None:
    task = service.add(queue="mail")
    async with service.async_client() as client:
        found = await client.explain(task["id"])
    assert (str(found.task_id), found.blocker) == (task["id"], BlockerName.QUEUE_PAUSED)


def test_a_created_task_comes_back_as_a_typed_view(client: TaskmillClient) -> None:
    task = client.create("report", queue="reports", payload={"n": 1}, labels={"team": "finance"})

    assert (task.name, task.queue, task.status) == ("report", "reports", Status.NEW)
    assert client.get(task.id) == task


def test_times_are_sent_with_their_zone(client: TaskmillClient, service: FakeService) -> None:
    client.create("later", expires_at=datetime(2031, 1, 1, tzinfo=UTC))

    assert orjson.loads(service.requests[-1][3])["expires_at"] == "2031-01-01T00:00:00+00:00"


def test_a_listing_goes_through_all_pages(client: TaskmillClient, service: FakeService) -> None:
    for number in range(5):
        service.add(name=f"task {number}")

    names = [task.name for task in client.list(limit=2)]

    assert names == ["task 4", "task 3", "task 2", "task 1", "task 0"]
    assert len(service.requests) == 3


def test_cancel_and_retry_return_the_changed_task(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()

    assert client.cancel(task["id"]).status is Status.CANCELLED
    assert client.retry(task["id"]).status is Status.NEW


def test_reschedule_sends_what_changes_and_returns_the_task(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()

    changed = client.reschedule(task["id"], priority=9, delay_s=0, version=1)

    assert (changed.priority, changed.version) == (9, 2)
    method, url, headers, body = service.requests[-1]
    assert method == "PATCH"
    assert url.endswith(f"/tasks/{task['id']}")
    assert orjson.loads(body) == {"priority": 9, "delay_s": 0}
    assert headers["if-match"] == '"1.0"'


def test_a_refusal_names_what_is_wrong_and_where(
    client: TaskmillClient, service: FakeService
) -> None:
    item = {"pointer": "/priority", "expected": "a whole number", "got": "the number 10"}
    service.refuse_next(422, title="Not allowed", detail="x", errors=[item])

    with pytest.raises(NotAccepted) as caught:
        client.create("x", priority=10)

    assert caught.value.status == 422
    assert caught.value.errors[0].pointer == "/priority"
    assert str(caught.value) == (
        "Not allowed:\n  /priority: expected a whole number, got the number 10"
    )


def test_a_missing_task_is_an_error_in_the_services_words(client: TaskmillClient) -> None:
    with pytest.raises(NotAccepted, match="there is no task") as caught:
        client.get(uuid4())

    assert caught.value.status == 404


def test_history_queues_workers_and_stats_are_typed(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add(queue="a.b")
    service.claim(task)

    assert [event.event for event in client.events(task["id"])] == ["created", "claimed"]
    assert client.pause_queue("a.b").paused
    assert [queue.paused for queue in client.queues()] == [True]
    assert not client.resume_queue("a.b").paused
    client.delete_queue("other")
    with pytest.raises(QueueNotEmpty) as caught:
        client.delete_queue("a.b")
    assert (caught.value.waiting, caught.value.running) == (1, 0)
    assert client.workers()[0].slots == 1000
    assert client.stats().by_queue["a.b"][Status.IN_PROGRESS] == 1
    assert client.stats().activity is None
    activity = client.stats(window="24h", queue="a.b", type="c").activity
    assert activity is not None
    assert (activity.window, activity.queue, activity.queues[0].types[0].type) == (
        "24h",
        "a.b",
        "c",
    )


def test_logs_are_read_page_by_page_and_go_on_at_their_end(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()
    for n in range(1001):
        service.log_line(task, f"line {n}", fields={"n": n})

    lines = list(client.logs(task["id"], claim=1, level="info"))
    page = client.log_page(task["id"], limit=1000)
    last_page = client.log_page(task["id"], cursor=page.next_cursor)

    assert [line.fields for line in lines] == [{"n": n} for n in range(1001)]
    assert (len(page.items), len(last_page.items)) == (1000, 1)
    assert "claim=1&level=info&limit=1000" in service.requests[0][1]
    service.log_line(task, "later")
    later = client.log_page(task["id"], cursor=last_page.next_cursor)
    assert [line.message for line in later.items] == ["later"]
    with pytest.raises(NotAccepted):
        client.log_page(uuid4())


def test_refused_messages_are_read_page_by_page_and_sent_again(
    client: TaskmillClient, service: FakeService
) -> None:
    made = [service.add_refused(f"body {n}")["id"] for n in range(3)]

    assert [str(item.id) for item in client.rejections(page_size=2)] == made[::-1]
    assert client.rejection(made[0]).body == "body 0"
    service.refuse_next(503)
    task = client.resend(made[0])
    assert client.resend(made[0]) == task
    assert client.rejection(made[0]).task_id == task.id
    with pytest.raises(NotAccepted):
        client.resend(service.add_refused("rubbish")["id"])


def test_readiness_is_checked_once(client: TaskmillClient, service: FakeService) -> None:
    assert client.ready() == {
        "database": "ok",
        "schema": "ok",
        "broker": "ok",
        "intake": "ok",
    }

    service.trouble = "database: away"
    with pytest.raises(ServiceUnavailable, match="database: away"):
        client.ready()
    assert len(service.requests) == 2


async def test_the_asynchronous_client_sends_the_same_requests() -> None:
    service = FakeService()
    async with service.async_client() as client:
        task = await client.create("report", queue="reports")
        ids = await client.create_many([{"name": "b"}])
        assert (await client.get(task.id)).name == "report"
        assert [found.id async for found in client.list(limit=1)] == [ids[0], task.id]
        assert (await client.cancel(task.id)).status is Status.CANCELLED
        assert (await client.retry(task.id)).status is Status.NEW
        assert (await client.pause_queue("reports")).paused
        assert not (await client.resume_queue("reports")).paused
        await client.delete_queue("other")
        assert len(await client.queues()) == 2
        assert (await client.workers())[0].name == "host-1"
        assert (await client.stats()).total == 2
        activity = (await client.stats(window="5m", queue="a")).activity
        assert activity is not None
        assert activity.queues[0].queue == "a"
        assert (await client.ready())["database"] == "ok"
        assert len(await client.events(task.id)) == 3
        service.log_line(service.tasks[str(task.id)], "logged")
        assert [line.message async for line in client.logs(task.id)] == ["logged"]
        assert len((await client.log_page(task.id, limit=1)).items) == 1
        assert (await client.page()).total == 2
        refused = service.add_refused("body")["id"]
        assert [str(item.id) async for item in client.rejections()] == [refused]
        assert (await client.rejection(refused)).body == "body"
        assert (await client.resend(refused)).name == "body"


async def test_the_asynchronous_client_reports_an_unreachable_service() -> None:
    async with AsyncTaskmillClient(unused_url(), retries=0) as client:
        with pytest.raises(Unreachable):
            await client.get(uuid4())


def test_webhooks_and_their_deliveries(client: TaskmillClient, service: FakeService) -> None:
    made = client.create_webhook("https://example.org/hooks", queues=["mail"])
    assert (made.secret, made.queues) == ("whsec_new", ["mail"])
    assert [one.id for one in client.webhooks()] == [made.id]
    assert client.webhook(made.id).url == "https://example.org/hooks"
    assert client.change_webhook(made.id, state="paused").state == "paused"
    rotated = client.change_webhook(made.id, rotate_secret=True)
    assert rotated.secret.endswith("next")
    assert client.test_webhook(made.id).task_id is None
    for _ in range(4):
        service.webhooks.deliver("failed")
    assert [one.id for one in client.deliveries(made.id, page_size=2)] == [5, 4, 3, 2, 1]
    assert [one.id for one in client.deliveries(made.id, state="pending")] == [1]
    assert client.resend_delivery(made.id, 5).state == "pending"
    assert [one.id for one in client.deliveries(made.id, state=("pending", "x"))] == [5, 1]
    assert len(client.callback(uuid4()).items) == 5
    client.delete_webhook(made.id)
    with pytest.raises(WebhookNotFound):
        client.webhook(made.id)


def test_types_and_their_contracts(client: TaskmillClient) -> None:
    client.register_type("mail", {"type": "object"}, {"queue": "mails"})
    assert client.register_type("mail", {"type": "object", "required": ["to"]}).version == 2
    assert [one.name for one in client.types()] == ["mail"]
    found = client.get_type("mail")
    assert [(one.version, one.defaults) for one in found.versions] == [
        (2, {}),
        (1, {"queue": "mails"}),
    ]
    client.drop_type("mail")
    with pytest.raises(TypeNotFound):
        client.get_type("mail")


async def test_webhooks_and_types_asynchronously_as_well(service: FakeService) -> None:
    async with service.async_client() as client:
        made = await client.create_webhook("https://example.org/hooks")
        assert [one.id for one in await client.webhooks()] == [made.id]
        assert (await client.webhook(made.id)).id == made.id
        assert (await client.change_webhook(made.id, description="d")).description == "d"
        await client.test_webhook(made.id)
        service.webhooks.deliver()
        assert [one.id async for one in client.deliveries(made.id, page_size=1)] == [2, 1]
        assert (await client.resend_delivery(made.id, 1)).state == "pending"
        assert (await client.callback(uuid4())).callback_url is not None
        await client.delete_webhook(made.id)
        await client.register_type("mail", {"type": "object"})
        assert (await client.types())[0].name == (await client.get_type("mail")).name
        await client.drop_type("mail")
        assert not await client.types()
