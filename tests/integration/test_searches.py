"""Searches look up what is rare, scan for what is frequent, and have no empty page while there are more."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from taskmill.domain.lifecycle import ErrorInfo, Failed, Status
from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.storage import listing, name_index
from taskmill.storage.scan import Scan
from tests.support.builders import a_draft
from tests.support.stage import Stage

HAYSTACK = 300
NEEDLE = TaskFilter(name="Игла", labels=(("kind", "needle"),), type="needle", queue="q")


@pytest.fixture
async def haystack(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Three needles, with 300 other tasks after each; chunks have 10 tasks, and few are scanned for."""
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 10)
    monkeypatch.setattr("taskmill.storage.listing._LARGEST_CHUNK", 10)
    monkeypatch.setattr("taskmill.storage.listing._FEWEST_LOOKED_UP_IN", 10)
    # A page is not cut short, nor a look-up or a count given up, where the machine is slow.
    monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 60)
    monkeypatch.setattr("taskmill.storage.listing._LONGEST_S", 60)
    monkeypatch.setattr("taskmill.storage.listing._COUNT_S", 60)
    monkeypatch.setattr("taskmill.storage.search._TIMEOUT_MS", 60_000)
    for n in range(3):
        needle = a_draft(
            name=f"Моя ИГЛА № {n} %_\\",
            type="needle",
            queue="q",
            labels='{"kind": "needle", "colour": "grey"}',
        )
        # Pairs of queue and type with each other partner.
        hay = [
            a_draft(
                name=f"hay {i}",
                labels='{"kind": "hay"}',
                **({"type": "needle"} if i % 2 else {"queue": "q"}),
            )
            for i in range(HAYSTACK)
        ]
        await stage.creation.create_all([needle, *hay])
    return stage


class Scans:
    """Counts the chunks that a search has scanned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chunks = 0
        ids = Scan.ids

        def counted(scan: Scan, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
            self.chunks += "is_checked" in more
            return ids(scan, *arguments, **more)

        monkeypatch.setattr(Scan, "ids", counted)


@pytest.mark.parametrize(
    "wanted",
    [
        TaskFilter(labels=(("kind", "needle"),)),
        TaskFilter(labels=(("kind", "needle"), ("colour", "grey"))),
        TaskFilter(name="моя игла"),
        TaskFilter(name="Игла № 1 %_\\"),
        TaskFilter(type="needle", queue="q"),
        TaskFilter(type="needle", queue="q", statuses=frozenset({Status.NEW, Status.FAILED})),
        NEEDLE,
    ],
)
async def test_what_is_rare_is_looked_up_after_one_chunk(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch, wanted: TaskFilter
) -> None:
    scans = Scans(monkeypatch)
    whole = await haystack.service.page(wanted, PageRequest())
    assert scans.chunks == 1
    expected = 1 if wanted.name and "1" in wanted.name else 3
    assert (len(whole.items), whole.total, whole.next_after) == (expected, expected, None)
    first = await haystack.service.page(wanted, PageRequest(limit=1))
    assert (first.items, first.total) == (whole.items[:1], expected)
    assert first.next_after == (whole.items[0].id if expected > 1 else None)
    rest = PageRequest(after=whole.items[0].id, oldest_first=True)
    nothing = await haystack.service.page(wanted, rest)
    assert (nothing.items, nothing.total) == ([], expected)
    last = await haystack.service.page(wanted, PageRequest(limit=1, offset=expected - 1))
    assert (last.items, last.total, last.next_after) == (whole.items[-1:], expected, None)


async def test_later_pages_know_the_total_without_counting(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting what is rare would read all tasks."""
    monkeypatch.setattr("taskmill.storage.listing._count", None)
    wanted = TaskFilter(name="моя игла")
    assert [page.total async for page in _pages(haystack, wanted, 1)] == [3, 3, 3]


