"""Checks what must be true of any database at any moment, by its rows and events (docs: guarantees)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any, TypeAlias

import asyncpg

from taskmill.domain import identity
from taskmill.domain.lifecycle import ALLOWED, TERMINAL, Status
from taskmill.storage.weeks import Week

Row: TypeAlias = asyncpg.Record

_REPLAYED = ("version", "status", "run", "attempt", "losses", "claim_no", "run_at")
_ENDS_A_CLAIM = {"succeeded", "failed", "retry_scheduled", "handed_back", "lost", "cancelled"}
_STAYS = {"cancel_requested", "rescheduled"}
_BY_WEEK = """
    SELECT week, queue, status, sum(tasks)::bigint AS tasks
    FROM (
        SELECT week, queue, status, tasks FROM taskmill.task_week_count
        UNION ALL
        SELECT week, queue, status, tasks FROM taskmill.task_count WHERE week IS NOT NULL
    ) AS counted
    GROUP BY week, queue, status
    HAVING sum(tasks) <> 0
"""
_ENDS_A_RUN = {str(status) for status in TERMINAL}


async def unsafe(sql: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Return everything that is wrong, as of one snapshot."""
    async with sql.transaction(isolation="repeatable_read", readonly=True):
        rows = await sql.fetch("SELECT * FROM taskmill.current_task")
        events = await sql.fetch("SELECT * FROM taskmill.task_history ORDER BY task_id, version")
        waiting = await sql.fetch("SELECT * FROM taskmill.dispatch")
        running = await sql.fetch("SELECT task_id FROM taskmill.running")
        counted = await sql.fetch(
            "SELECT queue, status, sum(tasks)::bigint AS tasks FROM taskmill.task_count "
            "GROUP BY queue, status HAVING sum(tasks) <> 0"
        )
        counted_by_week = await sql.fetch(_BY_WEEK)
        batches = await sql.fetch("SELECT task_ids, versions FROM taskmill.change_batch")
    history: dict[Any, list[Row]] = defaultdict(list)
    for event in events:
        history[event["task_id"]].append(event)
    problems = [
        f"{row['id']}: {problem}" for row in rows for problem in _of_task(row, history[row["id"]])
    ]
    if strangers := history.keys() - {row["id"] for row in rows}:
        problems.append(f"events without their tasks: {strangers}")
    return (
        problems
        + _of_waiting(rows, waiting)
        + _of_running(rows, running)
        + _of_counts(rows, counted)
        + _of_weeks(rows, counted_by_week)
        + _of_feed(events, batches)
    )


