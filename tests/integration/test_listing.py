"""Lists of tasks: every filter, every combination, pages without gaps, totals, and the time budget."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from sqlalchemy import RowMapping

from taskmill.domain.lifecycle import Failed, Status, Succeeded
from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.domain.task import Task
from taskmill.settings import DatabaseSettings
from taskmill.storage import listing
from taskmill.storage.tasks import from_row
from tests.support.builders import ERROR, a_draft
from tests.support.callers import called_by
from tests.support.stage import Stage, a_stage

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LABELS: tuple[dict[str, str], ...] = ({}, {"team": "a"}, {"team": "a", "tier": "1"}, {"team": "b"})


@pytest.fixture
async def population(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Sixty tasks of all kinds in all statuses, oldest first. They are counted where the machine is slow, too."""
    monkeypatch.setattr("taskmill.storage.listing._COUNT_S", 60)
    lease = await stage.open_lease()
    made = await stage.creation.create_all(
        [
            a_draft(
                name=f"Task {n} {'special_50%' if n % 6 == 0 else 'plain'}",
                queue=f"q{n % 2}",
                type=f"t{n % 3}",
                labels=orjson.dumps(LABELS[n % 4]).decode(),
            )
            for n in range(60)
        ]
    )
    for taken in (await stage.take(lease, limit=100))[::2]:
        outcome = Succeeded() if taken.task.id.int % 2 else Failed(error=ERROR)
        await stage.end(taken, lease, outcome)
    for created in made[::7]:
        await stage.service.cancel(created.task.id) if await _runs(stage, created.task) else None
    for n, created in enumerate(made):
        if n % 5 == 0 and not await _runs(stage, created.task):
            await stage.service.retry(created.task.id)
    return sorted([await stage.task(a.task.id) for a in made], key=lambda task: task.id)


async def _runs(stage: Stage, task: Task) -> bool:
    return (await stage.task(task.id)).status is Status.IN_PROGRESS


def fits(task: Task, wanted: TaskFilter) -> bool:
    """What a filter means, in plain words."""
    labels = orjson.loads(task.labels)
    return (
        (not wanted.statuses or task.status in wanted.statuses)
        and wanted.queue in (None, task.queue)
        and (wanted.visible is None or task.queue in wanted.visible)
        and wanted.type in (None, task.type)
        and all(labels.get(key) == value for key, value in wanted.labels)
        and (wanted.name is None or wanted.name.casefold() in task.name.casefold())
        and (wanted.created_after is None or task.created_at >= wanted.created_after)
        and (wanted.created_before is None or task.created_at < wanted.created_before)
    )


async def pages(stage: Stage, wanted: TaskFilter, request: PageRequest) -> AsyncIterator[TaskPage]:
    """Walk a listing from page to page."""
    while True:
        page = await stage.service.page(wanted, request)
        yield page
        if page.next_after is None:
            return
        request = PageRequest(
            limit=request.limit, after=page.next_after, oldest_first=request.oldest_first
        )


STATUSES: tuple[frozenset[Status], ...] = (
    frozenset(),
    frozenset({Status.SUCCEEDED}),
    frozenset({Status.NEW, Status.FAILED, Status.IN_PROGRESS}),
)


QUEUES: tuple[dict[str, Any], ...] = (
    {},
    {"queue": "q1"},
    {"visible": frozenset({"q1"})},
    {"visible": frozenset({"q0", "q1", "q2"})},
    {"visible": frozenset({"q1"}), "queue": "q0"},
    {"visible": frozenset[str]()},
)


