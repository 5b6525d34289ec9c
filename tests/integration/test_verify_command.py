"""`taskmill verify`: its output and its exit status."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from taskmill.domain.checks import CHECK_MEANINGS, Check
from taskmill.storage.rights import APP
from tests.support.commands import Taskmill, taskmill
from tests.support.mixture import Mixture, a_mixture
from tests.support.roles import as_role
from tests.support.stage import a_stage

__all__ = ["taskmill"]

DAMAGE = """
    SET session_replication_role = replica;
    UPDATE taskmill.task SET losses = 1 WHERE final_status = 'succeeded';
    UPDATE taskmill.lease SET closed_at = now() - interval '3 minutes';
    INSERT INTO taskmill.task_count VALUES ('mail', 'new', 3);
"""


def prepare(url: str, *commands: str) -> Mixture:
    async def prepared() -> Mixture:
        async with a_stage(url) as stage:
            mixture = await a_mixture(stage)
            for command in commands:
                await stage.sql.execute(command)
            return mixture

    return asyncio.run(prepared())


@pytest.fixture
def damaged(stage_url: str) -> Mixture:
    """A database with three kinds of damage, one of which is only worth a warning."""
    return prepare(stage_url, DAMAGE)


def test_a_sound_database_is_one_line_and_status_0(taskmill: Taskmill, stage_url: str) -> None:
    prepare(stage_url)
    status, out, err = taskmill("verify", "--database-url", as_role(stage_url, APP))
    assert (status, err) == (0, "")
    assert out.startswith("no violations in 21 tasks")
    assert out.count("\n") == 1


def test_what_is_later_than_the_moment_of_a_restore_is_a_violation(
    taskmill: Taskmill, stage_url: str
) -> None:
    prepare(stage_url)
    address = ("--database-url", as_role(stage_url, APP))
    assert taskmill("verify", *address, "--as-of", "2100-01-01T00:00Z")[0] == 0
    status, out, err = taskmill("verify", *address, "--as-of", "2020-01-01T00:00Z")
    assert (status, err) == (1, "")
    assert CHECK_MEANINGS[Check.AFTER_MOMENT].advice in out
    assert "expected no change after the moment, found created at 20" in out


def test_the_service_that_runs_here_is_found(
    taskmill: Taskmill, stage_url: str, tmp_path: Path
) -> None:
    prepare(stage_url)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/service.json").write_text(json.dumps({"database_url": stage_url}))
    assert taskmill("verify", "--data", "data", "--since", "1d")[0] == 0


@pytest.mark.usefixtures("damaged")
def test_damage_is_shown_up_to_the_limit_and_all_of_it_counted(
    taskmill: Taskmill, stage_url: str
) -> None:
    status, out, err = taskmill("verify", "--database-url", as_role(stage_url, APP), "--rows", "2")
    assert (status, err) == (1, "")
    shown = [line.split()[0] for line in out.splitlines() if "  expected " in line]
    assert shown == ["row_drift", "row_drift", "lease_over", "lease_over", "counter_drift"]
    assert "row_drift  4 violations, 2 shown" in out
    assert "counter_drift  1 violation\n" in out
    assert "lease_over  2 warnings\n" in out
    assert CHECK_MEANINGS[Check.ROW_DRIFT].means in out
    assert CHECK_MEANINGS[Check.ROW_DRIFT].advice in out
    assert "queue mail, new  expected 1 tasks, found 4" in out
    assert "5 violations of 2 kinds in 21 tasks" in out.splitlines()[-1]


def test_a_finding_names_task_and_version(
    taskmill: Taskmill, damaged: Mixture, stage_url: str
) -> None:
    task_id = damaged.tasks["failed"]
    change = (
        f"UPDATE taskmill.task_event SET attempt = 7 WHERE task_id = '{task_id}' AND version = 3"  # noqa: S608 - our own
    )

    async def damage() -> None:
        async with a_stage(stage_url) as stage:
            await stage.sql.execute(change)

    asyncio.run(damage())
    _, out, _ = taskmill("verify", "--database-url", as_role(stage_url, APP))
    # The row has the claim before it, too.
    words = f"{task_id}  version 2  expected attempt 1, found attempt 7"
    assert f"attempts_miscounted   {words}" in out


@pytest.mark.usefixtures("damaged")
def test_programs_get_a_line_for_each_finding_and_one_for_the_outcome(
    taskmill: Taskmill, stage_url: str
) -> None:
    arguments = ("verify", "--database-url", as_role(stage_url, APP), "--json", "--rows", "1")
    status, out, _ = taskmill(*arguments)
    *findings, outcome = map(orjson.loads, out.splitlines())
    assert status == 1
    assert [(f["check"], f["is_warning"]) for f in findings] == [
        ("row_drift", False),
        ("lease_over", True),
        ("counter_drift", False),
    ]
    assert set(findings[0]) == {
        "check",
        "is_warning",
        "task_id",
        "version",
        "subject",
        "expected",
        "found",
    }
    assert findings[2]["subject"] == "queue mail, new"
    assert (outcome["violations"], outcome["warnings"], outcome["tasks"]) == (5, 2, 21)
    assert outcome["unchecked"] == []
    assert outcome["checks"].keys() == set(Check)
    assert {name: count for name, count in outcome["checks"].items() if count} == {
        "row_drift": 4,
        "lease_over": 2,
        "counter_drift": 1,
    }


def test_warnings_alone_are_no_violation(taskmill: Taskmill, stage_url: str) -> None:
    prepare(stage_url, "UPDATE taskmill.lease SET closed_at = now() - interval '3 minutes'")
    status, out, _ = taskmill("verify", "--database-url", as_role(stage_url, APP))
    assert status == 0
    assert "lease_over" in out
    assert "no violations" in out


def test_a_database_that_cannot_be_verified_is_status_2_and_one_line(
    taskmill: Taskmill, empty_database_url: str
) -> None:
    for url, words in (
        (empty_database_url, "taskmill migrate"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", "not available"),
    ):
        status, out, err = taskmill("verify", "--database-url", url)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert words in err
        assert "secret" not in err
    assert taskmill("verify")[0] == 2


def test_what_takes_too_long_is_reported_and_status_2(
    taskmill: Taskmill, stage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(stage_url)
    monkeypatch.setattr("taskmill.storage.verification.statement", asleep)
    status, out, _ = taskmill(
        "verify", "--database-url", as_role(stage_url, APP), "--timeout", "0.2"
    )
    assert status == 2
    assert "not checked: the counters (more time: --timeout)" in out
    assert "no violations" in out


def test_findings_count_though_the_verification_broke_off(
    taskmill: Taskmill, stage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(stage_url, DAMAGE)
    monkeypatch.setattr("taskmill.storage.verification.statement", refused)
    status, out, _ = taskmill("verify", "--database-url", as_role(stage_url, APP))
    assert status == 1
    assert 'not verified to the end: relation "nowhere" does not exist' in out
    assert "4 violations of 1 kind in 21 tasks" in out
    status, out, _ = taskmill(
        "verify", "--database-url", as_role(stage_url, APP), "--json", "--rows", "0"
    )
    assert status == 1
    assert orjson.loads(out)["broken_off"] == 'relation "nowhere" does not exist'


def test_a_verification_that_broke_off_without_a_finding_is_status_2(
    taskmill: Taskmill, stage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(stage_url)
    monkeypatch.setattr("taskmill.storage.verification.statement", refused)
    status, out, _ = taskmill("verify", "--database-url", as_role(stage_url, APP))
    assert (status, "not verified to the end" in out) == (2, True)


def refused(name: str) -> str:
    """Return a statement of storage, but make the one for keys fail."""
    from taskmill.storage.statements import statement  # noqa: PLC0415 - the one that is replaced

    return "TABLE nowhere" if name == "verify_keys" else statement(name)


def test_a_closed_pipe_is_no_violation(stage_url: str, tmp_path: Path) -> None:
    prepare(stage_url)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - the child's, plus ours
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", "verify", "--database-url", as_role(stage_url, APP)],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
        env=environment,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, b"")


def test_since_very_long_ago_is_everything(taskmill: Taskmill, stage_url: str) -> None:
    prepare(stage_url)
    status, out, _ = taskmill(
        "verify", "--database-url", as_role(stage_url, APP), "--since", "1000000d"
    )
    assert (status, "in 21 tasks" in out) == (0, True)


def asleep(name: str) -> str:
    """Return a statement of storage, but make the one for counters very slow."""
    from taskmill.storage.statements import statement  # noqa: PLC0415 - the one that is replaced

    return "SELECT pg_sleep(60)" if name == "verify_counts" else statement(name)


@pytest.mark.parametrize("span", ["1", "d", "-1d", "1.5h", "1w", "99999999999999d"])
def test_a_span_of_time_is_a_number_and_a_unit(taskmill: Taskmill, span: str) -> None:
    status, _, err = taskmill("verify", f"--since={span}")
    assert status == 2
    assert "--since" in err


@pytest.mark.usefixtures("damaged")
def test_on_a_terminal_a_bar_makes_room_for_the_findings(stage_url: str, tmp_path: Path) -> None:
    """The report goes to standard output and the bar to the terminal, wherever the two are."""
    ours, terminal = pty.openpty()
    environment = {
        **os.environ,  # noqa: TID251 - the child's, plus ours
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TERM": "xterm",
    }
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", "verify", "--database-url", as_role(stage_url, APP)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=False,
        timeout=60,
        env=environment,
    )
    os.close(terminal)
    bar = b""
    while part := _read(ours):
        bar += part
    os.close(ours)
    assert done.returncode == 1
    assert done.stdout.decode().startswith("row_drift ")
    assert b"verifying" in bar
    assert b"row_drift" not in bar


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""
