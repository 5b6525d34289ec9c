"""The scene's data: what the plan promises is in it, and the rows of past tasks contradict no rule."""

import random
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from taskmill.domain.history import HistoryEntry, TaskRow
from taskmill.domain.replay import Replay
from tools.scene import plan, shop
from tools.scene.courses import courses
from tools.scene.facts import MOST_CLICKS, read_facts
from tools.scene.past import Past

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TASKS = plan.BACKLOG + plan.RETRYING + 3_000
Fields = dict[str, Any]


@cache
def rows() -> dict[str, list[Fields]]:
    """The rows of past tasks by table, as dictionaries."""
    draw = random.Random(7)  # noqa: S311 - the same in each run
    past = Past(NOW, draw)
    for course in courses(NOW, TASKS, draw):
        past.add(course)
    return {
        table: [dict(zip(columns, row, strict=True)) for row in found]
        for table, columns, found in past.rows()
    }


def task_row(row: Fields) -> TaskRow:
    status = row["final_status"] or "new"
    facts = {**row, "status": status, "run": 1, "losses": 0, "lease_id": None}
    return TaskRow._make(facts[name] for name in TaskRow._fields)


def entries(row: Fields) -> list[HistoryEntry]:
    """The entries of the history that a row has: a change, and before it the claim that it ends."""
    facts = {**row, "event_type": row["event"]}
    change = HistoryEntry._make(facts[name] for name in HistoryEntry._fields)
    if row["claimed_at"] is None:
        return [change]
    claim = change._replace(
        version=change.version - 1,
        at=row["claimed_at"],
        event_type="claimed",
        status="in_progress",
        run_at=row["claimed_run_at"] or change.run_at,
        reason=None,
        error=None,
    )
    return [claim, change]


def test_the_plan_has_twelve_queues_fifteen_types_and_twenty_causes() -> None:
    assert len(plan.QUEUES) == 12
    assert len(set(plan.TYPES)) == 15
    assert len(plan.CAUSES) == len(plan.KINDS) == 20
    assert sum(work.share for work in plan.WORKS) == 1000
    assert {cause for work in plan.WORKS for cause in work.causes} | {plan.NEW_CAUSE} == set(
        plan.CAUSES
    )


def test_workers_run_all_types_but_one() -> None:
    served = {type_ for type_ in plan.TYPES if shop.app.get(type_) or shop.doomed.get(type_)}
    assert set(plan.TYPES) - served == {plan.UNSERVED_TYPE}
    assert shop.app.get(plan.LOST_TYPE) is None


def test_past_tasks_contradict_no_rule() -> None:
    found = rows()
    history: defaultdict[UUID, list[HistoryEntry]] = defaultdict(list)
    for row in found["task_event"]:
        history[row["task_id"]] += entries(row)
    for row in found["task"]:
        replay = Replay(task_row(row))
        for entry in history.pop(row["id"]):
            replay.add(entry)
        replay.close()
        assert replay.findings == []
    assert not history
    assert max(entry["at"] for entry in found["task_event"]) <= NOW


def test_what_belongs_to_past_tasks_agrees_with_them() -> None:
    found = rows()
    tasks = found["task"]
    assert len(tasks) == TASKS
    by_status = Counter((row["queue"], row["final_status"] or "new") for row in tasks)
    assert {(row["queue"], row["status"]): row["tasks"] for row in found["task_count"]} == by_status
    waiting = {row["id"] for row in tasks if row["final_status"] is None}
    assert {row["task_id"] for row in found["dispatch"]} == waiting
    failed = {row["id"] for row in tasks if row["final_status"] == "failed"}
    assert {row["task_id"] for row in found["failure_delta"]} == failed
    assert {row["error"] for row in found["failure_delta"]} <= plan.KINDS
    changes = [
        pair
        for row in found["change_batch"]
        for pair in zip(row["task_ids"], row["versions"], strict=True)
    ]
    assert Counter(task_id for task_id, _ in changes) == Counter(
        {row["id"]: row["version"] for row in tasks}
    )


def test_facts_can_be_read_and_need_two_clicks_at_most() -> None:
    facts = read_facts()
    assert len({fact.slug for fact in facts}) == len(facts) > 30
    for fact in facts:
        assert len(fact.clicks) <= MOST_CLICKS
        for pattern in (*fact.clicks, fact.shows, fact.hides or ""):
            re.compile(pattern)
