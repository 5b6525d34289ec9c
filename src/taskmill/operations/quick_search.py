"""One text is searched for everywhere: ids, numbers, names, labels, kinds of failures, queues, types and workers.

It is quick whatever there is: what has no index is searched for a moment, and `go_on` searches further. As each
part is found by its own operation, nothing is found that this context may not see.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final
from uuid import UUID

from taskmill.domain.activity import Window
from taskmill.domain.errors import TaskNotFound
from taskmill.domain.failures import FailureKind, KindFilter
from taskmill.domain.quick_search import MatchBy, SearchResult, SearchText, TaskMatches
from taskmill.domain.system import PageRequest, WorkerState
from taskmill.domain.task import Task
from taskmill.operations.service import TaskService
from taskmill.operations.visibility import current_visibility, require_visible, visible_queues
from taskmill.runtime.gather import gather
from taskmill.runtime.ttl_cache import TtlCache
from taskmill.storage import queues

MOST: Final = 5
"""So many are found of each kind."""
# Together less than the 200 ms after which a search would seem slow.
_SCAN_S: Final = 0.03
_LOOK_UP_S: Final = 0.08
_LONGER_SCAN_S: Final = 1.0
# What failed in the longest window that is counted.
_WINDOW: Final = Window.MONTH
_MOST_TYPES: Final = 500
_TYPES_TTL_S: Final = 5.0


class QuickSearch:
    """Searches over a service. Its methods raise `Unavailable` when the database is away."""

    def __init__(self, service: TaskService) -> None:
        self._service = service
        self._types: TtlCache[set[str]] = TtlCache()

    async def find(self, sought: SearchText, contract_types: Collection[str] = ()) -> SearchResult:
        """Return the first few of each kind; `contract_types` may be shown although no task has them."""
        if not sought.text:
            return SearchResult()
        (exact, tasks), ((kinds, workers), (names, types)) = await gather(
            gather(self._exact(sought), self._tasks(sought)),
            gather(
                gather(self._kinds(sought), self._service.workers()),
                gather(self._queues(), self.task_types()),
            ),
        )
        known = {*types, *contract_types, *(one for worker in workers for one in worker.types)}
        return SearchResult(
            exact=exact,
            tasks=tasks,
            kinds=kinds,
            queues=_matching(sought, names),
            types=_matching(sought, known - {"*"}),
            workers=_workers(sought, workers),
        )

    async def go_on(self, sought: SearchText, by: MatchBy, after: UUID, most: int) -> TaskMatches:
        """Search further in one of the ways, for a second, beyond the task `after`."""
        request = PageRequest(
            limit=most, after=after, budget_s=_LONGER_SCAN_S, is_brief=True, with_total=False
        )
        page = await self._service.page(sought.wanted(by), request)
        return TaskMatches(by=by, page=page)

    async def task_types(self) -> set[str]:
        """Return the types that tasks have which this context may see, as they were some seconds ago."""
        database = self._service.database
        visible = await visible_queues(database)

        async def read() -> set[str]:
            if visible is not None:
                return await queues.types_in(database, visible)
            return await queues.task_types(database, _MOST_TYPES)

        return await self._types.get(visible, read, ttl_s=_TYPES_TTL_S)

    async def _exact(self, sought: SearchText) -> list[Task]:
        found = [sought.id]
        try:
            if sought.number is not None:
                found = [await self._service.reading.find_id(sought.number)]
            tasks = [await self._service.reading.get(one) for one in found if one is not None]
            for task in tasks:
                require_visible(task)
        except TaskNotFound:
            return []
        return tasks

    async def _tasks(self, sought: SearchText) -> list[TaskMatches]:
        """Search one way after the other, until enough is found: each takes one of few connections.

        What has been found in one way is not among what others find.
        """
        request = PageRequest(
            limit=MOST,
            budget_s=_SCAN_S,
            look_up_s=_LOOK_UP_S,
            is_brief=True,
            with_total=False,
        )
        found: dict[UUID, MatchBy] = {}
        matches = []
        for by in sought.ways:
            if len(found) >= MOST:
                break
            page = await self._service.page(sought.wanted(by), request)
            items = [one for one in page.items if found.setdefault(one.id, by) is by]
            matches.append(TaskMatches(by=by, page=replace(page, items=items)))
        return matches

    async def _kinds(self, sought: SearchText) -> list[FailureKind]:
        if sought.is_exact:
            return []
        wanted = KindFilter(window=_WINDOW, text=sought.text)
        return list((await self._service.failures.page(wanted, limit=MOST)).items)

    async def _queues(self) -> Collection[str]:
        database = self._service.database
        names = await queues.names_with_tasks(database)
        visibility = current_visibility()
        return names if visibility is None else visibility.of(names)


def _matching(sought: SearchText, names: Collection[str]) -> list[str]:
    """Return the first few names with the text, those that begin with it before others."""
    text = sought.text.lower()
    found = [one for one in names if text in one.lower()]
    return sorted(found, key=lambda one: (not one.lower().startswith(text), one))[:MOST]


def _workers(sought: SearchText, workers: Collection[WorkerState]) -> list[WorkerState]:
    text = sought.text.lower()
    return [one for one in workers if one.id == sought.id or text in one.name.lower()][:MOST]
