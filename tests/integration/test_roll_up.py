"""The roll-up counts every event once, however it is folded, carried and interrupted."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from taskmill import settings as configuration
from taskmill.composition.maintenance import maintenance_services
from taskmill.composition.process import Process
from taskmill.domain.activity import COUNTED, Window
from taskmill.domain.errors import TransitionRefused
from taskmill.domain.lifecycle import (
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Succeeded,
)
from taskmill.storage import claims, minutes
from taskmill.storage.statements import statement
from tests.support.builders import AT_ONCE, ERROR, a_draft, an_end
from tests.support.mixture import a_mixture
from tests.support.polling import eventually
from tests.support.roles import process_settings
from tests.support.rolling import (
    add_events,
    assert_matches_history,
    counted,
    now,
    read_activity,
    rows_of,
    settle,
    total,
)
from tests.support.stage import Stage


async def test_everything_is_counted_at_once_and_after_each_fold(stage: Stage) -> None:
    await a_mixture(stage)
    happened = {event_type for _, _, event_type in await counted(stage)}
    assert happened == {str(event_type) for event_type in COUNTED}
    await assert_matches_history(stage)
    assert await minutes.roll_up(stage.maintenance_database) is False
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_minute_delta") == 0
    for window in Window:
        await assert_matches_history(stage, window)


async def test_a_batch_over_many_queues_and_types_is_counted_separately(stage: Stage) -> None:
    drafts = [a_draft(queue=f"q{n % 7}", type=f"t{n % 5}") for n in range(200)]
    await stage.creation.create_all(drafts)
    lease = await stage.open_lease()
    taken = await stage.take(lease, 200)
    assert len(taken) == 200
    outcomes = (Succeeded(), Permanent(error=ERROR), Lost())
    ends = [an_end(one, lease, outcomes[n % 3]) for n, one in enumerate(taken)]
    await claims.end(stage.database, ends, worker="w")
    await assert_matches_history(stage)
    await minutes.roll_up(stage.maintenance_database)
    await assert_matches_history(stage)
    everything = await read_activity(stage)
    assert len(everything.groups) == 35
    request = replace(everything.request, by_group=False)
    alone = await minutes.read(stage.database, request)
    assert (alone.groups, alone.total.counts) == ({}, everything.total.counts)


async def some_work(stage: Stage, rng: random.Random, name: str) -> None:
    """Let one process do random things."""
    lease = await stage.open_lease(worker=name)
    outcomes: list[Outcome] = [
        Succeeded(),
        Failed(error=ERROR),
        Permanent(error=ERROR),
        Interrupted(),
        Lost(),
    ]
    for _ in range(12):
        parts = [(rng.choice("abc"), rng.choice(("x", "y"))) for _ in range(rng.randint(1, 6))]
        drafts = [
            a_draft(queue=queue, type=type_, max_attempts=2, retry=AT_ONCE)
            for queue, type_ in parts
        ]
        made = [one.task.id for one in await stage.creation.create_all(drafts)]
        for taken in await stage.take(lease, rng.randint(1, 8)):
            if rng.random() < 0.2:
                await stage.service.cancel(taken.task.id)
            await stage.end(taken, lease, rng.choice(outcomes))
        for task_id in made:
            with suppress(TransitionRefused):
                await rng.choice((stage.service.cancel, stage.service.retry))(task_id)


@pytest.mark.parametrize("seed", range(3))
async def test_it_agrees_with_the_history_after_random_work_while_several_roll_up(
    stage: Stage, seed: int
) -> None:
    stop = asyncio.Event()

    async def roll_up() -> None:
        while not stop.is_set():
            await minutes.roll_up(stage.maintenance_database)

    seen = [0]

    async def compare() -> None:
        while not stop.is_set():
            seen.append((await read_activity(stage)).total.changes)

    async with asyncio.TaskGroup() as group:
        for duty in (roll_up(), roll_up(), compare()):
            group.create_task(duty)
        async with asyncio.TaskGroup() as workers:
            for number in range(3):
                rng = random.Random(f"{seed} {number}")  # noqa: S311 - no secret
                workers.create_task(some_work(stage, rng, f"w{number}"))
        stop.set()
    assert seen == sorted(seen), "a total has decreased"
    await assert_matches_history(stage)
    await settle(stage)
    await assert_matches_history(stage)


async def test_a_past_minute_becomes_part_of_every_longer_step_once(stage: Stage) -> None:
    moment = await now(stage)
    ages = [timedelta(minutes=m) for m in (0, 4, 20, 50)]
    ages += [timedelta(hours=h) for h in (3, 20)] + [timedelta(days=d) for d in (3, 20)]
    for number, age in enumerate(ages):
        await add_events(stage, moment - age, tasks=10**number)
    expected = {
        "5m": 11, "1h": 1111, "6h": 11111, "24h": 111_111, "7d": 1_111_111, "30d": 11_111_111,
    }  # fmt: skip
    for _ in range(3):
        assert {window: await total(stage, window) for window in expected} == expected
        await settle(stage)
    day = [row for row in await rows_of(stage, 86_400) if row[1] == 10_000_000]
    assert day == [
        (moment.replace(hour=0, minute=0, second=0, microsecond=0) - ages[-1], 10**7, False)
    ]
    assert all(carried for _, created, carried in await rows_of(stage, 60) if created != 1)


async def test_a_late_event_is_added_to_a_minute_that_was_carried_long_ago(stage: Stage) -> None:
    past = await now(stage) - timedelta(hours=5)
    for number in (1, 2, 3):
        await add_events(stage, past)
        assert await total(stage, "6h") == await total(stage, "30d") == number
        await settle(stage)
        assert await total(stage, "6h") == await total(stage, "30d") == number
    assert [row[1:] for row in await rows_of(stage, 60)] == [(1, True)] * 3


async def test_a_round_that_crashes_has_changed_nothing(stage: Stage) -> None:
    await add_events(stage, await now(stage), tasks=3)
    await add_events(stage, await now(stage) - timedelta(hours=2), tasks=4)
    dying = await stage.maintenance_database.connect()
    await dying.execute("BEGIN")
    assert await dying.fetchval(statement("lock_roll_up"))
    assert await dying.fetchval(statement("roll_up"), 60, 0, 100, 100, 100) == 2
    await dying.fetchval(statement("roll_up"), 600, 60, 100, 100, 100)
    dying.terminate()
    await dying.close()
    for _ in range(2):
        assert (await total(stage, "5m"), await total(stage, "6h")) == (3, 7)
        await settle(stage)


async def test_one_process_rolls_up_at_a_time(stage: Stage) -> None:
    await add_events(stage, await now(stage))
    other = await stage.maintenance_database.connect()
    await other.execute("BEGIN")
    assert await other.fetchval(statement("lock_roll_up"))
    assert await minutes.roll_up(stage.maintenance_database) is False
    assert await rows_of(stage, 60) == []
    await other.execute("COMMIT")
    await other.close()
    await minutes.roll_up(stage.maintenance_database)
    assert len(await rows_of(stage, 60)) == 1


async def test_rolling_up_goes_on_when_there_is_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.minutes._MOST_TAKEN", 3)
    for number in range(4):
        await add_events(stage, await now(stage) - timedelta(minutes=number), tasks=10)
    assert await minutes.roll_up(stage.maintenance_database) is True
    assert await total(stage, "1h") == 40
    while await minutes.roll_up(stage.maintenance_database):
        pass
    assert await total(stage, "1h") == 40


async def test_rows_are_pruned_when_they_are_part_of_a_longer_step_and_past_their_retention(
    stage: Stage,
) -> None:
    moment = await now(stage)
    for days in (0, 0.8, 1.2, 8, 36, 101, 401):
        await add_events(stage, moment - timedelta(days=days))
    await stage.sql.fetch(statement("roll_up"), 60, 0, 100, 100, 100)
    assert await minutes.prune(stage.maintenance_database) is False
    assert len(await rows_of(stage, 60)) == 7
    await settle(stage)
    month = await total(stage, "30d")
    await minutes.prune(stage.maintenance_database)
    left = await stage.sql.fetch(
        "SELECT step_s, count(*) FROM taskmill.task_minute WHERE carried GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in left] == [(60, 1), (600, 2), (3600, 3), (21_600, 4)]
    assert await total(stage, "30d") == month == 4
    assert len(await rows_of(stage, 86_400)) >= 4
    assert max(moment - row[0] for row in await rows_of(stage, 86_400)) < timedelta(days=400)  # type: ignore[operator]


async def test_pruning_goes_on_when_there_is_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.minutes._MOST_PRUNED", 2)
    for number in range(3):
        await add_events(stage, await now(stage) - timedelta(days=2, minutes=number))
    await settle(stage)
    assert await minutes.prune(stage.maintenance_database) is True
    assert await minutes.prune(stage.maintenance_database) is False


async def test_the_maintenance_role_rolls_up_and_prunes(stage: Stage) -> None:
    await add_events(stage, await now(stage) - timedelta(days=2))
    await settle(stage)
    await add_events(stage, await now(stage))
    process, stop = Process(configuration.load(**process_settings(stage.url))), asyncio.Event()

    async def is_done() -> bool:
        return [row[1:] for row in await rows_of(stage, 60)] == [(1, False)]

    async with asyncio.TaskGroup() as group:
        for service in maintenance_services(process):
            group.create_task(service.run(stop))
        await eventually(is_done, "a new minute, and none of two days ago")
        stop.set()
    await process.close()
