"""Quotas of waiting tasks and of their bytes: a key is refused more, until workers have claimed some."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from taskmill.domain.errors import TaskmillError
from taskmill.domain.lifecycle import Failed
from taskmill.domain.quotas import Owner, Quota, QuotaExceeded, QuotaLimit
from taskmill.domain.task import TaskDraft
from taskmill.observability.metrics import QUOTAS_EXCEEDED
from taskmill.operations.api_keys import NewApiKey
from taskmill.operations.create import TaskCreation
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.waiting_quotas import COUNTED_EVERY_S, WaitingQuotas
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.builders import ERROR, a_draft, a_key
from tests.support.clocks import ManualClock
from tests.support.creations import NOON
from tests.support.intake import producing, taking_in, until_counted
from tests.support.raw_requests import LONG_WAY
from tests.support.stage import Stage, a_creation

MOST = 3
OWNER = Owner("mine", (QuotaLimit(Quota.WAITING_TASKS, MOST),))
A_COUNT = timedelta(seconds=COUNTED_EVERY_S)


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service, REQUIRED) as served:
        yield served


@pytest.fixture
async def key(stage: Stage) -> NewApiKey:
    """A key that may have three waiting tasks."""
    return await a_new_key(stage.database, "admin", name="mine", quotas=(f"waiting_tasks={MOST}",))


@dataclass
class Counted:
    """Sets the time at which the stage's process counts what waits."""

    stage: Stage
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOON))

    def __post_init__(self) -> None:
        self.stage.creation.waiting._clock = self.clock

    def anew(self) -> None:
        """Have what waits counted before the next task is created."""
        self.clock.advance(A_COUNT)


@pytest.fixture
def counted(stage: Stage) -> Counted:
    return Counted(stage)


async def create(
    api: Served,
    key: NewApiKey,
    headers: dict[str, str] | None = None,
    **fields: Any,  # noqa: ANN401 - the fields of a task
) -> httpx.Response:
    body = {"name": "a task", **fields}
    return await api.post("/tasks", body, headers={**(headers or {}), **shown(key)})


def is_exceeded(problem: dict[str, Any], quota: str, limit: int = MOST) -> bool:
    assert (problem["type"], problem["status"]) == ("/problems/quota-exceeded", 409)
    assert f"its quota of {quota}" in problem["detail"]
    return (problem["quota"], problem["limit"]) == (quota, limit)


async def owners(stage: Stage) -> list[tuple[str | None, int | None]]:
    """The owner and the bytes of each waiting task, oldest first."""
    rows = await stage.sql.fetch("SELECT owner, bytes FROM taskmill.dispatch ORDER BY task_id")
    return [(row["owner"], row["bytes"]) for row in rows]


@pytest.mark.parametrize("headers", [{}, LONG_WAY])
async def test_a_key_with_as_many_waiting_tasks_as_it_may_have_is_refused_more_until_some_are_claimed(
    api: Served, stage: Stage, key: NewApiKey, counted: Counted, headers: dict[str, str]
) -> None:
    before = QUOTAS_EXCEEDED.value("waiting_tasks")
    for _ in range(MOST):
        assert (await create(api, key, headers)).status_code == 201
    refused = await create(api, key, headers)
    assert is_exceeded(refused.json(), "waiting_tasks")
    assert refused.headers["retry-after"] == "2"
    assert QUOTAS_EXCEEDED.value("waiting_tasks") - before == 1
    counted.anew()
    assert (await create(api, key, headers)).status_code == 409
    await stage.take(await stage.open_lease(), limit=1)
    counted.anew()
    assert (await create(api, key, headers)).status_code == 201
    assert (await create(api, key, headers)).status_code == 409


async def test_what_others_have_waiting_refuses_no_key_its_tasks(
    api: Served, stage: Stage, key: NewApiKey
) -> None:
    large = await a_new_key(stage.database, "admin", quotas=("waiting_tasks=100",))
    for by in (large, await a_new_key(stage.database, "admin")):
        for _ in range(3 * MOST):
            assert (await create(api, by)).status_code == 201
    for _ in range(MOST):
        assert (await create(api, key)).status_code == 201
    assert (await create(api, key)).status_code == 409


async def test_a_key_is_refused_more_once_its_waiting_tasks_have_so_many_bytes(
    api: Served, stage: Stage, counted: Counted
) -> None:
    key = await a_new_key(stage.database, "admin", name="mine", quotas=("waiting_kib=2",))
    fields: dict[str, Any] = {"name": "ä", "description": "long", "labels": {"b": "c"}}
    payload = {"a": "ü" * 505}
    size = 2 + 4 + len('{"a":""}') + 2 * 505 + len('{"b":"c"}')
    for _ in range(2):
        counted.anew()
        assert (await create(api, key, **fields, payload=payload)).status_code == 201
    assert await owners(stage) == [("mine", size)] * 2
    assert 1024 < size < 2048
    for _ in range(2):
        assert is_exceeded((await create(api, key)).json(), "waiting_kib", 2)
        counted.anew()


async def test_a_key_with_a_little_less_is_not_refused(api: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "admin", name="mine", quotas=("waiting_kib=1",))
    assert (await create(api, key, name="n", payload={"a": "x" * 1012})).status_code == 201
    assert await owners(stage) == [("mine", 1023)]
    assert (await create(api, key)).status_code == 201
    assert is_exceeded((await create(api, key)).json(), "waiting_kib", 1)


