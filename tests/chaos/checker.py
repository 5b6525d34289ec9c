"""Compares what clients were told and what handlers did with what the database has in the end.

Each finding begins with the name of the invariant that it breaks.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from taskmill.domain.audit import Finding
from taskmill.operations.verify import Extent, verify
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from tests.chaos.history import Deed, Door, History, Told
from tests.support.safety import unsafe

Sql: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = Mapping[str, Any]

# Tasks that are made after the harm, to see that all is well.
PROBES = ("probe-posted", "probe-published")
# The clocks of the API and of PostgreSQL agree to about half the time that an answer takes.
_CLOCKS_AGREE_S = 0.1


class _Audited:
    """Keeps what an audit finds."""

    def __init__(self) -> None:
        self.wrongs: list[str] = []

    def started(self, tasks: int | None) -> None:
        """Nobody waits for this one."""

    def checked(self, tasks: int) -> None:
        """See above."""

    def found(self, finding: Finding) -> None:
        """Keep it, unless it is only a warning."""
        if not finding.check.is_warning:
            self.wrongs.append(f"verify: {finding}")


async def audited(url: str) -> list[str]:
    """Return what `taskmill verify` finds."""
    database, audited = Database(url, DatabaseSettings()), _Audited()
    extent = Extent(since=None, timeout_s=60, keep_changes=timedelta(days=7))
    try:
        audit = await verify(database, extent, audited)
    finally:
        await database.close()
    return [*audited.wrongs, *(f"unverified: {what}" for what in audit.unchecked)]


async def findings(sql: Sql, history: History, effects: Path) -> list[str]:
    """Return everything that is wrong once the site has settled."""
    tasks = await sql.fetch("SELECT id::text AS id, name FROM taskmill.task")
    events = await sql.fetch(
        "SELECT task_id::text AS id, happening, claim_no FROM taskmill.task_event ORDER BY task_id, version"
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
        *history.wrongs,
        *(f"unsafe: {problem}" for problem in await unsafe(sql)),
        *_of_deeds(history, by_name, rejections),
        *_of_strangers(history, by_name),
        *_of_cancels(history, happened),
        *_of_retries(history, happened),
        *_of_effects(happened, did),
        *_of_delays(history, by_name, did),
    ]


def _of_deeds(
    history: History, by_name: Mapping[str, list[Row]], rejections: Mapping[str, int]
) -> Iterable[str]:
    for deed in history.deeds:
        made = [task for name in deed.names for task in by_name.get(name, ())]
        yield from _of_deed(deed, made)
        if deed.door is Door.MESSAGE:
            yield from _of_message(deed, made, rejections.get(str(deed.key), 0), history)


def _of_deed(deed: Deed, made: list[Row]) -> Iterable[str]:
    if len(made) > len(deed.names):
        yield f"doubled: {deed.names} became {[task['id'] for task in made]}"
    if deed.is_bad and made:
        yield f"bad_accepted: {deed.names} became {[task['id'] for task in made]}"
    if deed.told is Told.FAIL and made:
        yield f"refused_and_made: {deed.names} became {[task['id'] for task in made]}"
    if missing := set(deed.ids) - {task["id"] for task in made}:
        yield f"lost: {deed.names} was accepted as {sorted(missing)}"
    if deed.door is Door.BATCH and len(made) not in {0, len(deed.names)}:
        yield f"torn: {len(made)} of {len(deed.names)} tasks of one batch"


def _of_message(deed: Deed, made: list[Row], rejected: int, history: History) -> Iterable[str]:
    """A message that was confirmed, and did not go down with the broker, is a task or a rejection."""
    if deed.told is not Told.OK or (deed.told_at or 0) <= history.broker_wiped_at:
        return
    if deed.is_bad or deed.conflicts:
        if rejected != 1:
            yield f"message_unaccounted: {deed.key} is bad, and is {rejected} rejections"
    elif rejected:
        yield f"message_rejected: {deed.key} is good, and is {rejected} rejections"
    if not deed.is_bad and len(made) != 1:
        yield f"message_lost: {deed.key} is {len(made)} tasks"


def _of_strangers(history: History, by_name: Mapping[str, list[Row]]) -> Iterable[str]:
    known = {*PROBES, *(name for deed in history.deeds for name in deed.names)}
    for name in by_name.keys() - known:
        yield f"stranger: nobody sent a task named {name}"


def _of_cancels(history: History, happened: Mapping[str, list[Row]]) -> Iterable[str]:
    for task_id in history.cancelled:
        if not any(event["happening"] == "cancelled" for event in happened[task_id]):
            yield f"cancel_forgotten: {task_id} was answered as cancelled"


def _of_retries(history: History, happened: Mapping[str, list[Row]]) -> Iterable[str]:
    """A task begins a new run as often as it was answered, and never unless it was asked."""
    for task_id, events in happened.items():
        runs = sum(event["happening"] == "run_again" for event in events)
        sent, answered = history.retries_sent[task_id], history.retries_answered[task_id]
        if runs > sent:
            yield f"ran_again_unasked: {task_id} began {runs} new runs, {sent} were asked for"
        if runs < answered:
            yield f"retry_forgotten: {task_id} began {runs} new runs, {answered} were answered"


def _of_delays(
    history: History, by_name: Mapping[str, list[Row]], effects: Iterable[Row]
) -> Iterable[str]:
    """Nothing runs before its time, unless an operator wanted a new run at once."""
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
        if event["happening"] == "claimed"
    }
    for claim in begun.keys() - claims:
        yield f"ran_unclaimed: {claim} has no claim in the history"
    for event in (event for events in happened.values() for event in events):
        if event["happening"] == "succeeded" and (event["id"], event["claim_no"]) not in ended:
            yield f"succeeded_unrun: {event['id']} claim {event['claim_no']} never ran to its end"


def _read(effects: Path) -> list[Row]:
    if not effects.exists():
        return []
    return [json.loads(line) for line in effects.read_text().splitlines()]