async def test_more_than_are_looked_up_are_scanned_for(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.search.MOST", 2)
    found = [page async for page in _pages(haystack, TaskFilter(labels=(("kind", "needle"),)), 2)]
    assert [len(page.items) for page in found] == [2, 1]
    assert {page.total for page in found} == {3}


async def test_a_look_up_that_takes_too_long_leaves_it_to_the_scan(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less than it takes to plan it, as if it had much to read.
    monkeypatch.setattr("taskmill.storage.search._TIMEOUT_MS", 1)
    page = await haystack.service.page(TaskFilter(labels=(("kind", "needle"),)), PageRequest())
    assert (len(page.items), page.total) == (3, 3)


@pytest.mark.parametrize("wanted", [TaskFilter(name="№"), TaskFilter(name="иг")])
async def test_no_page_is_empty_while_there_are_more(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch, wanted: TaskFilter
) -> None:
    """No index knows these texts, and there is no time at all."""
    monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 0.0)
    found = [page async for page in _pages(haystack, wanted, 2)]
    assert all(page.items for page in found[:-1])
    assert sum(len(page.items) for page in found) == 3
    on_page_two = await haystack.service.page(wanted, PageRequest(limit=1, offset=2))
    assert len(on_page_two.items) == 1


async def test_a_search_that_finds_nothing_for_long_says_where_to_go_on(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the request would end with an error, and the next one would begin where it began."""
    monkeypatch.setattr("taskmill.storage.listing._LONGEST_S", 0.0)
    found = [page async for page in _pages(haystack, TaskFilter(name="№"), 2)]
    assert found[0].items == []
    assert sum(len(page.items) for page in found) == 3


async def test_total_at_least_counts_what_was_seen(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_time(*_: object) -> None: ...

    monkeypatch.setattr("taskmill.storage.listing._count", no_time)
    monkeypatch.setattr("taskmill.storage.listing.BUDGET_S", 0.0)
    wanted = TaskFilter(name="№")
    page = await haystack.service.page(wanted, PageRequest())
    assert (len(page.items), page.total_at_least) == (1, 1)
    beyond = await haystack.service.page(wanted, PageRequest(offset=100))
    assert (beyond.items, beyond.total) == ([], 3)


async def test_a_caller_with_a_budget_gets_an_empty_page_and_where_to_go_on(
    haystack: Stage,
) -> None:
    page = await haystack.service.page(TaskFilter(name="№"), PageRequest(budget_s=0))
    assert page.items == []
    assert page.next_after is not None


async def test_a_page_whose_tasks_have_all_changed_meanwhile_is_not_shown(
    haystack: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were found as waiting, and are cancelled before they are read."""
    read = listing._read
    changed: list[int] = []

    async def cancelling(connection: Any, scan: Any, ids: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
        if not changed:
            changed.extend(range(len(ids)))
            for task_id in ids:
                await haystack.service.cancel(task_id)
        return await read(connection, scan, ids, **more)

    monkeypatch.setattr(listing, "_read", cancelling)
    wanted = TaskFilter(statuses=frozenset({Status.NEW}))
    page = await haystack.service.page(wanted, PageRequest(limit=2))
    assert len(changed) == len(page.items) == 2


async def test_a_kind_of_error_is_found_by_its_index(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await stage.open_lease()
    for number in range(6):
        taken = await stage.running(lease)
        error = ErrorInfo(type="E", message="rare" if number == 1 else "usual")
        await stage.end(taken, lease, Failed(error=error))
    failed, unended = {Status.FAILED}, {Status.FAILED, Status.NEW, Status.IN_PROGRESS}
    of_queue = {"type": "emulate", "queue": "default"}
    for more in ({}, {"statuses": failed}, {"statuses": unended}, {"type": "emulate"}, of_queue):
        wanted = TaskFilter(error="E: rare", **more)
        page = await stage.service.page(wanted, PageRequest())
        assert ([task.error and "rare" in task.error for task in page.items], page.total) == (
            [True],
            1,
        )
    none = await stage.service.page(TaskFilter(error="E: none"), PageRequest())
    assert (none.items, none.total) == ([], 0)
    # What else they must be is checked chunk by chunk, as its own index is of no use here.
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 2)
    for more in ({"type": "other"}, {"queue": "q"}, {"statuses": {Status.NEW}}):
        wanted = TaskFilter(error="E: usual", **more)
        page = await stage.service.page(wanted, PageRequest(budget_s=0))
        assert page.items == []
        assert page.next_after is not None


async def test_more_than_two_thousand_are_not_counted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.listing._MOST_COUNTED", 4)
    for number, (total, at_least) in ((4, (4, None)), (1, (None, 5))):
        await stage.creation.create_all([a_draft(type="counted") for _ in range(number)])
        page = await stage.service.page(TaskFilter(type="counted"), PageRequest(limit=2))
        assert (page.total, page.total_at_least) == (total, at_least)


async def test_without_the_index_of_names_they_are_scanned_for(haystack: Stage) -> None:
    await name_index.apply(haystack.url, is_wanted=False)
    assert await haystack.sql.fetchval(_INDEX) is None
    found = await haystack.service.page(TaskFilter(name="моя игла"), PageRequest())
    assert (len(found.items), found.total) == (3, 3)
    for _ in range(2):
        await name_index.apply(haystack.url, is_wanted=True)
    assert await haystack.sql.fetchval(_INDEX) is True
    # New weeks have it, too.
    assert await haystack.sql.fetchval(_WITHOUT_INDEX) == 0


async def test_where_the_extension_is_not_to_be_had_the_index_is_left_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.sql.execute("DROP EXTENSION pg_trgm CASCADE")
    monkeypatch.setattr(name_index, "_EXTENSION", "no_such_extension")
    await name_index.apply(stage.url, is_wanted=True)
    assert await stage.sql.fetchval(_INDEX) is None
    await stage.created(name="Игла")
    page = await stage.service.page(TaskFilter(name="игла"), PageRequest())
    assert len(page.items) == 1


_INDEX = """
    SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('taskmill.task_name_trigrams')
"""
_WITHOUT_INDEX = """
    SELECT count(*) FROM pg_inherits AS week
    WHERE week.inhparent = 'taskmill.task'::regclass AND NOT EXISTS (
        SELECT FROM pg_index AS i INNER JOIN pg_inherits AS part ON part.inhrelid = i.indexrelid
        WHERE i.indrelid = week.inhrelid AND part.inhparent = 'taskmill.task_name_trigrams'::regclass)
"""


async def _pages(stage: Stage, wanted: TaskFilter, limit: int) -> AsyncIterator[TaskPage]:
    request = PageRequest(limit=limit)
    while True:
        page = await stage.service.page(wanted, request)
        yield page
        if page.next_after is None:
            return
        request = PageRequest(limit=limit, after=page.next_after)