def some_filters(tasks: list[Task]) -> list[TaskFilter]:
    middle = tasks[len(tasks) // 2].created_at
    spans: tuple[dict[str, Any], ...] = ({}, {"created_after": middle}, {"created_before": middle})
    return [
        TaskFilter(statuses=statuses, type=kind, labels=labels, name=name, **queues, **times)
        for statuses, queues, kind, labels, name, times in product(
            STATUSES,
            QUEUES,
            (None, "t2"),
            ((), (("team", "a"),)),
            (None, "SPECIAL_50%"),
            spans,
        )
    ]


async def test_every_combination_of_filters_gives_what_fits_in_both_orders(
    stage: Stage, population: list[Task]
) -> None:
    for number, wanted in enumerate(some_filters(population)):
        oldest_first = bool(number % 2)
        fitting = [task for task in population if fits(task, wanted)]
        expected = fitting if oldest_first else fitting[::-1]
        page = await stage.service.page(wanted, PageRequest(limit=500, oldest_first=oldest_first))
        assert page.items == expected, wanted
        assert (page.total, page.total_at_least) == (len(expected), None), wanted
        assert page.next_after is None


async def test_pages_have_no_gaps_and_no_repeats(stage: Stage, population: list[Task]) -> None:
    for number, wanted in enumerate(some_filters(population)[::5]):
        for limit, oldest_first in ((1 + number % 7, True), (1 + number % 5, False)):
            request = PageRequest(limit=limit, oldest_first=oldest_first)
            found = [page async for page in pages(stage, wanted, request)]
            items = [task for page in found for task in page.items]
            fitting = [task for task in population if fits(task, wanted)]
            assert items == (fitting if oldest_first else fitting[::-1]), (wanted, limit)
            assert all(len(page.items) == limit for page in found[:-1])
            assert {page.total for page in found} == {len(fitting)}


async def test_an_offset_skips_and_cursors_go_on_from_there(
    stage: Stage, population: list[Task]
) -> None:
    for wanted in (TaskFilter(), TaskFilter(queue="q0"), TaskFilter(type="t1")):
        fitting = [task for task in population if fits(task, wanted)][::-1]
        request = PageRequest(limit=4, offset=5)
        items = [task async for page in pages(stage, wanted, request) for task in page.items]
        assert items == fitting[5:]
        beyond = await stage.service.page(wanted, PageRequest(offset=1000))
        assert (beyond.items, beyond.next_after, beyond.total) == ([], None, len(fitting))


async def test_the_wildcards_of_a_name_are_plain_letters(stage: Stage) -> None:
    names = ["100% sure", "100 sure", "a_b", "aXb", "back\\slash", "ПРИВЕТ"]
    await stage.creation.create_all([a_draft(name=name) for name in names])
    for wanted, expected in (
        ("100%", ["100% sure"]),
        ("a_b", ["a_b"]),
        ("\\", ["back\\slash"]),
        ("/", []),
        ("SURE", ["100 sure", "100% sure"]),
        ("привет", ["ПРИВЕТ"]),
    ):
        page = await stage.service.page(TaskFilter(name=wanted), PageRequest())
        assert [task.name for task in page.items] == expected


async def test_labels_are_compared_as_they_are(stage: Stage) -> None:
    odd = 'quote " and \\ and 😀'
    labels = orjson.dumps({odd: odd, "n": "1"}).decode()
    made = await stage.created(labels=labels)
    await stage.created(labels='{"n": "2"}')
    for wanted in (((odd, odd),), (("n", "1"), (odd, odd))):
        page = await stage.service.page(TaskFilter(labels=wanted), PageRequest())
        assert [task.id for task in page.items] == [made.id]
    assert (await stage.service.page(TaskFilter(labels=((odd, "1"),)), PageRequest())).items == []


async def test_time_bounds_are_exact_to_the_millisecond(stage: Stage) -> None:
    made = await stage.created()
    microsecond, millisecond = timedelta(microseconds=1), timedelta(milliseconds=1)
    moment = made.created_at
    for wanted, count in (
        (TaskFilter(created_after=moment), 1),
        (TaskFilter(created_after=moment + microsecond), 0),
        (TaskFilter(created_before=moment), 0),
        (TaskFilter(created_before=moment + microsecond), 1),
        (TaskFilter(created_after=moment, created_before=moment + millisecond), 1),
    ):
        page = await stage.service.page(wanted, PageRequest())
        assert (len(page.items), page.total) == (count, count), wanted


async def test_a_listing_of_nothing_is_empty(stage: Stage) -> None:
    for wanted in (TaskFilter(), TaskFilter(queue="none"), TaskFilter(type="none")):
        page = await stage.service.page(wanted, PageRequest())
        assert page == TaskPage(items=[], total=0, total_at_least=None, next_after=None)


@pytest.mark.parametrize("oldest_first", [True, False])
async def test_a_search_whose_time_is_up_returns_where_to_go_on(
    stage: Stage, population: list[Task], monkeypatch: pytest.MonkeyPatch, *, oldest_first: bool
) -> None:
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 5)
    monkeypatch.setattr("taskmill.storage.listing._LARGEST_CHUNK", 5)
    monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 0.0)
    # No index knows a text of two letters.
    for wanted in (
        TaskFilter(name="sp"),
        TaskFilter(name="sp", statuses=frozenset({Status.NEW, Status.FAILED, Status.SUCCEEDED})),
        TaskFilter(name="sp", labels=(("team", "b"),), queue="q1"),
    ):
        request = PageRequest(limit=3, oldest_first=oldest_first)
        found = [page async for page in pages(stage, wanted, request)]
        fitting = [task for task in population if fits(task, wanted)]
        assert [task for page in found for task in page.items] == (
            fitting if oldest_first else fitting[::-1]
        )
        short = [page for page in found[:-1] if len(page.items) < 3]
        assert short or len(found) == 1, "no chunk of five has three that fit"
        assert all(page.items for page in found[:-1])