async def assert_safe(sql: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Fail with everything that is wrong."""
    problems = await unsafe(sql)
    assert not problems, "\n".join(problems)


def _of_task(row: Row, events: Sequence[Row]) -> list[str]:
    if [event["version"] for event in events] != list(range(1, row["version"] + 1)):
        return [f"versions {[e['version'] for e in events]} of {row['version']}"]
    problems = [
        f"replay says {name} {events[-1][name]}, the row {row[name]}"
        for name in _REPLAYED
        if events[-1][name] != row[name]
    ]
    problems += _of_transitions(events) + _of_claims(row, events) + _of_runs(row, events)
    if row["error"] != _last_error(events):
        problems.append(f"replay says error {_last_error(events)}, the row {row['error']}")
    return problems


def _of_transitions(events: Sequence[Row]) -> list[str]:
    problems = []
    if events[0]["event"] != "created":
        problems.append("history begins in its middle")
    for before, after in pairwise(events):
        stays = after["event"] in _STAYS and before["status"] == after["status"]
        if not stays and after["status"] not in ALLOWED[Status(before["status"])]:
            problems.append(f"went from {before['status']} to {after['status']}")
        if (before["status"] in _ENDS_A_RUN) != (after["event"] == "run_again"):
            problems.append(f"{after['event']} after {before['status']}")
    return problems


def _of_claims(row: Row, events: Sequence[Row]) -> list[str]:
    """Claims are 1…k, each with one end under the same lease before the next; the last may still run."""
    problems: list[str] = []
    running: Row | None = None
    last_no = 0
    for event in events:
        if event["event"] == "claimed":
            problems += _of_claim(event, running, last_no)
            running, last_no = event, event["claim_no"]
        elif running is not None and event["event"] in _ENDS_A_CLAIM:
            if (event["lease_id"], event["claim_no"]) != (running["lease_id"], last_no):
                problems.append(f"{event['event']} under another fence")
            running = None
    held = running["lease_id"] if running is not None else None
    if held != row["lease_id"]:
        problems.append(f"lease {row['lease_id']}, history says {held}")
    return problems


def _of_claim(claimed: Row, running: Row | None, last_no: int) -> list[str]:
    problems = []
    if running is not None:
        problems.append(f"claim {claimed['claim_no']} while {last_no} runs")
    if claimed["claim_no"] != last_no + 1:
        problems.append(f"claim {claimed['claim_no']} after {last_no}")
    if claimed["at"] < claimed["run_at"]:
        problems.append(f"claimed at {claimed['at']}, due at {claimed['run_at']}")
    return problems


def _of_runs(row: Row, events: Sequence[Row]) -> list[str]:
    ends: dict[int, int] = defaultdict(int)
    claimed_runs = {event["run"] for event in events if event["event"] == "claimed"}
    for event in events:
        ends[event["run"]] += event["status"] in _ENDS_A_RUN
        if event["status"] == "succeeded" and event["run"] not in claimed_runs:
            return [f"run {event['run']} succeeded without a claim"]
    if any(e["attempt"] > row["max_attempts"] or e["losses"] > row["max_losses"] for e in events):
        return ["more attempts or losses than allowed"]
    is_terminal = row["status"] in _ENDS_A_RUN
    expected = {run: int(run < row["run"] or is_terminal) for run in range(1, row["run"] + 1)}
    problems = [] if dict(ends) == expected else [f"ends by run: {dict(ends)}, expected {expected}"]
    if (row["finished_at"] is not None) != is_terminal:
        problems.append(f"{row['status']}, finished at {row['finished_at']}")
    return problems


def _last_error(events: Sequence[Row]) -> str | None:
    error = None
    for event in events:
        if event["event"] in {"succeeded", "run_again"}:
            error = None
        error = event["error"] or error
    return error


def _of_waiting(rows: Sequence[Row], waiting: Sequence[Row]) -> list[str]:
    facts = ("queue", "type", "priority", "run_at", "expires_at")
    should = {row["id"]: tuple(row[f] for f in facts) for row in rows if row["status"] == "new"}
    does = {row["task_id"]: tuple(row[f] for f in facts) for row in waiting}
    if should == does:
        return []
    return [
        f"dispatch lacks {should.keys() - does.keys()}, has {does.keys() - should.keys()}, or differs"
    ]


def _of_running(rows: Sequence[Row], running: Sequence[Row]) -> list[str]:
    should = {row["id"] for row in rows if row["status"] == "in_progress"}
    does = {row["task_id"] for row in running}
    return [] if should == does else [f"running has {does - should}"]


def _of_counts(rows: Sequence[Row], counted: Sequence[Row]) -> list[str]:
    really: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        really[row["queue"], row["status"]] += 1
    counters = {(row["queue"], row["status"]): row["tasks"] for row in counted}
    return [] if really == counters else [f"counters say {counters}, there are {dict(really)}"]


def _of_weeks(rows: Sequence[Row], counted: Sequence[Row]) -> list[str]:
    really: dict[tuple[date, str, str], int] = defaultdict(int)
    for row in rows:
        monday = Week.of(identity.created_at(row["id"])).monday
        really[monday, row["queue"], row["status"]] += 1
    counters = {(row["week"], row["queue"], row["status"]): row["tasks"] for row in counted}
    return [] if really == counters else [f"weeks say {counters}, there are {dict(really)}"]


def _of_feed(events: Sequence[Row], batches: Sequence[Row]) -> list[str]:
    """Every change is in exactly one batch of the feed, which outlives tasks that were dropped."""
    known = {event["task_id"] for event in events}
    fed = sorted(
        pair
        for b in batches
        for pair in zip(b["task_ids"], b["versions"], strict=True)
        if pair[0] in known
    )
    happened = sorted((event["task_id"], event["version"]) for event in events)
    return [] if fed == happened else [f"the feed has {len(fed)} changes, history {len(happened)}"]
