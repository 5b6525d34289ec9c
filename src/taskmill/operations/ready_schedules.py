"""Reads locked schedules, so that they can fire: their specs, and the task that each makes now.

One that can't be read, or that must wait for its queue to be made, keeps no other one; nor does one whose task is
refused.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import ScheduleContent, StoredSchedule
from taskmill.domain.quotas import Owner
from taskmill.domain.schedules.spec import ScheduleSpec, TickPolicy
from taskmill.domain.task import TaskDraft
from taskmill.observability.logs import get_logger
from taskmill.operations.contracts import Contracts
from taskmill.operations.create import TaskCreation
from taskmill.storage.tasks import NewTask
from taskmill.wire.problems import problem_json
from taskmill.wire.rules import InputLimits
from taskmill.wire.stored_schedules import read_spec, task_draft

log = get_logger(__name__)

# Making a queue may wait for others; schedules whose queues are known don't.
_NAMES_TIMEOUT_S: Final = 1.0


class ReadySchedule(NamedTuple):
    """A locked schedule that can be read, and whether its latest task has not ended, if that matters.

    `problem` is why it can make no task, in JSON; else `draft` is one.
    """

    schedule: StoredSchedule
    spec: ScheduleSpec
    policy: TickPolicy
    draft: TaskDraft | None
    problem: str | None = None
    is_busy: bool = False

    def refused(self, error: Exception) -> "ReadySchedule":
        """Return the same, which makes no task for this reason."""
        return self._replace(draft=None, problem=problem_of(error))


class ScheduleReading:
    """Reads schedules. `limits` are those of requests to create tasks, with the contracts in force."""

    def __init__(self, creation: TaskCreation, contracts: Contracts, limits: InputLimits) -> None:
        self._creation = creation
        self._contracts = contracts
        self._limits = limits

    async def read(self, locked: Sequence[StoredSchedule]) -> list[ReadySchedule]:
        """Return those that are ready, in order: the others have to be left for later."""
        size = sum(len(one.content.task) for one in locked)
        read = await self._contracts.offload.run_if_large(size, partial(self._read_all, locked))
        drafts = {
            one.schedule.id: one.draft
            for one in read
            if one.draft is not None and not self._knows(one.draft)
        }
        if not drafts:
            return read
        probes = dict(zip(drafts, self._creation.with_ids(drafts.values()), strict=True))
        refused, waiting = await self._refused(probes.values())
        ready = []
        for one in read:
            probe = probes.get(one.schedule.id)
            if probe is not None and probe.id in waiting:
                continue
            error = None if probe is None else refused.get(probe.id)
            ready.append(one if error is None else one.refused(error))
        return ready

    async def check(self, name: str, content: ScheduleContent) -> TaskDraft:
        """Return the task that a schedule would make now, for which its queue is made.

        Raises:
            InvalidInput: it is not allowed.
            QueueLimitReached, UnservedTypeLimitReached, QuotaExceeded: so its queue or type can't be used.
        """
        draft = await self.draft(name, content)
        [probe] = self._creation.with_ids((draft,))
        for error in (await self._creation.refused((probe,))).values():
            if isinstance(error, Exception):
                raise error
        return draft

    async def draft(self, name: str, content: ScheduleContent) -> TaskDraft:
        """Return the task that a schedule would make now. Raises `InvalidInput`."""
        read = partial(self._draft, name, content)
        return await self._contracts.offload.run_if_large(len(content.task), read)

    def _draft(self, name: str, content: ScheduleContent) -> TaskDraft:
        draft = task_draft(name, content.task, content.queue, self._limits)
        if content.owner is not None:
            draft.owner = Owner(content.owner, content.owner_quotas)
        return draft

    def _read_all(self, locked: Sequence[StoredSchedule]) -> list[ReadySchedule]:
        found = []
        for schedule in locked:
            try:
                found.append(self._read(schedule))
            except Exception as error:  # noqa: BLE001 - one that can't be read must keep no other one
                report_unreadable(schedule, error)
        return found

    def _read(self, schedule: StoredSchedule) -> ReadySchedule:
        spec, policy = read_spec(schedule.content.spec)
        draft, problem = None, None
        try:
            draft = self._draft(schedule.name, schedule.content)
            draft.run_at = schedule.moment
        except InvalidInput as error:
            problem = problem_of(error)
        return ReadySchedule(
            schedule=schedule, spec=spec, policy=policy, draft=draft, problem=problem
        )

    def _knows(self, draft: TaskDraft) -> bool:
        """Return whether nothing speaks against a task: its names are known, and no quota counts it."""
        return self._knows_names(draft) and self._creation.waiting.share_of(draft) is None

    def _knows_names(self, draft: TaskDraft) -> bool:
        creation = self._creation
        return creation.queues.has((draft.queue,)) and creation.types.has((draft.type,))

    async def _refused(
        self, new: Collection[NewTask]
    ) -> tuple[Mapping[UUID, Exception], set[UUID]]:
        """Return why tasks can't be stored, by their ids, and which of them have to wait to know that.

        Their queue or type may be over a limit. Those whose names are known don't wait for a queue to be made.
        """
        try:
            async with asyncio.timeout(_NAMES_TIMEOUT_S):
                found = await self._creation.refused(list(new))
        except TimeoutError:
            named = [one for one in new if self._knows_names(one.draft)]
            ids = {one.id for one in new}
            if len(named) in {0, len(ids)}:
                return {}, ids
            refused, waiting = await self._refused(named)
            return refused, waiting | (ids - {one.id for one in named})
        return {key: error for key, error in found.items() if isinstance(error, Exception)}, set()


def report_unreadable(schedule: StoredSchedule, error: BaseException) -> None:
    """Log that a schedule can't fire for now."""
    log.error("schedule.unreadable", schedule=schedule.name, error=repr(error))


def problem_of(error: Exception) -> str:
    """Return an error as its problem in JSON."""
    return problem_json(error)[2].decode()
