"""Both clients against a fake service; the synchronous one over a real socket."""

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from taskmill.client import (
    AsyncTaskmillClient,
    NotAccepted,
    QueueNotEmpty,
    ServiceUnavailable,
    StillRunning,
    TaskmillClient,
    TypeNotFound,
    Unexpected,
    Unreachable,
    WebhookNotFound,
    sweeps,
)
from taskmill.client.sweeps import Sweep
from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.domain.lifecycle import Status
from tests.support.fake_service import FakeService, serving, unused_url


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeService, str]]:
    service = FakeService()
    with serving(service) as address:
        yield service, address


@pytest.fixture
def service(served: tuple[FakeService, str]) -> FakeService:
    served[0].clear()
    return served[0]


@pytest.fixture
def url(served: tuple[FakeService, str]) -> str:
    return served[1]


@pytest.fixture
def client(url: str) -> Iterator[TaskmillClient]:
    with TaskmillClient(url) as opened:
        yield opened


def _asynchronous(service: FakeService) -> AsyncTaskmillClient:
    transport = httpx.ASGITransport(service.app)
    return AsyncTaskmillClient("http://taskmill", transport=transport)


def test_a_sweep_goes_on_until_it_is_complete(client: TaskmillClient, service: FakeService) -> None:
    tasks = [service.add(queue="a") for _ in range(5)]
    service.add(queue="b")
    service.claim(tasks[4])
    sums: list[int] = []

    counted = client.cancel_matching(dry_run=True, queue="a")
    done = client.cancel_matching(
        queue="a", status="new", on_step=lambda total: sums.append(total.changed)
    )

    assert (counted.matched, counted.changed, counted.is_complete) == (5, 0, True)
    assert (done.matched, done.changed, done.asked, done.is_complete) == (4, 4, 0, True)
    assert sums == [2, 4]
    sent = orjson.loads(service.requests[-1][3])
    assert (sent["status"], sent["queue"], sent["cursor"]) == (["new"], "a", "3")


async def test_a_sweep_goes_on_asynchronously_as_well(service: FakeService) -> None:
    for _ in range(3):
        service.end(service.add(), "failed")
    async with _asynchronous(service) as client:
        done = await client.retry_matching(all=True)
        cancelled = await client.cancel_matching(label=("a=1", "b=2"))
    assert (done.matched, done.changed) == (3, 3)
    assert cancelled.matched == 3
    assert orjson.loads(service.requests[-1][3])["label"] == ["a=1", "b=2"]


def test_only_a_retry_by_filter_is_not_sent_twice() -> None:
    """A task that was run again may have failed again meanwhile."""
    actions: list[tuple[Sweep, bool]] = [("cancel", False), ("retry", True), ("retry", False)]
    made = [sweeps.step(action, {"all": True}, None, dry_run=dry) for action, dry in actions]
    assert [call.repeatable for call in made] == [True, True, False]


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
    async with _asynchronous(service) as client:
        found = await client.explain(task["id"])
    assert (str(found.task_id), found.blocker) == (task["id"], BlockerName.QUEUE_PAUSED)


def test_a_created_task_comes_back_as_a_typed_view(client: TaskmillClient) -> None:
    task = client.create("report", queue="reports", payload={"n": 1}, labels={"team": "finance"})

    assert (task.name, task.queue, task.status) == ("report", "reports", Status.NEW)
    assert client.get(task.id) == task


def test_times_are_sent_with_their_zone(client: TaskmillClient, service: FakeService) -> None:
    client.create("later", expires_at=datetime(2031, 1, 1, tzinfo=UTC))

    assert orjson.loads(service.requests[-1][3])["expires_at"] == "2031-01-01T00:00:00+00:00"


