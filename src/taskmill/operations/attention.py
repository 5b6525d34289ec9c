"""What needs attention: reads the state of the service, and has the rules decide. Every view shows this.

Who may see some queues only gets what concerns these. What one reader has read, others get for a moment as well.
Operators acknowledge notices, or silence them; a service of the API records which there are.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final
from uuid import UUID

from taskmill.domain.attention import (
    MORE,
    Attention,
    MarkState,
    Notice,
    NoticeRecord,
    conclude,
    with_records,
)
from taskmill.domain.attention_rules import LATE, RECENTLY, find_notices
from taskmill.domain.attention_snapshot import (
    AttentionSnapshot,
    FailedTasks,
    FailingWebhook,
    RefusedMessages,
    ReturnedKind,
    ScheduleState,
)
from taskmill.domain.audit import Actor, AuditAction, Target, TargetType
from taskmill.domain.errors import NoticeNotFound
from taskmill.domain.grants import Scope
from taskmill.domain.system import Liveness
from taskmill.operations import workers
from taskmill.operations.audit import AuditLog, current_origin
from taskmill.operations.authorisation import missing
from taskmill.operations.broker import BrokerWatch
from taskmill.operations.figures import FiguresCache
from taskmill.operations.troubled_schedules import troubled_schedules
from taskmill.operations.visibility import current_visibility, visible_queues
from taskmill.operations.writability import Writability
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.ttl_cache import TtlCache
from taskmill.storage import attention as rows, notices, processes, unserved_types
from taskmill.storage.database import Database

MAX_AGE_S: Final = 1.0
SLOW_MAX_AGE_S: Final = 5.0
"""How old may be what changes slowly: messages that were refused, kinds of errors, webhooks, schedules."""

_OLDEST_S: Final = 90.0
"""How old may be what a page shows until it is read again; it is recorded once a minute."""

SILENCE: Final = timedelta(hours=1)
"""For how long a notice is silenced."""

_YIELD_S: Final = 0.2
_USUAL_MAX_AGE_S: Final = 60.0
_PAUSE_RATIO: Final = 9
_MOST_LATEST: Final = 64
_ACTIONS: Final[Mapping[MarkState | None, AuditAction]] = {
    MarkState.ACKNOWLEDGED: AuditAction.NOTICE_ACKNOWLEDGE,
    MarkState.SILENCED: AuditAction.NOTICE_SILENCE,
    None: AuditAction.NOTICE_REOPEN,
}

_Visible = frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slow:
    """What changes slowly."""

    new_errors: list[FailedTasks]
    returned_kinds: list[ReturnedKind]
    lost_tasks: list[FailedTasks]
    refused: list[RefusedMessages]
    webhooks: list[FailingWebhook]
    schedules: list[ScheduleState]
    pulled: frozenset[str]


class AttentionReading:
    """Reads what needs attention in this context, and marks it.

    Where `refresher` runs, `recent` waits for no reading.
    """

    def __init__(
        self,
        database: Database,
        broker: BrokerWatch,
        figures: FiguresCache,
        audit: AuditLog,
        writability: Writability | None = None,
        *,
        max_age_s: float = MAX_AGE_S,
        slow_max_age_s: float = SLOW_MAX_AGE_S,
    ) -> None:
        self._database = database
        self._broker = broker
        self._figures = figures
        self._audit = audit
        self._writability = writability
        self._max_age_s = max_age_s
        self._slow_max_age_s = slow_max_age_s
        self._took_s = 0.0
        self._latest: dict[_Visible, tuple[float, Attention | None]] = {}
        self._cache: TtlCache[Attention] = TtlCache()
        self._slow: TtlCache[_Slow] = TtlCache()
        self._usual: TtlCache[Mapping[rows.Pair, tuple[int, int]]] = TtlCache()
        self.refresher = Periodic(
            "refresh-attention",
            self._refresh,
            interval_s=max_age_s or MAX_AGE_S,
            pause_s=self._paced_s,
            on_demand=True,
        )

    async def read(self) -> Attention:
        """Return what needs attention, at most a second old unless reading is slow. Raises `Unavailable`."""
        visible = await visible_queues(self._database)
        ttl_s = self._paced_s(self._max_age_s)
        return await self._cache.get(visible, lambda: self._read(visible), ttl_s=ttl_s)

    async def recent(self, *, max_age_s: float | None = None) -> Attention | None:
        """Return what needed attention some seconds ago, without reading it again if possible.

        What is of the whole service may be a minute old; when it is older than `max_age_s`, by default some
        seconds, it is being read again, for the next caller. None if reading it has just failed, or its caller did
        not wait for it: so it is not tried for every caller.
        """
        visible = await visible_queues(self._database)
        at_s, attention = self._latest.get(visible, (-inf, None))
        age_s = asyncio.get_running_loop().time() - at_s
        wanted_s = self._slow_max_age_s if max_age_s is None else min(max_age_s, self._max_age_s)
        if age_s <= self._paced_s(wanted_s):
            return attention
        if visible is not None or not wanted_s or age_s > _OLDEST_S:
            return await self.read()
        # The page that wants it reads something, too, and somebody waits for that.
        asyncio.get_running_loop().call_later(_YIELD_S, self.refresher.wake)
        return attention

    async def _refresh(self) -> None:
        await self.read()

    def _paced_s(self, max_age_s: float) -> float:
        """Return for how long a result counts: so that at most a tenth of the time is spent on reading."""
        return max(max_age_s, _PAUSE_RATIO * self._took_s) if max_age_s else 0.0

    async def mark(
        self, notice_id: UUID, state: MarkState | None, *, note: str | None = None
    ) -> Notice:
        """Acknowledge a notice until it ends, silence it for an hour, or (None) undo that; return it.

        Raises:
            NoticeNotFound: There is none with this id now, or it stands for others.
            ScopeMissing: It is about more than the queues that this context may change.
        """
        notice = await self._find(notice_id)
        if notice.queue is None and current_visibility() is not None:
            raise missing(Scope.TASKS_OPERATE, None)
        details = {"kind": notice.kind, "subject": notice.subject, "note": note}
        target = Target(TargetType.NOTICE, str(notice_id))
        async with self._audit.record(_ACTIONS[state], target, details=details):
            await notices.mark(
                self._database,
                notice,
                state,
                by=_name_of(current_origin().actor),
                lasts=SILENCE if state is MarkState.SILENCED else None,
                note=note,
            )
        # What is being read now may not have the mark.
        self._cache, self._latest = TtlCache(), {}
        return await self._find(notice_id)

    async def _find(self, notice_id: UUID) -> Notice:
        """Return a notice, also one that is not shown as there are many of its kind."""
        _, found, stored = await self._found(await visible_queues(self._database))
        for one in with_records(found, stored.notices):
            if one.id == notice_id:
                return one
        raise NoticeNotFound(notice_id)

    async def record(self) -> None:
        """Record which notices there are, so that it is known since when.

        Of a kind they are those that are shown one by one, and all that have a mark, or these would lose it.
        """
        now, latest = asyncio.get_running_loop().time, self._latest
        at, found, stored = await self._found(None)
        marked = [one for one in with_records(found, stored.notices) if one.mark]
        attention = conclude(at, found, stored.notices, stored.well_since)
        latest[None] = now(), attention
        there = {one.id: one for one in [*attention.notices, *marked] if one.case != MORE}
        await notices.record(self._database, there.values())

    async def _read(self, visible: _Visible) -> Attention:
        now = asyncio.get_running_loop().time
        began_s, latest, attention = now(), self._latest, None
        try:
            attention = await self._concluded(visible)
        finally:
            self._took_s = now() - began_s
            if len(latest) >= _MOST_LATEST:
                latest.clear()
            latest[visible] = now(), attention
        return attention

    async def _concluded(self, visible: _Visible) -> Attention:
        at, found, stored = await self._found(visible)
        return conclude(at, found, stored.notices, stored.well_since)

    async def _found(self, visible: _Visible) -> tuple[datetime, list[Notice], notices.Records]:
        """Return when it was, what was found, and what is stored of it."""
        snapshot = await self._snapshot(visible)
        found = find_notices(snapshot)
        stored = await notices.records(self._database, [one.id for one in found])
        if visible is not None:
            stored = notices.Records(_for_some(found, stored.notices), None)
        return snapshot.at, found, stored

    async def _snapshot(self, visible: _Visible) -> AttentionSnapshot:
        database, names = self._database, None if visible is None else sorted(visible)
        now: datetime = await database.fetch_value("clock_now")
        usual = await self._usual.get(
            visible,
            lambda: rows.usual_ends(database, names, RECENTLY),
            ttl_s=min(_USUAL_MAX_AGE_S, 12 * self._slow_max_age_s),
        )
        flows = await rows.flows(database, names, RECENTLY, usual)
        queues = await rows.loads(database, names, flows)
        slow = await self._slow.get(
            visible, lambda: self._read_slow(names, now), ttl_s=self._slow_max_age_s
        )
        found = await workers.list_workers(database)
        return AttentionSnapshot(
            at=now,
            is_whole=visible is None,
            broker=self._broker.state(),
            queues=queues,
            due=await rows.due(
                database, [one.name for one in queues if one.paused_at is None], since=now - LATE
            ),
            workers=[one for one in found if one.state is not Liveness.CLOSED],
            pulled=slow.pulled,
            lost_workers=await workers.lost_workers(database),
            ends=flows.ends,
            new_errors=slow.new_errors,
            returned_kinds=slow.returned_kinds,
            lost_tasks=slow.lost_tasks,
            refused=slow.refused,
            webhooks=slow.webhooks,
            schedules=slow.schedules,
            processes=await processes.all_processes(database) if visible is None else [],
            unwritable=await self._writability.trouble() if self._writability else None,
            figures=await self._figures.get() if visible is None else None,
        )

    async def _read_slow(self, names: rows.Visible, now: datetime) -> _Slow:
        database = self._database
        return _Slow(
            new_errors=await rows.new_errors(database, names),
            returned_kinds=await rows.returned_kinds(database, names),
            lost_tasks=await rows.exhausted_losses(database, names),
            refused=await rows.refusals(database, names, now),
            webhooks=await rows.failing_webhooks(database) if names is None else [],
            schedules=await troubled_schedules(database, names),
            pulled=await unserved_types.pulled(database),
        )


def _for_some(
    found: Iterable[Notice], records: Mapping[UUID, NoticeRecord]
) -> dict[UUID, NoticeRecord]:
    """Return what is stored without notes about more than one queue: they may name others than may be seen."""
    own = {one.id for one in found if one.queue is not None}
    return {
        notice_id: record if notice_id in own else record.without_note()
        for notice_id, record in records.items()
    }


def _name_of(actor: Actor) -> str:
    return actor.name or actor.address or actor.kind
