"""Lists of kinds of failures: all are reached, page by page, by any filter and in any order."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from taskmill.domain.activity import Window
from taskmill.domain.errors import InvalidInput
from taskmill.domain.failures import FailureKind, KindFilter, KindOrder, KindPosition, KindState
from taskmill.storage import failures
from tests.support.failing import fail
from tests.support.stage import Stage

HOUR = KindFilter(window=Window.HOUR)


async def kinds(
    stage: Stage, wanted: KindFilter = HOUR, order: KindOrder = KindOrder.MOST
) -> list[str]:
    page = await stage.service.failures.page(wanted, order, limit=100)
    return [one.kind.removeprefix("E: ") for one in page.items]


async def count(stage: Stage, kind: str, tasks: int, *, minutes_ago: float) -> None:
    """Count failures of the past in all their steps, as folding does."""
    await stage.sql.execute(
        "INSERT INTO taskmill.failure_delta (at, queue, type, error, task_id)"
        " SELECT now() - make_interval(secs => $3), 'default', 'pay', 'E: ' || $1, gen_random_uuid()"
        " FROM generate_series(1, $2::integer)",
        kind,
        tasks,
        minutes_ago * 60,
    )
    await failures.fold(stage.maintenance_database)


@pytest.mark.parametrize("order", KindOrder)
async def test_all_kinds_are_reached_page_by_page_each_once(stage: Stage, order: KindOrder) -> None:
    for number in range(23):
        await count(
            stage, f"kind {'abcdefghijklmnopqrstuvw'[number]}", 1 + number % 3, minutes_ago=number
        )
    seen: list[FailureKind] = []
    after: KindPosition | None = None
    while True:
        page = await stage.service.failures.page(HOUR, order, limit=5, after=after)
        assert page.kinds == 23
        seen += page.items
        if not page.has_more:
            break
        after = page.items[-1].position
    assert len({one.id for one in seen}) == len(seen) == 23
    assert [one.value for one in seen] == sorted((one.value for one in seen), reverse=True)


async def test_an_order_is_by_number_by_first_or_last_time_or_by_growth(stage: Stage) -> None:
    await count(stage, "often long ago", 9, minutes_ago=58)
    await count(stage, "since long ago", 1, minutes_ago=59)
    await count(stage, "since long ago", 4, minutes_ago=1)
    await count(stage, "new", 2, minutes_ago=2)
    assert await kinds(stage, order=KindOrder.MOST) == ["often long ago", "since long ago", "new"]
    assert await kinds(stage, order=KindOrder.NEWEST) == ["new", "often long ago", "since long ago"]
    assert await kinds(stage, order=KindOrder.LATEST) == ["since long ago", "new", "often long ago"]
    assert await kinds(stage, order=KindOrder.GROWING) == [
        "since long ago",
        "new",
        "often long ago",
    ]
    page = await stage.service.failures.page(HOUR, KindOrder.GROWING, limit=9)
    assert [one.growth for one in page.items] == [3, 2, -9]


async def test_first_is_when_a_kind_was_ever_seen_and_not_only_in_the_window(stage: Stage) -> None:
    await count(stage, "old", 1, minutes_ago=3 * 24 * 60)
    await count(stage, "old", 1, minutes_ago=1)
    [one] = (await stage.service.failures.page(HOUR, limit=9)).items
    assert one.tasks == 1
    assert one.last_at - one.first_at > timedelta(days=2)


async def test_a_trend_has_the_steps_of_the_window(stage: Stage) -> None:
    await count(stage, "up", 2, minutes_ago=35)
    await count(stage, "up", 7, minutes_ago=0)
    page = await stage.service.failures.page(HOUR, limit=9)
    [one] = page.items
    assert [point.tasks for point in one.trend] == [2, 7]
    assert len(page.steps) == 7
    assert {point.at for point in one.trend} <= set(page.steps)
    assert one.trend[-1].at == page.steps[-1]


async def test_filters_admit_a_queue_a_type_and_a_text_of_kind_or_message(stage: Stage) -> None:
    await fail(stage, "Card declined", queue="mail", type="pay", place="shop.pay")
    await fail(stage, "no route to host", queue="mail", type="send")
    await fail(stage, "no route to bank", queue="news", type="pay")
    for is_folded in (False, True):
        if is_folded:
            await failures.fold(stage.maintenance_database)
        for wanted, found in (
            (KindFilter(queue="mail"), ["E in shop.pay", "no route to host"]),
            (KindFilter(type="pay"), ["E in shop.pay", "no route to bank"]),
            (KindFilter(queue="mail", type="pay"), ["E in shop.pay"]),
            (KindFilter(text="ROUTE"), ["no route to bank", "no route to host"]),
            (KindFilter(text="100%"), []),
            (KindFilter(queue="none"), []),
        ):
            assert sorted(await kinds(stage, wanted)) == found, wanted
    assert await kinds(stage, KindFilter(text="declined")) == ["E in shop.pay"]


async def test_a_type_that_is_left_out_counts_in_no_number(stage: Stage) -> None:
    for type_ in ("pay", "pay", "send"):
        await fail(stage, type=type_)
    page = await stage.service.failures.page(KindFilter(type="pay"), limit=9)
    [one] = page.items
    assert (one.tasks, one.types, page.tasks, sum(p.tasks for p in one.trend)) == (2, ["pay"], 2, 2)


async def test_a_label_admits_the_kinds_by_which_a_task_that_has_it_failed(stage: Stage) -> None:
    await fail(stage, "one", labels='{"team":"a"}')
    await fail(stage, "two", labels='{"team":"b"}')
    await fail(stage, "three", labels='{"team":"a"}', queue="mail")
    wanted = KindFilter(label=("team", "a"))
    assert sorted(await kinds(stage, wanted)) == ["one", "three"]
    assert await kinds(stage, KindFilter(label=("team", "a"), queue="mail")) == ["three"]
    assert await kinds(stage, KindFilter(label=("team", "none"))) == []


SLOW = """
    CREATE OR REPLACE FUNCTION taskmill.error_kind(error jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE
    AS $$ BEGIN PERFORM pg_sleep(1); RETURN ''; END $$
"""


async def test_of_a_frequent_label_only_the_newest_tasks_of_each_kind_are_looked_at(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(stage, "one", labels='{"team":"a"}')
    await fail(stage, "one", labels='{"team":"c"}')
    await fail(stage, "two", labels='{"team":"b"}')
    await fail(stage, "three", labels='{"team":"a"}', queue="mail")
    await fail(stage, "four", labels='{"team":"a"}')
    await stage.service.retry(await fail(stage, "five", labels='{"team":"a"}'))
    await failures.fold(stage.maintenance_database)
    wanted = KindFilter(label=("team", "a"))
    page = await stage.service.failures.page(wanted, limit=9)
    assert not page.is_sampled
    # The index has the kinds already: who reads along it does not call the function.
    await stage.sql.execute(SLOW)
    monkeypatch.setattr("taskmill.storage.failures._LABEL_S", 0.5)
    page = await stage.service.failures.page(wanted, limit=9)
    assert page.is_sampled
    assert sorted(one.kind for one in page.items) == ["E: four", "E: one", "E: three"]
    assert await kinds(stage, KindFilter(label=("team", "a"), queue="mail")) == ["three"]
    assert await kinds(stage, KindFilter(label=("team", "none"))) == []
    monkeypatch.setattr("taskmill.storage.failures._MOST_OF_SAMPLED", 1)
    assert sorted(await kinds(stage, wanted)) == ["four", "three"]
    # The newest ones may be in queues that a key must not see.
    assert await failures.kinds_of_label(stage.database, wanted, {"mail"}) is None


async def test_a_label_that_takes_long_to_look_up_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.failures._LABEL_S", 0.2)
    await fail(stage, labels='{"team":"a"}')
    await failures.fold(stage.maintenance_database)
    await stage.sql.execute(SLOW)
    await stage.sql.execute("DROP INDEX taskmill.task_error_kind")
    with pytest.raises(InvalidInput, match="fewer tasks have"):
        await kinds(stage, KindFilter(label=("team", "a")))


async def test_kinds_are_counted_and_listed_by_state(stage: Stage) -> None:
    for word in ("open", "resolved", "back", "ignored"):
        await count(stage, word, 1, minutes_ago=5)
    await stage.sql.execute(
        "UPDATE taskmill.failure_kind SET state = CASE kind WHEN 'E: ignored' THEN 'ignored' ELSE 'resolved' END,"
        " state_at = now() - interval '3 min', state_by = 'ada' WHERE kind <> 'E: open'"
    )
    await count(stage, "back", 1, minutes_ago=1)
    await count(stage, "ignored", 1, minutes_ago=1)
    page = await stage.service.failures.page(HOUR, limit=9)
    assert page.counts == dict.fromkeys(KindState, 1)
    of_states: dict[KindState, Sequence[str]] = {
        KindState.OPEN: ["back", "open"],
        KindState.CAME_BACK: ["back"],
        KindState.RESOLVED: ["resolved"],
        KindState.IGNORED: ["ignored"],
    }
    for state, found in of_states.items():
        assert sorted(await kinds(stage, KindFilter(state=state))) == found
        page = await stage.service.failures.page(KindFilter(state=state), limit=9)
        assert page.kinds == 4
