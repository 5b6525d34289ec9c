"""Verify: checks the rows and the history of a database against all rules, while it is in use.

Tasks are read in parts, each in one short snapshot, so that row, history, `dispatch` and lease belong together;
tasks that are created meanwhile may be left out. Checks that read whole tables have a time limit, and are reported
as unchecked when it is reached. It writes nothing.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import starmap
from typing import Final, Protocol, TypeVar
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.checks import Check, Finding
from taskmill.domain.errors import ConfigurationError, Unavailable
from taskmill.domain.history import CheckedTask, HistoryEntry
from taskmill.domain.replay import Replay
from taskmill.domain.row_checks import WARN_AFTER_S, dispatch_faults, lease_faults, running_faults
from taskmill.operations import findings
from taskmill.operations.system import check_schema
from taskmill.operations.verify_schedules import schedule_findings
from taskmill.storage import counts, faults, verification
from taskmill.storage.database import Database
from taskmill.storage.verification import BucketKey, FeedDifference, Snapshot

Different = TypeVar("Different")

_TASKS_AT_ONCE = 2_000
_ROWS_AT_ONCE = 5_000
# The first task of each is read: 12 to 60 ms for all on a busy machine (2026-11-28).
_BUCKETS_AT_ONCE = 1_000
# The feed is read again for every range: so few, large ranges, but none that takes seconds to sort.
_CHANGES_IN_RANGE = 250_000
# More than anybody reads, and few enough for memory when a whole table is missing.
_MOST_DIFFERENCES = 100_000
_FIRST = UUID(int=0)
_LAST = UUID(int=2**128 - 1)
_DAY = timedelta(days=1)
# Times of creation are those of the processes, whose clocks are set by PostgreSQL's.
_CLOCKS_DIFFER = timedelta(seconds=1)
KEEP_FIRES: Final = timedelta(days=90)
"""How long what became of ticks is kept unless set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What to verify.

    With `since`, only tasks that were created within that time, and what belongs to them; the counters have no
    time and are left out. With `as_of`, the moment to which the database was restored, nothing may be later, and
    ages are counted until then. Whole tables are read for up to `timeout_s` seconds each; the feed of changes is
    kept for `keep_changes`, and what became of schedules' ticks for `keep_fires`.
    """

    since: timedelta | None
    timeout_s: float
    keep_changes: timedelta
    keep_fires: timedelta = KEEP_FIRES
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, how often each check found something, and what was not checked.

    There was no time for what is `unchecked`; with `broken_off`, an error ended it early.
    """

    tasks: int
    entries: int
    counts: Mapping[Check, int]
    unchecked: Sequence[str]
    broken_off: str | None = None

    @property
    def violations(self) -> int:
        """How many findings break a promise."""
        return sum(count for check, count in self.counts.items() if not check.is_warning)


class VerificationListener(Protocol):
    """Is notified while a verification runs."""

    def started(self, tasks: int | None) -> None:
        """About so many tasks will be checked; None when that is unknown."""

    def checked(self, tasks: int) -> None:
        """So many more tasks were checked."""

    def found(self, finding: Finding) -> None:
        """A check found something."""


async def verify(
    database: Database, extent: Extent, listener: VerificationListener
) -> Verification:
    """Check all that is stored, and report each finding at once.

    An error after the first statement breaks it off: the database is away, or reading a part of some thousand
    tasks takes too long.

    Raises:
        ConfigurationError: the database has another schema, or can't be read.
        Unavailable: the database is away.
    """
    try:
        await check_schema(database)
    except asyncpg.PostgresError as error:
        raise ConfigurationError(f"the database can't be verified: {error}") from error
    return await _Verifier(database, extent, listener).run()