def test_a_create_that_is_tried_again_makes_one_task(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(503)

    task = client.create("once")

    assert [stored["id"] for stored in service.tasks.values()] == [str(task.id)]
    first, second = (headers["idempotency-key"] for _, _, headers, _ in service.requests)
    assert first == second


def test_a_create_whose_first_try_is_still_in_flight_is_tried_again(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(409, headers={"Retry-After": "0"})

    assert client.create("once").name == "once"
    assert len(service.requests) == 2


def test_two_creates_have_two_keys(client: TaskmillClient) -> None:
    assert client.create("same").id != client.create("same").id


def test_a_key_of_the_callers_own_is_sent_in_the_body_alone(
    client: TaskmillClient, service: FakeService
) -> None:
    first = client.create("mine", idempotency_key="k")

    assert client.create("mine", idempotency_key="k").id == first.id
    assert "idempotency-key" not in service.requests[-1][2]


def test_a_batch_that_is_tried_again_makes_its_tasks_once(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(503)

    ids = client.create_many([{"name": "a"}, {"name": "b"}])

    assert [str(task_id) for task_id in ids] == list(service.tasks)
    assert [task["name"] for task in service.tasks.values()] == ["a", "b"]


def test_a_listing_goes_through_all_pages(client: TaskmillClient, service: FakeService) -> None:
    for number in range(5):
        service.add(name=f"task {number}")

    names = [task.name for task in client.list(limit=2)]

    assert names == ["task 4", "task 3", "task 2", "task 1", "task 0"]
    assert len(service.requests) == 3


def test_a_filter_with_several_values_is_repeated(
    client: TaskmillClient, service: FakeService
) -> None:
    service.end(service.add(name="done"))
    service.add(name="waiting")

    page = client.page(status=["succeeded", "failed"], label="team=finance")

    assert [task.name for task in page.items] == ["done"]
    assert "status=succeeded&status=failed&label=team%3Dfinance" in service.requests[-1][1]


def test_cancel_and_retry_return_the_changed_task(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()

    assert client.cancel(task["id"]).status is Status.CANCELLED
    assert client.retry(task["id"]).status is Status.NEW


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


def test_an_outage_ends_as_unavailable_when_the_tries_are_used_up(
    url: str, service: FakeService
) -> None:
    service.refuse_next(503, detail="the database is not available")
    service.refuse_next(503, detail="the database is not available")

    with TaskmillClient(url, retries=1) as client, pytest.raises(ServiceUnavailable) as caught:
        client.stats()

    assert len(service.requests) == 2
    assert caught.value.retry_after_s == 0


def test_an_unreachable_service_is_an_error_with_its_address_and_advice() -> None:
    address = unused_url()
    with (
        TaskmillClient(address, retries=1) as client,
        pytest.raises(Unreachable, match="taskmill up") as caught,
    ):
        client.stats()

    assert address in str(caught.value)


@pytest.mark.parametrize("text", ["127.0.0.1:8000", "ftp://host", "http://", "http://a:b"])
def test_a_bad_address_is_refused_at_once(text: str) -> None:
    with pytest.raises(Unreachable):
        TaskmillClient(text)


def test_a_page_of_another_program_is_not_taken_for_a_response(url: str) -> None:
    with TaskmillClient(f"{url}/page?") as client, pytest.raises(Unexpected, match="text/html"):
        client.stats()


def test_json_of_another_shape_is_not_taken_for_a_response() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"total": "many"}))
    with (
        TaskmillClient("http://other", transport=transport) as client,
        pytest.raises(Unexpected, match="total"),
    ):
        client.stats()


def _lost_after(seen: list[httpx.Request]) -> httpx.MockTransport:
    def lose(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ReadError("reset")

    return httpx.MockTransport(lose)


def _lost_always(seen: list[httpx.Request]) -> httpx.MockTransport:
    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ReadError("cut")

    return httpx.MockTransport(respond)


def test_a_read_whose_response_was_lost_is_tried_again() -> None:
    seen: list[httpx.Request] = []
    with (
        TaskmillClient("http://x", transport=_lost_after(seen), retries=2) as client,
        pytest.raises(Unreachable, match="lost"),
    ):
        client.get(uuid4())

    assert len(seen) == 3


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_an_action_whose_response_was_lost_is_not_repeated(action: str) -> None:
    seen: list[httpx.Request] = []
    with (
        TaskmillClient("http://x", transport=_lost_after(seen)) as client,
        pytest.raises(Unreachable),
    ):
        getattr(client, action)(uuid4())

    assert len(seen) == 1


def test_waiting_returns_the_task_once_it_has_ended(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()
    service.on_read += [lambda _: None, service.claim, service.end]

    assert client.wait(task["id"], timeout_s=10).status is Status.SUCCEEDED


def test_waiting_too_long_is_an_error_that_leaves_the_task_alone(
    client: TaskmillClient, service: FakeService
) -> None:
    task = service.add()

    with pytest.raises(StillRunning, match="still new"):
        client.wait(task["id"], timeout_s=0.1)


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


def test_an_id_cannot_reach_another_address() -> None:
    seen: list[httpx.Request] = []
    with (
        TaskmillClient("http://x", transport=_lost_after(seen), retries=0) as client,
        pytest.raises(Unreachable),
    ):
        client.get("../stats?a")

    assert seen[0].url.raw_path == b"/tasks/%2E%2E%2Fstats%3Fa"


async def test_the_asynchronous_client_sends_the_same_requests() -> None:
    service = FakeService()
    async with _asynchronous(service) as client:
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


async def test_the_asynchronous_client_tries_again_and_waits() -> None:
    service = FakeService()
    task = service.add()
    service.refuse_next(503)
    service.on_read += [lambda _: None, service.claim, lambda stored: service.end(stored, "failed")]
    async with _asynchronous(service) as client:
        assert (await client.wait(task["id"], timeout_s=10)).status is Status.FAILED


async def test_the_asynchronous_client_reports_an_unreachable_service() -> None:
    async with AsyncTaskmillClient(unused_url(), retries=0) as client:
        with pytest.raises(Unreachable):
            await client.get(uuid4())


def _signatures(kind: type[Any]) -> dict[str, tuple[dict[str, str], str]]:
    """The parameters and the result of each public method, as if all were synchronous."""
    found = {}
    for name, method in inspect.getmembers(kind, callable):
        if not name.startswith("_") and name not in {"close", "aclose"}:
            signature = inspect.signature(method)
            parameters = {
                one.name: f"{one.kind.name} {one.annotation} {one.default}"
                for one in signature.parameters.values()
            }
            found[name] = parameters, str(signature.return_annotation)
    return found


def test_both_clients_offer_the_same_methods() -> None:
    ordinary, asynchronous = _signatures(TaskmillClient), _signatures(AsyncTaskmillClient)
    assert set(ordinary) == set(asynchronous)
    for name, (parameters, returned) in ordinary.items():
        others, other = asynchronous[name]
        if name in {"create_many", "create_each"}:  # the asynchronous one takes more
            assert others.pop("tasks") != parameters.pop("tasks")
        assert parameters == others, name
        plain = other.replace("AsyncIterator", "Iterator")
        assert returned.replace(", None, None]", "]") == plain.replace(
            "AsyncGenerator", "Generator"
        ).replace(", None]", "]"), name


def test_what_both_clients_offer_is_documented_alike() -> None:
    for name in _signatures(TaskmillClient):
        documented = getattr(TaskmillClient, name).__doc__
        assert documented, name
        assert documented == getattr(AsyncTaskmillClient, name).__doc__, name


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
    async with _asynchronous(service) as client:
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


@pytest.mark.parametrize(
    ("call", "tries"),
    [
        (lambda client: client.create_webhook("https://example.org"), 1),
        (lambda client: client.change_webhook("x", state="paused"), 4),
        (lambda client: client.change_webhook("x", rotate_secret=True), 1),
        (lambda client: client.delete_webhook("x"), 1),
        (lambda client: client.test_webhook("x"), 1),
        (lambda client: client.register_type("x", {}), 4),
        (lambda client: client.drop_type("x"), 1),
        (lambda client: client.delete_queue("x"), 1),
        (lambda client: client.pause_queue("x"), 4),
    ],
)
def test_only_repeatable_requests_are_sent_twice(
    call: Callable[[TaskmillClient], object], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.client.tries._FIRST_PAUSE_S", 0.0)
    seen: list[httpx.Request] = []
    with (
        TaskmillClient("http://x", transport=_lost_always(seen)) as client,
        pytest.raises(Unreachable),
    ):
        call(client)
    assert len(seen) == tries