async def test_an_array_is_refused_as_a_whole_and_lines_one_by_one(
    api: Served, stage: Stage, key: NewApiKey
) -> None:
    lines = b'{"name": "a"}\n' * (MOST + 2)
    headers = {**shown(key), "content-type": "application/x-ndjson"}
    response = await api.post("/tasks/batch", lines, headers=headers)
    found = [orjson.loads(line) for line in response.content.splitlines()]
    refused = [line["problem"] for line in found if "problem" in line]
    assert (len(found), len(refused)) == (MOST + 2, 2)
    assert all(is_exceeded(problem, "waiting_tasks") for problem in refused)
    array = await api.post("/tasks/batch", [{"name": "a"}], headers=shown(key))
    assert is_exceeded(array.json(), "waiting_tasks")
    assert len(await owners(stage)) == MOST


async def test_tasks_of_all_kinds_in_a_batch_get_the_owners_they_have(stage: Stage) -> None:
    mine = {"owner": OWNER}
    drafts = [
        a_draft(),
        a_draft(**mine),
        a_draft(owner=Owner("other")),
        a_draft(**mine, idempotency=a_key("b")),
        a_draft(**mine, idempotency=a_key("a")),
    ]
    await stage.creation.create_all(drafts)
    found = [name for name, _ in await owners(stage)]
    assert found == [None, "mine", None, "mine", "mine"], "in the order in which they were sent"


async def test_a_repeated_request_gets_its_task_though_the_quota_is_reached(
    api: Served, key: NewApiKey
) -> None:
    keyed = {"idempotency-key": "once"}
    first = await create(api, key, keyed)
    while (await create(api, key)).status_code == 201:
        pass
    again = await create(api, key, keyed)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_a_task_that_waits_for_another_attempt_does_not_count(
    api: Served, stage: Stage, key: NewApiKey, counted: Counted
) -> None:
    lease = await stage.open_lease()
    for _ in range(MOST):
        await create(api, key, max_attempts=2)
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Failed(error=ERROR))
    assert await owners(stage) == [(None, None)] * MOST
    counted.anew()
    assert (await create(api, key)).status_code == 201


async def test_keys_without_such_a_quota_leave_no_owner(api: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "admin", quotas=("queues=5", "waiting_kib=0"))
    await create(api, key)
    await api.post("/tasks/batch", [{"name": "a"}] * 2, headers=shown(key))
    assert await owners(stage) == [(None, None)] * 3
    assert stage.creation.waiting._usages == {}, "nothing was counted"


async def test_the_quota_of_the_settings_holds_for_keys_without_one_of_their_own(
    stage: Stage,
) -> None:
    stage.creation.waiting = WaitingQuotas(stage.database, clock=stage.clock, most_tasks=1)
    usual, own = Owner("usual"), OWNER
    results = [await tried(stage.creation, a_draft(owner=usual)) for _ in range(2)]
    assert [type(one) for one in results] == [type(None), QuotaExceeded]
    for _ in range(MOST):
        assert await tried(stage.creation, a_draft(owner=own)) is None


async def tried(creation: TaskCreation, draft: TaskDraft) -> TaskmillError | None:
    """Create a task; return why not."""
    try:
        await creation.create(draft)
    except TaskmillError as error:
        return error
    return None


@asynccontextmanager
async def another_process(stage: Stage) -> AsyncIterator[Counted]:
    """Another process that creates tasks in the same database; its stage creates there."""
    async with a_creation(stage.database, stage.clock, stage.ids) as creation:
        fields = {name: getattr(stage, name) for name in stage.__dataclass_fields__}
        yield Counted(Stage(**{**fields, "creation": creation}))


async def test_what_another_process_creates_counts_two_seconds_later(
    stage: Stage, counted: Counted
) -> None:
    draft = a_draft(owner=OWNER)
    async with another_process(stage) as other:
        assert await tried(stage.creation, draft) is None
        for _ in range(MOST - 1):
            assert await tried(other.stage.creation, draft) is None
        assert isinstance(await tried(other.stage.creation, draft), QuotaExceeded)
        assert await tried(stage.creation, draft) is None, "it does not know of the other's yet"
        counted.anew()
        assert isinstance(await tried(stage.creation, draft), QuotaExceeded)


class SlowClock(ManualClock):
    """A clock that moves on by a second each time it is read."""

    def monotonic(self) -> float:
        """Return the seconds, one more each time."""
        self.advance(timedelta(seconds=1))
        return super().monotonic()


async def test_a_count_that_takes_long_is_made_seldom(stage: Stage) -> None:
    waiting = stage.creation.waiting
    clock = waiting._clock = SlowClock(NOON)
    await tried(stage.creation, a_draft(owner=OWNER))
    usage = waiting._usages[OWNER.name]
    assert usage.until - clock._monotonic > 15, "20 times what it took, less a few readings"


async def test_messages_of_a_producer_count_for_its_key(stage: Stage, broker_url: str) -> None:
    user = "taskmill"
    await a_new_key(stage.database, "tasks:create", name=user, quotas=(f"waiting_tasks={MOST}",))
    producers = ProducerKeys(stage.database, stage.clock)
    async with (
        taking_in(stage, broker_url, producers=producers),
        producing(broker_url) as producer,
    ):
        for _ in range(MOST + 1):
            await producer.send({"name": "a task"}, user_id=user)
        await until_counted(stage, MOST, 1)
    problem = orjson.loads(await stage.sql.fetchval("SELECT problem FROM taskmill.rejection"))
    assert is_exceeded(problem, "waiting_tasks")
    assert [name for name, _ in await owners(stage)] == [user] * MOST
