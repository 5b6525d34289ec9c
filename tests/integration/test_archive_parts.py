"""A week is archived in parts that fit into the memory of a process and the time of a statement."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.task import TaskDraft
from taskmill.storage import partitions, task_log, week_archive
from taskmill.storage.week_archive import WeekArchive
from taskmill.storage.weeks import Week
from tests.support.archives import an_archive, archived, number_changes
from tests.support.builders import a_draft
from tests.support.log_lines import a_line
from tests.support.old_weeks import creating_at, old_week
from tests.support.stage import Stage


async def test_large_tasks_are_read_a_few_at_a_time(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(week_archive, "_BYTES_AT_ONCE", 1)
    monkeypatch.setattr(week_archive, "_FIRST_PART", 3)
    week, _ = await old_week(stage)
    await number_changes(stage)
    assert await an_archive(stage, tmp_path).write(week) is not None
    assert len({line["task"]["id"] for line in archived(tmp_path)}) == 10


async def test_a_part_has_no_more_than_fits(stage: Stage) -> None:
    """Hundreds of large tasks after small ones would not fit into the memory of a process."""
    payload = json.dumps({"noise": os.urandom(5000).hex()})
    week = await _a_week_with(stage, [a_draft(payload=payload) for _ in range(10)])
    sizes = await _parts(stage, week, 12_000)
    assert sum(sizes) == 10
    assert set(sizes) <= {1, 2, 3}


async def test_a_part_has_no_more_logs_than_fit(stage: Stage) -> None:
    week = await _a_week_with(stage, [a_draft() for _ in range(10)])
    for taken in await stage.take(await stage.open_lease(), limit=10):
        lines = [a_line(taken, stage, seq, message=os.urandom(2500).hex()) for seq in (1, 2)]
        await task_log.store(stage.database, lines)
    sizes = await _parts(stage, week, 12_000)
    assert sum(sizes) == 10
    assert set(sizes) <= {1, 2, 3}


async def _a_week_with(stage: Stage, drafts: Sequence[TaskDraft]) -> Week:
    week = Week.of(stage.clock.now()).later(-10)
    await partitions.ensure(stage.database, week.start)
    async with creating_at(stage, week.start + timedelta(days=1)) as creation:
        await creation.create_all(drafts)
    return week


async def _parts(stage: Stage, week: Week, most_bytes: int) -> list[int]:
    """Return how many tasks each part of a week has."""
    sizes = []
    after, end = week.bounds
    while rows := await stage.database.fetch("read_archived_tasks", after, end, 500, most_bytes):
        sizes.append(len(rows))
        after = UUID(int=rows[-1]["id"].int + 1)
    return sizes


async def test_after_a_few_large_tasks_few_are_looked_at(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of each is read: of hundreds of tasks with long logs for a part of a few."""
    monkeypatch.setattr(week_archive, "_BYTES_AT_ONCE", 1)
    week, _ = await old_week(stage)
    await number_changes(stage)
    archive = an_archive(stage, tmp_path)
    asked = _asked(archive, monkeypatch)
    assert await archive.write(week) is not None
    assert asked[1:] == [1] * 10


async def test_a_part_that_takes_too_long_is_read_with_fewer_tasks(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    week, _ = await old_week(stage)
    await number_changes(stage)
    archive = an_archive(stage, tmp_path)
    asked = _asked(archive, monkeypatch, most=3)
    assert await archive.write(week) is not None
    assert asked[:2] == [20, 2]
    assert len({line["task"]["id"] for line in archived(tmp_path)}) == 10


def _asked(
    archive: WeekArchive, monkeypatch: pytest.MonkeyPatch, most: int = sys.maxsize
) -> list[int]:
    """Return how many tasks are asked for at once, from now on; for more than `most` the time is up."""
    asked: list[int] = []
    fetch = archive._database.fetch

    async def fetch_few(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - as it gets and returns them
        if name == "read_archived_tasks":
            asked.append(arguments[2])
            if arguments[2] > most:
                raise Unavailable(1.0, "more time") from asyncpg.QueryCanceledError("time is up")
        return await fetch(name, *arguments)

    monkeypatch.setattr(archive._database, "fetch", fetch_few)
    return asked
