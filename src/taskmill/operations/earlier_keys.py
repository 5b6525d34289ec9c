"""Idempotency keys from before API keys were required: they belong to an entry point, and still stand for tasks.

A key that is new in the scope of its API key is looked for in that of the entry point, until the last one there
has expired. Only the same request, or message, finds a task, and only if its API key may read the queue that it
names: it was not necessarily the one who created it. Everything else is as if there were none.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.storage import tasks
from taskmill.storage.database import Database
from taskmill.storage.tasks import NewTask

REFRESH_S: Final = 60.0
"""How often to look whether any are left; until the first look, they may be."""

_ENTRY_POINTS: Final = ("rest", "amqp")


class EarlierKeys:
    """Finds the tasks that these keys stand for; while none is left, it costs nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._left = frozenset(_ENTRY_POINTS)

    async def refresh(self) -> None:
        """Find out whether any are left: another API process may require no keys yet. Raises `Unavailable`."""
        self._left = frozenset(
            [one for one in _ENTRY_POINTS if await self._database.fetch("find_any_key", one)]
        )

    def may_have(self, draft: TaskDraft) -> bool:
        """Return whether a task may exist already, by a key that was used before."""
        key = draft.idempotency
        return key is not None and key.may_be_earlier and draft.source in self._left

    async def find(self, new: Sequence[NewTask]) -> dict[UUID, CreatedTask]:
        """Return the tasks that exist already, by the ids that they would have now.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.hot() as connection:
            held = await tasks.find_earlier_keys(connection, new)
            stored = await tasks.get_with(connection, set(held.values())) if held else {}
            if stored:
                await tasks.wait_for_standby(connection)
        queues = {one.id: one.draft.queue for one in new}
        return {
            new_id: CreatedTask(task=task, replayed=True)
            for new_id, task_id in held.items()
            if (task := stored.get(task_id)) is not None and task.queue == queues[new_id]
        }
