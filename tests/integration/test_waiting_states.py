"""Waiting tasks by what they wait for: counted, and listed by it."""

from datetime import timedelta
from typing import Any

import pytest

from taskmill.domain.lifecycle import Failed, Status
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import PageRequest, Sweep, TaskFilter
from taskmill.domain.waiting import MOST_COUNTED, WaitingState
from tests.support.api import Served
from tests.support.builders import ERROR
from tests.support.pages import pages
from tests.support.plans import explaining
from tests.support.stage import Stage

__all__ = ["pages"]

LATER = timedelta(hours=3)
# $1 queue, $2 type, $3 how many, $4 attempts of each, $5 whether they are due later, $6 makes ids differ.
MANY = """
WITH made AS (
    INSERT INTO taskmill.task (
        id, name, type, payload, queue, priority, attempt, max_attempts, max_losses, run_at, created_at,
        updated_at, labels, source, version, claim_no
    )
    SELECT
        (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
            || '8' || right(md5($6::text || n), 15))::uuid,
        'task ' || n, $2, '{}', $1, 4, $4::integer, 5, 3,
        now() + CASE WHEN $5::boolean THEN 1 ELSE -1 END * interval '1 h', now(), now(), '{}', 'rest', 1, 0
    FROM generate_series(1, $3::integer) AS n
    RETURNING id, queue, type, priority, run_at
),
counted AS (INSERT INTO taskmill.task_count (queue, status, tasks) VALUES ($1, 'new', $3::integer))
INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT id, queue, type, priority, run_at FROM made
"""


async def a_retry(stage: Stage, **parts: Any) -> None:  # noqa: ANN401 - the fields of a draft
    """Have a task wait for its next attempt."""
    lease = await stage.open_lease()
    policy = RetryPolicy(base=LATER, jitter=0.0, maximum=LATER)
    taken = await stage.running(lease, max_attempts=3, retry=policy, **parts)
    await stage.end(taken, lease, Failed(error=ERROR))
    await stage.sql.execute("DELETE FROM taskmill.lease WHERE id = $1", lease)


async def one_of_each(stage: Stage) -> None:
    """Have a task of each state in the queue mail, and one more that is held."""
    await a_retry(stage, name="retrying", queue="mail", type="send")
    await stage.created(name="ready", queue="mail", type="send")
    await stage.created(
        name="scheduled", queue="mail", type="send", run_at=stage.clock.now() + LATER
    )
    await stage.created(name="held", queue="mail", type="render")
    await stage.created(name="held", queue="bills", type="send")
    await stage.sql.execute(
        "INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at)"
        " VALUES (gen_random_uuid(), 'host-1', '{}', '{send}', 10, now() + interval '1 h')"
    )
    await stage.service.set_queue_paused("bills", paused=True)


async def counts(stage: Stage, name: str = "mail") -> dict[str, str]:
    [queue] = [one for one in await stage.service.queues() if one.name == name]
    assert queue.waiting is not None
    return {str(state): str(queue.waiting.of(state)) for state in WaitingState}


async def test_each_state_is_counted(stage: Stage) -> None:
    await one_of_each(stage)
    assert await counts(stage) == dict.fromkeys(map(str, WaitingState), "1")
    assert (await counts(stage, "bills"))["held"] == "1"
    total = (await stage.service.stats()).waiting
    assert [str(total.of(state)) for state in WaitingState] == ["1", "1", "1", "2"]


@pytest.mark.parametrize("state", WaitingState)
async def test_each_state_is_listed(stage: Stage, state: WaitingState) -> None:
    await one_of_each(stage)
    page = await stage.service.page(TaskFilter(waiting=state), PageRequest())
    assert {task.name for task in page.items} == {str(state)}
    assert page.total == (2 if state is WaitingState.HELD else 1)
    of_mail = await stage.service.page(TaskFilter(waiting=state, queue="mail"), PageRequest())
    assert [task.name for task in of_mail.items] == [str(state)]


