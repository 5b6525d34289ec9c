"""Compares the responses that clients got and the effects of handlers with the final state of the database.

Each violation begins with the name of the invariant that is broken.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from taskmill.domain.checks import Finding
from taskmill.operations.verify import Extent, verify
from taskmill.settings import DatabaseSettings
from tests.chaos.history import EntryPoint, History, Operation, Result
from tests.support.role_database import RoleDatabase
from tests.support.safety import unsafe

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = Mapping[str, Any]

# Tasks that are created after the faults, to check that everything works.
PROBES = ("probe-posted", "probe-published")
# What the tasks of schedules are named.
TICK = "tick"
# The clocks of the API and of PostgreSQL agree to about half the time of a round trip.
_CLOCKS_AGREE_S = 0.1
# A worker holds its lease alone; rescue ends what others have claimed.
_STEPS_OF_OTHERS = """
SELECT h.task_id, h.event, h.worker, l.worker AS holder
FROM taskmill.task_history AS h
JOIN taskmill.lease AS l ON l.id = h.lease_id
WHERE h.worker <> l.worker AND h.worker NOT LIKE 'rescue@%'
"""


class _Violations:
    """Collects what `verify` finds."""

    def __init__(self) -> None:
        self.violations: list[str] = []

    def started(self, tasks: int | None) -> None:
        """Do nothing."""

    def checked(self, tasks: int) -> None:
        """Do nothing."""

    def found(self, finding: Finding) -> None:
        """Collect a finding, unless it is only a warning."""
        if not finding.check.is_warning:
            self.violations.append(f"verify: {finding}")


async def found_by_verify(url: str) -> list[str]:
    """Return what `taskmill verify` finds."""
    database, found = RoleDatabase(url, DatabaseSettings()), _Violations()
    extent = Extent(since=None, timeout_s=60, keep_changes=timedelta(days=7))
    try:
        verification = await verify(database, extent, found)
    finally:
        await database.close()
    return [*found.violations, *(f"unverified: {what}" for what in verification.unchecked)]


async def findings(sql: Sql, history: History, effects: Path) -> list[str]:
    """Return everything that is wrong once the site has settled."""
    tasks = await sql.fetch("SELECT id::text AS id, name FROM taskmill.task")
    events = await sql.fetch(
        "SELECT task_id::text AS id, event, claim_no FROM taskmill.task_history ORDER BY task_id, version"
    )
    rejections = Counter(
        row["message_id"] for row in await sql.fetch("SELECT message_id FROM taskmill.rejection")
    )
    by_name: dict[str, list[Row]] = defaultdict(list)
    for task in map(dict, tasks):
        by_name[task["name"]].append(task)
    happened: dict[str, list[Row]] = defaultdict(list)
    for event in map(dict, events):
        happened[event["id"]].append(event)
    did = _read(effects)
    return [
        *history.violations,
        *(f"unsafe: {problem}" for problem in await unsafe(sql)),
        *(
            "not_its_lease: {task_id}: {event} by {worker} under a lease of {holder}".format(**step)
            for step in await sql.fetch(_STEPS_OF_OTHERS)
        ),
        *_of_operations(history, by_name, rejections),
        *_of_strangers(history, by_name),
        *_of_cancels(history, happened),
        *_of_retries(history, happened),
        *_of_effects(happened, did),
        *_of_delays(history, by_name, did),
    ]


def _of_operations(
    history: History, by_name: Mapping[str, list[Row]], rejections: Mapping[str, int]
) -> Iterable[str]:
    for operation in history.operations:
        made = [task for name in operation.names for task in by_name.get(name, ())]
        yield from _of_operation(operation, made)
        if operation.entry_point is EntryPoint.MESSAGE:
            yield from _of_message(operation, made, rejections.get(str(operation.key), 0), history)


def _of_operation(operation: Operation, made: list[Row]) -> Iterable[str]:
    if len(made) > len(operation.names):
        yield f"doubled: {operation.names} became {[task['id'] for task in made]}"
    if operation.is_bad and made:
        yield f"bad_accepted: {operation.names} became {[task['id'] for task in made]}"
    if operation.result is Result.FAIL and made:
        yield f"refused_and_made: {operation.names} became {[task['id'] for task in made]}"
    if missing := set(operation.ids) - {task["id"] for task in made}:
        yield f"lost: {operation.names} was accepted as {sorted(missing)}"
    if operation.entry_point is EntryPoint.BATCH and len(made) not in {0, len(operation.names)}:
        yield f"torn: {len(made)} of {len(operation.names)} tasks of one batch"


def _of_message(
    operation: Operation, made: list[Row], rejected: int, history: History
) -> Iterable[str]:
    """A message that was confirmed, and was not lost when the broker was wiped, is a task or a rejection."""
    if (
        operation.result is not Result.OK
        or (operation.confirmed_at or 0) <= history.broker_wiped_at
    ):
        return
    if operation.is_bad or operation.conflicts:
        if rejected != 1:
            yield f"message_unaccounted: {operation.key} is bad, and is {rejected} rejections"
    elif rejected:
        yield f"message_rejected: {operation.key} is good, and is {rejected} rejections"
    if not operation.is_bad and len(made) != 1:
        yield f"message_lost: {operation.key} is {len(made)} tasks"


def _of_strangers(history: History, by_name: Mapping[str, list[Row]]) -> Iterable[str]:
    known = {*PROBES, TICK, *(name for operation in history.operations for name in operation.names)}
    for name in by_name.keys() - known:
        yield f"stranger: nobody sent a task named {name}"


def _of_cancels(history: History, happened: Mapping[str, list[Row]]) -> Iterable[str]:
    for task_id in history.cancelled:
        if not any(event["event"] == "cancelled" for event in happened[task_id]):
            yield f"cancel_forgotten: {task_id} was reported as cancelled"


def _of_retries(history: History, happened: Mapping[str, list[Row]]) -> Iterable[str]:
    """A task starts a new run for each confirmed request, and never without a request."""
    for task_id, events in happened.items():
        runs = sum(event["event"] == "run_again" for event in events)
        sent, confirmed = history.retries_sent[task_id], history.retries_confirmed[task_id]
        if runs > sent:
            yield f"ran_again_unasked: {task_id} began {runs} new runs, {sent} were requested"
        if runs < confirmed:
            yield f"retry_forgotten: {task_id} began {runs} new runs, {confirmed} were confirmed"


def _of_delays(
    history: History, by_name: Mapping[str, list[Row]], effects: Iterable[Row]
) -> Iterable[str]:
    """Nothing runs before its time, unless an operator requested a new run."""
    began_at: dict[str, float] = {}
    for effect in effects:
        began_at.setdefault(effect["task"], effect["at"])
    for name, due_at in history.due_at.items():
        for task_id in (task["id"] for task in by_name.get(name, ())):
            early_s = due_at - began_at.get(task_id, due_at)
            if early_s > _CLOCKS_AGREE_S and not history.retries_sent[task_id]:
                yield f"ran_early: {task_id} ran {early_s:.3f} s before its time"


def _of_effects(happened: Mapping[str, list[Row]], effects: Iterable[Row]) -> Iterable[str]:
    begun: Counter[tuple[str, int]] = Counter()
    ended: set[tuple[str, int]] = set()
    for effect in effects:
        claim = (effect["task"], effect["claim_no"])
        if effect["what"] == "begin":
            begun[claim] += 1
        else:
            ended.add(claim)
    for claim, times in begun.items():
        if times > 1:
            yield f"claim_ran_twice: {claim} ran {times} times"
    claims = {
        (event["id"], event["claim_no"])
        for events in happened.values()
        for event in events
        if event["event"] == "claimed"
    }
    for claim in begun.keys() - claims:
        yield f"ran_unclaimed: {claim} has no claim in the history"
    for event in (event for events in happened.values() for event in events):
        if event["event"] == "succeeded" and (event["id"], event["claim_no"]) not in ended:
            yield f"succeeded_unrun: {event['id']} claim {event['claim_no']} never ran to its end"


def _read(effects: Path) -> list[Row]:
    if not effects.exists():
        return []
    return [json.loads(line) for line in effects.read_text().splitlines()]
