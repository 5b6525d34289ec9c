"""A week is archived before it is dropped: all of it, and never half of it."""

import asyncio
import gzip
import os
import signal
import stat
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.domain.lifecycle import Succeeded
from taskmill.storage import archive_files, partitions, week_drops
from taskmill.storage.week_archive import WeekArchive
from taskmill.storage.week_drops import drop_finished
from taskmill.storage.weeks import Week
from tests.support.archives import an_archive, archived, number_changes, run_again
from tests.support.builders import a_draft
from tests.support.old_weeks import creating_at, old_week, rows_in
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage

KEEP = timedelta(weeks=3)


async def drop_old(stage: Stage, archive: WeekArchive) -> list[Week]:
    """Drop what is old, after all changes have got their positions, as they soon do."""
    await number_changes(stage)
    return await drop_finished(stage.maintenance_database, stage.clock.now(), KEEP, archive)


@pytest.fixture
def retained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why weeks were not dropped."""
    reasons: list[str] = []
    monkeypatch.setattr(week_drops, "_report_retained", lambda _, reason: reasons.append(reason))
    return reasons


async def test_a_week_is_in_the_archive_when_it_is_gone(stage: Stage, tmp_path: Path) -> None:
    lease = await stage.open_lease()
    week = Week.of(stage.clock.now()).later(-11)
    await partitions.ensure(stage.database, week.start)
    payload = '{"order": 12345678901234567890,\n "text": "a\\nb", "price": 1.10}'
    async with creating_at(stage, week.start + timedelta(hours=1)) as creation:
        draft = a_draft(payload=payload, labels='{"city": "Köln"}', queue="orders")
        task = (await creation.create(draft)).task
    [taken] = await stage.take(lease)
    await stage.end(taken, lease, Succeeded(result='{"ok": true}'))
    ids = {str(row["id"]) for row in await stage.sql.fetch("SELECT id FROM taskmill.task")}
    other, _ = await old_week(stage)
    rows = await stage.sql.fetch("SELECT id FROM taskmill.task ORDER BY id")

    assert {week, other} <= set(await drop_old(stage, an_archive(stage, tmp_path)))

    lines = list(archived(tmp_path))
    assert [line["task"]["id"] for line in lines] == [str(row["id"]) for row in rows]
    [found] = [line for line in lines if line["task"]["id"] in ids]
    assert found["task"] | {"status": "succeeded", "labels": {"city": "Köln"}} == found["task"]
    assert found["task"]["result"] == {"ok": True}
    assert [entry["event"] for entry in found["history"]] == ["created", "claimed", "succeeded"]
    assert all(len(line["log"]) == 1 for line in lines if line is not found)
    first = archive_files.archived_weeks(tmp_path)[0]
    text = archive_files.find_task(first.path, task.id)
    assert text is not None
    # Numbers as they were sent, and no line end within a line.
    assert '"order": 12345678901234567890' in text
    assert "1.10" in text
    assert (first.week, first.tasks) == (week.suffix, 1)
    assert first.bytes == first.path.stat().st_size
    await assert_safe(stage.sql)


async def test_only_its_owner_may_read_a_file_of_the_archive(stage: Stage, tmp_path: Path) -> None:
    await old_week(stage)
    await drop_old(stage, an_archive(stage, tmp_path))
    [path] = _files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_week_without_a_task_has_no_file(stage: Stage, tmp_path: Path) -> None:
    week = Week.of(stage.clock.now()).later(-10)
    await partitions.ensure(stage.database, week.start)
    assert week in await drop_old(stage, an_archive(stage, tmp_path))
    assert _files(tmp_path) == []


async def test_a_week_that_can_not_be_archived_is_not_dropped(
    stage: Stage, tmp_path: Path, retained: list[str]
) -> None:
    week, _ = await old_week(stage)
    archive = an_archive(stage, tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        await drop_old(stage, archive)
    assert week in await partitions.attached(stage.database)
    assert "No such file" in retained[0]
    (tmp_path / "missing").mkdir()
    assert week in await drop_old(stage, archive)


async def test_a_task_that_ran_again_after_it_was_archived_is_archived_once_more(
    stage: Stage, tmp_path: Path, retained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    week, task_id = await old_week(stage)
    archive = an_archive(stage, tmp_path)
    drop = week_drops._drop

    async def run_again_and_drop(*arguments: Any) -> bool:  # noqa: ANN401 - as it gets them
        """Between the last look without the lock and the drop."""
        if week in arguments and not retained:
            await run_again(stage, task_id)
        return await drop(*arguments)

    monkeypatch.setattr(week_drops, "_drop", run_again_and_drop)
    assert week not in await drop_old(stage, archive)
    assert retained == ["its tasks have changed since it was archived"]
    assert week in await drop_old(stage, archive)
    shown = [line for line in archived(tmp_path) if line["task"]["id"] == str(task_id)]
    assert [line["task"]["run"] for line in shown] == [1, 2]
    await assert_safe(stage.sql)


async def test_a_task_that_changes_while_its_week_is_archived_keeps_it(
    stage: Stage, tmp_path: Path, retained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    week, task_id = await old_week(stage)
    archive = an_archive(stage, tmp_path)
    copied = archive._copy

    async def copy_and_run_again(*arguments: Any) -> None:  # noqa: ANN401 - as it gets them
        await copied(*arguments)
        if week in arguments and not retained:
            await run_again(stage, task_id)
            await number_changes(stage)

    monkeypatch.setattr(archive, "_copy", copy_and_run_again)
    assert week not in await drop_old(stage, archive)
    assert "have changed meanwhile" in retained[0]
    assert week in await drop_old(stage, archive)
    assert max(line["task"]["run"] for line in archived(tmp_path)) == 2


async def test_what_changes_while_keys_are_deleted_is_seen_before_the_lock(
    stage: Stage, tmp_path: Path, retained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the lock everybody would wait while the changes of minutes are looked through."""
    week, task_id = await old_week(stage)
    prune_keys = week_drops._prune_keys
    pruned: list[Week] = []

    async def run_again_and_prune(*arguments: Any) -> Any:  # noqa: ANN401 - as it gets and returns them
        if week in arguments and not pruned:
            await run_again(stage, task_id)
            await number_changes(stage)
            pruned.append(week)
        return await prune_keys(*arguments)

    monkeypatch.setattr(week_drops, "_prune_keys", run_again_and_prune)
    assert week in await drop_old(stage, an_archive(stage, tmp_path))
    assert retained == []
    assert max(line["task"]["run"] for line in archived(tmp_path)) == 2