class _Verifier:
    """One verification, and its counts."""

    def __init__(self, database: Database, extent: Extent, listener: VerificationListener) -> None:
        self._database = database
        self._extent = extent
        self._listener = listener
        self._counts: Counter[Check] = Counter()
        self._tasks = 0
        self._entries = 0
        self._unchecked: dict[str, None] = {}

    async def run(self) -> Verification:
        broken_off = None
        try:
            since = self._extent.since
            self._listener.started(None if since else await _count_tasks(self._database))
            await self._check_all()
        except (Unavailable, asyncpg.PostgresError) as error:
            broken_off = str(error)
        return Verification(
            tasks=self._tasks,
            entries=self._entries,
            counts=self._counts,
            unchecked=tuple(self._unchecked),
            broken_off=broken_off,
        )

    async def _check_all(self) -> None:
        after = await self._start()
        await self._check_tasks(after, await verification.last_id(self._database) or _FIRST)
        await self._check_keys(after)
        await self._check_rejections(after)
        await self._check_positions()
        if self._extent.since is None:
            await self._check_counters()
        await self._check_schedules()
        await self._check_liveness()

    async def _start(self) -> UUID:
        """Return the id after which the verification starts."""
        if self._extent.since is None:
            return _FIRST
        now = self._extent.as_of or await self._database.fetch_value("clock_now")
        since = min(self._extent.since, now - identity.created_at(_FIRST))
        return UUID(int=max(identity.lower_bound(now - since).int - 1, 0))

    async def _check_tasks(self, after: UUID, upto: UUID) -> None:
        async with self._snapshot() as snapshot:
            fed_from = await self._feed_start(snapshot)
        range_after, changes = after, 0
        while after < upto:
            async with self._snapshot() as snapshot:
                part = await snapshot.tasks(after, upto, _TASKS_AT_ONCE)
                last = part[-1].row.id if len(part) == _TASKS_AT_ONCE else upto
                found, more = await self._check_part(snapshot, part, (after, last), fed_from)
            # Only now: the listener may be slow, and a snapshot must be short.
            self._report(found)
            changes += more
            self._tasks += len(part)
            self._listener.checked(len(part))
            after = last
            if changes >= _CHANGES_IN_RANGE:
                await self._check_feed(range_after, after)
                range_after, changes = after, 0
        # Also tasks that came meanwhile, and those that only the feed still has.
        await self._check_feed(range_after, _LAST)

    async def _check_part(
        self,
        snapshot: Snapshot,
        part: Sequence[CheckedTask],
        ids: tuple[UUID, UUID],
        fed_from: datetime,
    ) -> tuple[list[Finding], int]:
        """Compare some tasks with all that belongs to them; also return how many changes the feed must have."""
        replays = {task.row.id: Replay(task.row) for task in part}
        found, changes = await self._replay(snapshot, replays, ids, fed_from)
        for task in part:
            replay = replays[task.row.id]
            replay.close()
            found += [
                *replay.findings,
                *dispatch_faults(task),
                *running_faults(task),
                *lease_faults(task),
            ]
        found += map(findings.stray_row, await snapshot.stray_rows(*ids))
        return found, changes

    async def _replay(
        self,
        snapshot: Snapshot,
        replays: Mapping[UUID, Replay],
        ids: tuple[UUID, UUID],
        fed_from: datetime,
    ) -> tuple[list[Finding], int]:
        found: list[Finding] = []
        changes, stray = 0, None
        async for entries in snapshot.entries(*ids):
            self._entries += len(entries)
            for entry in entries:
                changes += entry.at >= fed_from
                if self._is_later(entry):
                    found.append(findings.after_moment(entry))
                replay = replays.get(entry.task_id)
                if replay is not None:
                    replay.add(entry)
                elif entry.task_id != stray:
                    stray = entry.task_id
                    found.append(findings.stray_history(stray))
        return found, changes

    async def _check_feed(self, after: UUID, upto: UUID) -> None:
        async def differences(snapshot: Snapshot) -> list[FeedDifference]:
            start = await self._feed_start(snapshot)
            return await snapshot.feed_differences(after, upto, start, _MOST_DIFFERENCES)

        found = await self._with_time_limit("the feed of changes", differences)
        if len(found) == _MOST_DIFFERENCES:
            self._unchecked["more of the feed of changes"] = None
        self._report(map(findings.feed_difference, found))

    async def _check_keys(self, after: UUID) -> None:
        cursor = ("", "")
        while True:
            async with self._snapshot() as snapshot:
                keys = await snapshot.keys(cursor, _ROWS_AT_ONCE)
                pruned_before = await snapshot.pruned_before()
            for key in keys:
                if key.task_id > after:
                    self._report(findings.key_faults(key, pruned_before))
            if len(keys) < _ROWS_AT_ONCE:
                break
            cursor = (keys[-1].scope, keys[-1].key)
        shared = await self._with_time_limit(
            "keys that share a task", lambda it: it.shared_keys(after)
        )
        self._report(starmap(findings.shared_key, shared))

    async def _check_rejections(self, after: UUID) -> None:
        while True:
            async with self._snapshot() as snapshot:
                rejections = await snapshot.rejections(after, _ROWS_AT_ONCE)
                weeks = await snapshot.weeks()
                pruned_before = await snapshot.pruned_before()
            for rejection in rejections:
                self._report(findings.resend_faults(rejection, weeks, pruned_before))
            if len(rejections) < _ROWS_AT_ONCE:
                break
            after = rejections[-1].id

    async def _check_positions(self) -> None:
        last: int | None = 0
        checked_from = -1
        while last is not None and last != checked_from:
            checked_from = last
            async with self._snapshot() as snapshot:
                start = await self._feed_start(snapshot)
                last, holes = await snapshot.position_holes(last, _ROWS_AT_ONCE, start)
            self._report(map(findings.position_hole, holes))

    async def _check_counters(self) -> None:
        differences = await self._with_time_limit("the counters", Snapshot.count_differences)
        self._report(map(findings.counter_drift, differences))

    async def _check_schedules(self) -> None:
        extent = self._extent
        read = partial(schedule_findings, keep_fires=extent.keep_fires, since=extent.since)
        self._report(await self._with_time_limit("the ticks of schedules", read))

    async def _check_liveness(self) -> None:
        async with self._snapshot() as snapshot:
            batches, waited_s = await snapshot.unnumbered()
        if waited_s > WARN_AFTER_S:
            self._report([findings.unnumbered(batches, waited_s)])
        cursor: BucketKey | None = BucketKey()
        while cursor is not None:
            async with self._snapshot() as snapshot:
                buckets, cursor = await snapshot.overdue(WARN_AFTER_S, cursor, _BUCKETS_AT_ONCE)
            self._report(map(findings.overdue, buckets))

    async def _feed_start(self, snapshot: Snapshot) -> datetime:
        return await snapshot.feed_start(self._extent.keep_changes / _DAY)

    async def _with_time_limit(
        self, what: str, read: Callable[[Snapshot], Awaitable[list[Different]]]
    ) -> list[Different]:
        """Read whole tables; when the time for it is up, `what` is left unchecked from then on."""
        if what in self._unchecked:
            return []
        timeout_s = self._extent.timeout_s
        try:
            async with verification.slow_snapshot(
                self._database, timeout_s=timeout_s, as_of=self._extent.as_of
            ) as snapshot:
                return await read(snapshot)
        except Unavailable as error:
            if not faults.is_time_up(error.__cause__):
                raise
        self._unchecked[what] = None
        return []

    def _snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return verification.snapshot(self._database, as_of=self._extent.as_of)

    def _is_later(self, entry: HistoryEntry) -> bool:
        as_of = self._extent.as_of
        return as_of is not None and entry.at > as_of + _CLOCKS_DIFFER

    def _report(self, found: Iterable[Finding]) -> None:
        for finding in found:
            self._counts[finding.check] += 1
            self._listener.found(finding)


async def _count_tasks(database: Database) -> int:
    return sum(sum(by_status.values()) for by_status in (await counts.by_queue(database)).values())