async def test_a_state_excludes_tasks_that_do_not_wait(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.running(lease, queue="mail")
    for state in WaitingState:
        assert (await stage.service.page(TaskFilter(waiting=state), PageRequest())).items == []


async def test_a_worker_that_takes_no_more_tasks_serves_none(stage: Stage) -> None:
    await one_of_each(stage)
    await stage.sql.execute("UPDATE taskmill.lease SET request = 'quiet'")
    assert await counts(stage) == {"ready": "0", "scheduled": "1", "retrying": "1", "held": "2"}
    held = await stage.service.page(TaskFilter(waiting=WaitingState.HELD), PageRequest())
    assert len(held.items) == 3


async def test_an_action_on_all_that_wait_for_something_touches_no_others(stage: Stage) -> None:
    await one_of_each(stage)
    wanted = TaskFilter(waiting=WaitingState.HELD, statuses=frozenset({Status.NEW}))
    step = await stage.service.sweep_step(Sweep.CANCEL, wanted, None)
    assert (step.matched, step.changed) == (2, 2)
    assert await counts(stage) == {"ready": "1", "scheduled": "1", "retrying": "1", "held": "0"}


async def test_the_api_filters_and_counts_by_state(api: Served, stage: Stage) -> None:
    await one_of_each(stage)
    found = (await api.get("/tasks?waiting=retrying")).json()
    assert [one["name"] for one in found["items"]] == ["retrying"]
    stats = (await api.get("/stats")).json()
    assert stats["waiting"]["held"] == {"tasks": 2, "are_more": False}
    [mail] = [one for one in (await api.get("/queues")).json()["items"] if one["name"] == "mail"]
    assert mail["waiting"]["scheduled"]["tasks"] == 1
    assert (await api.get("/tasks?waiting=soon")).status_code == 422


async def test_a_cursor_is_for_its_state_only(api: Served, stage: Stage) -> None:
    for _ in range(3):
        await stage.created(queue="mail")
    page = (await api.get("/tasks?waiting=held&limit=1")).json()
    next_page = await api.get(f"/tasks?waiting=held&limit=1&cursor={page['next_cursor']}")
    assert next_page.status_code == 200
    other = await api.get(f"/tasks?waiting=ready&limit=1&cursor={page['next_cursor']}")
    assert other.status_code == 400


async def test_pages_name_and_count_the_states(pages: Served, stage: Stage) -> None:
    await one_of_each(stage)
    overview = (await pages.get("/")).text
    for state, number in (("ready", 1), ("scheduled", 1), ("retrying", 1), ("held", 2)):
        assert (
            f'/ui/tasks?status=new&amp;waiting={state}"><strong class="num">{number}</strong>'
            in overview
        )
    queues = (await pages.get("/ui/queues")).text
    for words in ("1 ready", "1 scheduled", "1 for a retry", "1 held"):
        assert words in queues
    listed = (await pages.get("/ui/tasks?status=new&waiting=held")).text
    assert listed.count('id="t') == 2 or ">held<" in listed
    assert (await pages.get("/ui/tasks?waiting=soon")).status_code == 422


async def test_counting_is_bounded_however_much_waits(stage: Stage) -> None:
    await stage.sql.execute(
        """
        INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
        SELECT gen_random_uuid(), 'mail', 'send', 5, now() - interval '1 h' FROM generate_series(1, 40000)
        """
    )
    await stage.sql.execute("ANALYZE taskmill.dispatch")
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch("count_waiting", ["mail"], MOST_COUNTED, 100, 2_500, [])
    assert (row["due"], row["due_are_more"]) == (MOST_COUNTED + 1, True)
    assert plan.rows_read <= MOST_COUNTED + 20


async def test_due_tasks_of_which_nothing_else_must_be_known_are_not_read(stage: Stage) -> None:
    await stage.open_lease(types=("send",))
    await wait(stage, "mail/send", 20_000)
    await wait(stage, "mail/send", 30, is_later=True)
    assert await overall(stage) == ["20,000", "30", "0", "0"]
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch("count_waiting", ["mail"], MOST_COUNTED, 100, 2_500, [])
    assert (row["all_waiting"], row["due"], row["due_are_more"]) == (20_030, 0, True)
    assert plan.rows_read <= 100


async def wait(
    stage: Stage, name: str, tasks: int, *, attempt: int = 0, is_later: bool = False
) -> None:
    """Have many tasks wait; the name is that of their queue and their type."""
    queue, _, kind = name.partition("/")
    await stage.sql.execute(
        MANY, queue, kind, tasks, attempt, is_later, f"{name} {attempt} {is_later}"
    )


async def overall(stage: Stage) -> list[str]:
    """Return what the overview shows of all queues."""
    await stage.sql.execute("ANALYZE taskmill.dispatch, taskmill.task")
    total = (await stage.service.stats()).waiting
    return [str(total.of(state)) for state in WaitingState]


async def test_each_state_is_counted_exactly_however_many_wait_for_something_else(
    stage: Stage,
) -> None:
    await stage.open_lease(types=("send", "render"))
    for name, tasks in (("mail/send", 6_000), ("mail/render", 216), ("bills/send", 100)):
        await wait(stage, name, tasks)
    await wait(stage, "mail/unknown", 1_400)
    await wait(stage, "bills/unknown", 100)
    await wait(stage, "mail/send", 1_300, is_later=True)
    await wait(stage, "bills/send", 1_250, attempt=1, is_later=True)
    assert await overall(stage) == ["6,316", "1,300", "1,250", "1,500"]


async def test_up_to_ten_thousand_of_each_state_are_counted_exactly(stage: Stage) -> None:
    await stage.open_lease(types=("send",))
    for number in range(12):
        await wait(stage, f"small-{number}/send", 1)
    await wait(stage, "paused/send", 9_900)
    await stage.service.set_queue_paused("paused", paused=True)
    await wait(stage, "mail/send", 9_950, is_later=True)
    await wait(stage, "bills/send", 9_960, attempt=2, is_later=True)
    await wait(stage, "bills/send", 9_970)
    assert await overall(stage) == ["9,982", "9,950", "9,960", "9,900"]


async def test_beyond_ten_thousand_a_state_has_that_and_more_and_others_stay_exact(
    stage: Stage,
) -> None:
    await stage.open_lease(types=("send",))
    for number in range(4):
        await wait(stage, f"queue-{number}/send", 6_000, is_later=True)
    for number in range(4):
        await wait(stage, f"queue-{number}/unknown", 4_000)
    await wait(stage, "mail/send", 1_250)
    assert await overall(stage) == ["1,250", "10,000+", "0", "10,000+"]