async def test_a_drop_that_is_tried_again_writes_the_week_once(
    stage: Stage, tmp_path: Path
) -> None:
    week, _ = await old_week(stage)
    await number_changes(stage)
    archive = an_archive(stage, tmp_path)
    first = await archive.write(week)
    [path] = _files(tmp_path)
    inode = path.stat().st_ino
    assert await archive.write(week) == first
    assert path.stat().st_ino == inode
    # Another process does not know that; what it writes is the same, and takes the place of the file.
    await an_archive(stage, tmp_path).write(week)
    assert _files(tmp_path) == [path]
    assert path.stat().st_ino != inode


async def test_a_week_is_written_again_when_nobody_knows_what_has_changed_since(
    stage: Stage, tmp_path: Path
) -> None:
    """A process slept for longer than changes are kept, as with its machine."""
    week, task_id = await old_week(stage)
    await number_changes(stage)
    archive = an_archive(stage, tmp_path)
    assert await archive.write(week) is not None
    await run_again(stage, task_id)
    await number_changes(stage)
    await stage.sql.execute("DELETE FROM taskmill.change_batch")
    assert await archive.write(week) is not None
    assert max(line["task"]["run"] for line in archived(tmp_path)) == 2
    assert await archive.write(week) is not None


async def test_who_has_lost_the_right_to_write_finishes_no_file(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    week, _ = await old_week(stage)
    await number_changes(stage)
    archive = an_archive(stage, tmp_path)
    copied = archive._copy

    async def copy_and_lose_the_lock(*arguments: Any) -> None:  # noqa: ANN401 - as it gets them
        await copied(*arguments)
        await stage.sql.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
            "WHERE locktype = 'advisory' AND objid::bigint = hashtext('taskmill.archive')::bigint & 4294967295"
        )

    monkeypatch.setattr(archive, "_copy", copy_and_lose_the_lock)
    assert await archive.write(week) is None
    assert _files(tmp_path) == []
    monkeypatch.undo()
    assert await archive.write(week) is not None