async def test_larger_chunks_are_scanned_while_there_is_time(
    stage: Stage, population: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 2)
    monkeypatch.setattr("taskmill.storage.listing._LARGEST_CHUNK", 8)
    monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 30)
    wanted = TaskFilter(name="sp")
    page = await stage.service.page(wanted, PageRequest(limit=4))
    fitting = [task for task in population if fits(task, wanted)][::-1]
    assert page.items == fitting[:4]
    assert page.next_after == fitting[3].id


async def test_what_a_search_has_scanned_is_not_counted_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the total is exact even where there is no time to count."""
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 2_000)
    await stage.creation.create_all([a_draft(name="ж" * 200) for _ in range(1_500)])
    await stage.creation.create(a_draft(name="wanted"))
    page = await stage.service.page(TaskFilter(name="wanted"), PageRequest(budget_s=0.001))
    assert ([task.name for task in page.items], page.total) == (["wanted"], 1)
    none = await stage.service.page(TaskFilter(name="w2"), PageRequest(budget_s=0.001))
    assert (none.items, none.total) == ([], 0)
    beyond = await stage.service.page(TaskFilter(name="ж"), PageRequest(budget_s=0.001, limit=10))
    assert (beyond.total, beyond.total_at_least) == (None, 11)


@pytest.mark.parametrize("wanted", [TaskFilter(name="a"), TaskFilter(created_after=LONG_AGO)])
async def test_searches_leave_connections_to_other_lists(stage: Stage, wanted: TaskFilter) -> None:
    await stage.creation.create(a_draft())
    database = stage.database
    # There are two connections for lists.
    async with database.listing(is_search=True), asyncio.TaskGroup() as group:
        search = group.create_task(stage.service.page(wanted, PageRequest()))
        ids = group.create_task(listing.ids(database, wanted, PageRequest()))
        for _ in range(4):  # the other connection goes to the first in the queue each time
            assert (await stage.service.page(TaskFilter(), PageRequest())).total == 1
        assert not search.done()
        assert not ids.done()
        search.cancel()
        ids.cancel()
    assert len((await stage.service.page(wanted, PageRequest())).items) == 1


async def test_searches_of_one_address_leave_a_connection_to_those_of_others(
    stage_url: str,
) -> None:
    # By default there are as many, so two searches at a time.
    async with a_stage(stage_url, DatabaseSettings(listing_pool_size=4)) as stage:
        await stage.creation.create(a_draft())

        async def search(host: str) -> TaskPage:
            with called_by(host):
                return await stage.service.page(TaskFilter(name="a"), PageRequest())

        async with asyncio.TaskGroup() as group:
            with called_by("192.0.2.1"):
                async with stage.database.listing(is_search=True):
                    second = group.create_task(search("192.0.2.1"))
                    for _ in range(4):  # another address waits for nobody
                        assert len((await search("192.0.2.2")).items) == 1
                    assert not second.done()
        assert len(second.result().items) == 1


async def test_a_list_takes_one_process_of_postgresql(stage: Stage) -> None:
    """A search of a large table once took all cores from everybody else."""
    async with stage.database.listing() as connection:
        setting = await connection.scalar(sa.text("SHOW max_parallel_workers_per_gather"))
    assert setting == "0"


async def test_others_are_served_while_a_page_is_made_of_its_rows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.creation.create_all([a_draft() for _ in range(200)])
    loop, turn, made_in = asyncio.get_running_loop(), 0, list[int]()
    serving: asyncio.Handle

    def serve() -> None:
        nonlocal turn, serving
        turn += 1
        serving = loop.call_soon(serve)

    def made(row: RowMapping) -> Task:
        made_in.append(turn)
        return from_row(row)

    serve()
    monkeypatch.setattr("taskmill.storage.listing.from_row", made)
    page = await stage.service.page(TaskFilter(), PageRequest(limit=200))
    serving.cancel()
    assert len(page.items) == len(made_in) == 200
    assert max(Counter(made_in).values()) == 50
