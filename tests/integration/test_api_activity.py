"""Recent activity over HTTP: `GET /stats?window=…`."""

import asyncio

import pytest

from taskmill.domain.activity import COUNTED, ActivityRequest, Window
from taskmill.domain.lifecycle import EventType, Permanent, Succeeded
from taskmill.storage import minutes
from taskmill.wire.system import StatsView
from tests.support.api import Served
from tests.support.builders import ERROR
from tests.support.polling import eventually
from tests.support.stage import Stage


async def test_activity_is_shown_with_a_window_only(api: Served, stage: Stage) -> None:
    lease = await stage.open_lease()
    for queue, type_, outcome in (
        ("mail", "send", Succeeded()),
        ("mail", "check", Permanent(error=ERROR)),
        ("reports", "send", Succeeded()),
    ):
        taken = await stage.running(lease, queue=queue, type=type_)
        await stage.end(taken, lease, outcome)
    plain = (await api.get("/stats")).json()
    assert (plain["total"], plain["activity"]) == (3, None)
    for _ in range(2):
        response = await api.get("/stats?window=15m")
        view = StatsView.model_validate_json(response.content)
        assert {**response.json(), "activity": None} == plain
        assert view.activity is not None
        assert [queue.queue for queue in view.activity.queues] == ["mail", "reports"]
        [check, send] = view.activity.queues[0].types
        assert (check.type, send.type) == ("check", "send")
        assert check.counts[EventType.FAILED] == send.counts[EventType.SUCCEEDED] == 1
        mail = view.activity.queues[0]
        assert (mail.counts[EventType.CREATED], mail.waiting.tasks, mail.running.tasks) == (2, 2, 2)
        total = view.activity.total
        assert (total.counts[EventType.CLAIMED], total.waiting.tasks) == (3, 3)
        assert total.per_second[EventType.CLAIMED] == pytest.approx(3 / 930, rel=0.04)
        assert set(total.counts) == set(total.per_second) == set(COUNTED)
        assert total.waiting.p50_s is not None
        assert sum(point.counts[EventType.CLAIMED] for point in view.activity.points) == 3
        assert (len(view.activity.points), view.activity.step_s) == (16, 60)
        await minutes.roll_up(stage.maintenance_database)


async def test_many_requests_for_activity_do_not_delay_creating_tasks(stage: Stage) -> None:
    request = ActivityRequest(window=Window.MONTH)
    other = await stage.owner_database.connect()
    await other.execute("BEGIN; LOCK TABLE taskmill.task_minute IN ACCESS EXCLUSIVE MODE")
    async with asyncio.TaskGroup() as group:
        requests = [group.create_task(stage.service.stats(request)) for _ in range(30)]

        async def is_held() -> bool:
            blocked = "SELECT count(*) > 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return bool(await stage.sql.fetchval(blocked))

        await eventually(is_held, "requests that wait for the roll-up")
        await stage.created()
        assert not any(one.done() for one in requests)
        await other.execute("ROLLBACK")
    await other.close()


async def test_a_queue_and_a_type_can_be_chosen(api: Served) -> None:
    for queue, type_ in (("a", "x"), ("a", "y"), ("b", "x")):
        await api.create(queue=queue, type=type_)
    for query, expected in (
        ("window=5m&queue=a", {"a": ["x", "y"]}),
        ("window=30d&type=x", {"a": ["x"], "b": ["x"]}),
        ("window=24h&queue=a&type=y", {"a": ["y"]}),
        ("window=1h&queue=none", {}),
    ):
        activity = (await api.get(f"/stats?{query}")).json()["activity"]
        assert {
            queue["queue"]: [type_["type"] for type_ in queue["types"]]
            for queue in activity["queues"]
        } == expected
        assert activity["total"]["counts"]["created"] == sum(map(len, expected.values()))


@pytest.mark.parametrize(
    ("query", "pointer", "expected"),
    [
        ("window=2h", "query:window", "one of 5m, 15m, 1h, 6h, 24h, 7d, 30d"),
        ("window=", "query:window", "one of 5m, 15m, 1h, 6h, 24h, 7d, 30d"),
        ("window=5M", "query:window", "one of 5m, 15m, 1h, 6h, 24h, 7d, 30d"),
        ("window=5m&window=1h", "query:window", "one value"),
        ("queue=mail", "query:queue", "nothing, or a window, too"),
        ("type=send", "query:type", "nothing, or a window, too"),
        ("window=5m&queue=A", "query:queue", "1 to 63 characters"),
        ("window=5m&type=*", "query:type", "1 to 63 characters"),
        ("window=5m&status=new", "query:status", "only the parameters window, queue, type"),
        ("windw=5m", "query:windw", "only the parameters window, queue, type"),
    ],
)
async def test_any_other_query_is_refused(
    api: Served, query: str, pointer: str, expected: str
) -> None:
    response = await api.get(f"/stats?{query}")
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["pointer"] == pointer
    assert error["expected"].startswith(expected)


@pytest.mark.parametrize(
    "text", ["%00", "%FF", "%ED%A0%80", "9" * 5000, "5m%0A", "-5m", "1e9h", "'"]
)
async def test_hostile_queries_are_refused_without_a_fault(api: Served, text: str) -> None:
    for query in (f"window={text}", f"window=5m&queue={text}x%20", f"window=5m&type={text}%20"):
        response = await api.get(f"/stats?{query}")
        assert response.status_code in {400, 422}, query