async def test_a_file_with_other_tasks_is_never_replaced(stage: Stage, tmp_path: Path) -> None:
    """A week may come again: a clock was wrong, or a backup was restored."""
    week, _ = await old_week(stage)
    await drop_old(stage, an_archive(stage, tmp_path))
    first = {line["task"]["id"] for line in archived(tmp_path)}
    again, _ = await old_week(stage, weeks_ago=10)
    assert again == week
    await drop_old(stage, an_archive(stage, tmp_path))
    assert [one.path.name for one in archive_files.archived_weeks(tmp_path)] == [
        f"{week.suffix}.ndjson.gz",
        f"{week.suffix}-2.ndjson.gz",
    ]
    assert first <= {line["task"]["id"] for line in archived(tmp_path)}


async def test_one_process_at_a_time_writes(
    stage: Stage, tmp_path: Path, retained: list[str]
) -> None:
    week, _ = await old_week(stage)
    await stage.sql.execute("SELECT pg_advisory_lock(hashtext('taskmill.archive'))")
    archive = an_archive(stage, tmp_path)
    assert week not in await drop_old(stage, archive)
    assert "another process writes" in retained[0]
    assert _files(tmp_path) == []
    await stage.sql.execute("SELECT pg_advisory_unlock_all()")
    assert week in await drop_old(stage, archive)


async def test_processes_that_archive_and_drop_at_once_lose_nothing(
    stage: Stage, tmp_path: Path
) -> None:
    weeks = [(await old_week(stage, weeks_ago=n))[0] for n in (10, 11, 12)]

    async def until_gone() -> None:
        archive = an_archive(stage, tmp_path)
        async with asyncio.timeout(30):
            while set(weeks) & set(await partitions.attached(stage.database)):
                await drop_old(stage, archive)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(until_gone())
    assert len({line["task"]["id"] for line in archived(tmp_path)}) == 30
    await assert_safe(stage.sql)


_ARCHIVER = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from taskmill.runtime.clock import SystemClock
from taskmill.storage import week_archive
from taskmill.storage.week_archive import WeekArchive
from taskmill.storage.rights import MAINTENANCE
from taskmill.storage.week_drops import drop_finished
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS

week_archive._LARGEST_PART = 20  # so that there is a middle

async def main(url, folder):
    clock, database = SystemClock(), RoleDatabase(url, SETTINGS, role=MAINTENANCE)
    archive = WeekArchive(database, Path(folder), clock)
    await drop_finished(database, clock.now(), timedelta(weeks=3), archive)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_archiver_leaves_no_file_that_counts_and_the_week_is_archived_again(
    stage: Stage, tmp_path: Path
) -> None:
    week = await a_week_of(stage, 3000)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ARCHIVER, stage.url, str(tmp_path), env=_environment()
    )
    try:
        await eventually(lambda: _has_begun(tmp_path), "the archiver to write")
        program.send_signal(signal.SIGKILL)
    finally:
        await program.wait()
    assert program.returncode == -signal.SIGKILL
    [left] = _files(tmp_path)
    assert archive_files.archived_weeks(tmp_path) == []
    assert await rows_in(stage.sql, f"task_{week.suffix}") == 3000

    async def is_dropped() -> bool:
        # The server ends the session of the killed one, and with it its lock.
        return week in await drop_old(stage, an_archive(stage, tmp_path))

    await eventually(is_dropped, "the week to be archived and dropped")
    assert not left.exists()
    assert len({line["task"]["id"] for line in archived(tmp_path)}) == 3000
    await assert_safe(stage.sql)


def _environment() -> Mapping[str, str]:
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path}  # noqa: TID251 - a child


async def _has_begun(folder: Path) -> bool:
    return any(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def a_week_of(stage: Stage, number: int) -> Week:
    """Make a week long past with many tasks that were cancelled."""
    week = Week.of(stage.clock.now()).later(-10)
    await partitions.ensure(stage.database, week.start)
    async with creating_at(stage, week.start + timedelta(days=1)) as creation:
        made = await creation.create_all([a_draft(queue="q") for _ in range(number)])
    await stage.database.fetch("cancel_waiting_tasks", [one.task.id for one in made], "operator")
    assert await rows_in(stage.sql, "dispatch") == 0
    return week


async def test_a_file_that_is_cut_off_or_foreign_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "2026w30.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"other": 1}\n'))
    with pytest.raises(ConfigurationError, match="not a file of an archive"):
        archive_files.archived_weeks(tmp_path)
    path.write_bytes(b"nothing compressed")
    with pytest.raises(ConfigurationError, match="can't be read"):
        archive_files.archived_weeks(tmp_path)
    with pytest.raises(ConfigurationError, match="can't be read"):
        archive_files.archived_weeks(tmp_path / "missing")
