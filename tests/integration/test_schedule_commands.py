"""`taskmill schedule` against the real service: for people and for programs."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

from tests.support.api import Served
from tests.support.commands import Taskmill, taskmill
from tests.support.scheduling import Scheduler
from tests.support.sql_schedules import do_requests, put_schedule
from tests.support.stage import Stage

__all__ = ["taskmill"]

# The server logs in the same process: not among what the commands print.
pytestmark = pytest.mark.usefixtures("log_lines")

Run = Callable[..., Awaitable[tuple[int, str, str]]]
HOUR = timedelta(hours=1)
NIGHTLY = ("put", "nightly", "--cron", "30 2 * * *", "--zone", "Europe/Berlin")


@pytest.fixture
def schedule(taskmill: Taskmill, api: Served, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TASKMILL_URL", api.url)
    return lambda *words: asyncio.to_thread(taskmill, "schedule", *words)


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


def labelled(out: str) -> dict[str, str]:
    """The facts of what is shown, by their labels."""
    lines = (re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())
    return {parts[0]: parts[1] for parts in lines if len(parts) == 2}


async def late_ticks(scheduler: Scheduler) -> tuple[str, ...]:
    """The options for a tick every ten minutes, of which the latest is five minutes late: it was missed."""
    anchor = await scheduler.now() - timedelta(minutes=5)
    return ("--every", "PT10M", "--anchor", anchor.isoformat())


async def test_all_options_of_a_schedule_and_of_its_tasks_are_stored(
    schedule: Run, tmp_path: Path
) -> None:
    (tmp_path / "task.json").write_text('{"type": "mail", "queue": "mails", "priority": 2}')
    spec = ("--gap", "skip", "--fold", "both", "--jitter", "5", "--starts-at", "2030-01-01T00:00Z")
    policy = ("--overlap", "skip", "--catch-up", "all", "--within", "PT2H", "--most", "7")
    task = ("--task", "@task.json", "--queue", "reports", "--label", "a=b", "--timeout-s", "5")

    status, out, err = await schedule(*NIGHTLY, *spec, *policy, *task, "--json")

    assert (status, err) == (0, "")
    stored = orjson.loads(out)
    assert stored["task"] == {
        "name": "nightly",
        "type": "mail",
        "queue": "reports",
        "priority": 2,
        "timeout_s": 5.0,
        "labels": {"a": "b"},
    }
    assert (stored["gap"], stored["fold"], stored["jitter_s"]) == ("skip", "both", 5.0)
    assert (stored["overlap"], stored["catch_up"]) == ("skip", "all")
    assert (stored["within"], stored["most"]) == ("PT2H", 7)
    assert stored["starts_at"] == "2030-01-01T00:00:00.000000Z"
    _, out, _ = await schedule("put", "nightly", "--every", "PT1H", "--name", "another", "--json")
    replaced = orjson.loads(out)
    assert (replaced["overlap"], replaced["task"]) == ("allow", {"name": "another"})


async def test_a_put_schedule_is_shown_and_only_replaced_in_the_revision_that_is_named(
    schedule: Run,
) -> None:
    _, out, _ = await schedule(*NIGHTLY)
    assert out.splitlines()[0] == "nightly  revision 1"
    facts = labelled(out)
    assert (facts["when"], facts["state"]) == ("30 2 * * *  Europe/Berlin", "active")
    assert re.fullmatch(r"\w{3} \S+T02:30:00\+0[12]:00  in .+", facts["next tick"])
    assert (facts["overlap"], facts["catch up"]) == ("allow", "latest, within PT1H, 100 at most")
    assert (facts["clocks"], facts["task"]) == ("gap=end  fold=first", "name=nightly")
    status, _, err = await schedule("put", "nightly", "--every", "PT1H", "--revision", "7")
    assert (status, err) == (1, "Error: schedule 'nightly' has revision 1\n")
    status, out, _ = await schedule("put", "nightly", "--every", "PT1H", "--revision", "1")
    facts = labelled(out)
    assert (status, facts["when"], "clocks" in facts) == (0, "every PT1H  UTC", False)


async def test_what_is_wrong_is_named_with_its_place(schedule: Run) -> None:
    status, out, err = await schedule("put", "x", "--cron", "61 * * * *", "--zone", "Moscow")
    assert (status, out) == (1, "")
    assert "/cron" in err
    assert 'did you mean "Europe/Moscow"?' in err
    status, _, err = await schedule("put", "x", "--overlap", "wait")
    assert (status, "--overlap" in err) == (2, True)
    for words in (("show", "x"), ("fires", "x"), ("run", "x"), ("pause", "x"), ("delete", "x")):
        status, out, err = await schedule(*words)
        assert (status, out, "there is no schedule 'x'" in err) == (1, "", True), words


async def test_schedules_are_listed_with_their_state(schedule: Run) -> None:
    _, out, err = await schedule("list")
    assert (out, "taskmill schedule put NAME" in err) == ("", True)
    await schedule(*NIGHTLY, "--type", "report", "--queue", "reports")
    await schedule("put", "over", "--at", "2020-01-31T09:00Z")
    await schedule("put", "paused", "--every", "PT1H")
    await schedule("pause", "paused")
    _, out, _ = await schedule("list")
    rows = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert rows[0] == ["NAME", "STATE", "WHEN", "ZONE", "NEXT", "TYPE", "QUEUE"]
    assert rows[1][:4] == ["nightly", "active", "30 2 * * *", "Europe/Berlin"]
    assert rows[1][5:] == ["report", "reports"]
    assert rows[2][1:5] == ["ended", "at 2020-01-31T09:00:00Z", "UTC", "-"]
    assert rows[3][:3] == ["paused", "paused", "every PT1H"]
    assert (await schedule("list", "--quiet"))[1].split() == ["nightly", "over", "paused"]
    _, out, _ = await schedule("list", "--json", "--limit", "2")
    assert [orjson.loads(line)["name"] for line in out.splitlines()] == ["nightly", "over"]


async def test_show_names_the_next_ticks_and_the_task_of_the_last_one(
    schedule: Run, scheduler: Scheduler
) -> None:
    await schedule("put", "report", "--every", "PT10M")
    _, out, _ = await schedule("show", "report")
    assert labelled(out)["last tick"] == "none yet"
    assert out.splitlines()[-4] == "every 10 minutes"
    await scheduler.due("once")
    await scheduler.fire()
    [task] = await scheduler.tasks("once")
    await schedule("run", "once")
    _, out, _ = await schedule("show", "once")
    assert f"made task {task['id']}" in out, "a run by hand is no tick"
    assert "backfill" not in out
    assert labelled(out)["state"] == "ended"
    _, out, _ = await schedule("show", "once", "--json")
    found = orjson.loads(out)
    assert (found["name"], found["last_fire"]["task_id"]) == ("once", str(task["id"]))


async def test_show_says_why_the_last_tick_made_no_task_and_what_makes_it_after_all(
    schedule: Run, scheduler: Scheduler
) -> None:
    late = await late_ticks(scheduler)
    await schedule("put", "missed", *late, "--catch-up", "none")
    await schedule("put", "paused", *late)
    await schedule("pause", "paused")
    await scheduler.age(HOUR)
    await scheduler.fire()
    await schedule("resume", "paused")
    _, missed, _ = await schedule("show", "missed")
    _, paused, _ = await schedule("show", "paused")
    assert "made no task: it was missed, as nothing fired in time" in missed
    assert "made no task: the schedule was paused" in paused
    command = re.search(r"taskmill schedule (backfill .*)", missed)
    assert command is not None
    status, out, _ = await schedule(*command[1].split(), "--yes")
    assert (status, len(out.splitlines())) == (0, 1)
    [task] = await scheduler.tasks("missed")
    assert str(task["id"]) in (await schedule("show", "missed"))[1]


async def test_show_says_that_the_task_before_had_not_ended(
    schedule: Run, scheduler: Scheduler
) -> None:
    for name, overlap in (("skipping", "skip"), ("holding", "hold_one")):
        await scheduler.due(name, overlap=overlap)
        await scheduler.fire()
        await schedule("run", name)
        await scheduler.put(name, every="PT10M", overlap=overlap)
        await scheduler.age(HOUR, name)
        await scheduler.fire()
    _, out, _ = await schedule("show", "skipping")
    assert "made no task: the task of an earlier tick had not ended" in out
    _, out, _ = await schedule("show", "holding")
    assert re.search(r"is held until task \S{36} has ended", out)
    assert "held tick" in labelled(out)
    assert "backfill" not in out


async def test_schedules_are_paused_and_resumed(schedule: Run, scheduler: Scheduler) -> None:
    await schedule("put", "report", "--every", "PT10M", "--within", "PT10H")
    status, out, err = await schedule("pause", "report", "missing")
    assert (status, out) == (1, "report  paused\n")
    assert err == "Error: missing: there is no schedule 'missing'\n"
    assert "paused" in labelled((await schedule("show", "report"))[1])["state"]
    await scheduler.age(HOUR)
    status, out, _ = await schedule("resume", "report", "--catch-up")
    assert re.fullmatch(r"report  active  next tick in .+\n", out)
    assert (status, len(await scheduler.tasks())) == (0, 6)
    _, out, _ = await schedule("pause", "report", "--json")
    assert orjson.loads(out)["paused"] is True


async def test_a_run_prints_the_id_of_its_task(schedule: Run, scheduler: Scheduler) -> None:
    await schedule("put", "report", "--cron", "@daily")
    status, out, err = await schedule("run", "report", "--idempotency-key", "k")
    [task] = await scheduler.tasks()
    assert (status, out) == (0, f"{task['id']}\n")
    assert f"taskmill task watch {task['id']}" in err
    assert (await schedule("run", "report", "--idempotency-key", "k", "-q"))[1:] == (out, "")
    _, out, _ = await schedule("run", "report", "--json")
    assert orjson.loads(out)["id"] != str(task["id"])


async def test_a_backfill_makes_tasks_for_all_ticks_in_as_many_requests_as_it_takes(
    schedule: Run, scheduler: Scheduler
) -> None:
    await schedule("put", "report", "--every", "PT1H", "--most", "2")
    day = (await scheduler.now()).replace(minute=0, second=0) - timedelta(days=1)
    bounds = ("--from", day.isoformat(), "--to", (day + 4 * HOUR).isoformat())
    ticks = [f"{day + number * HOUR:%Y-%m-%dT%H:%M:%S}Z" for number in range(5)]
    status, _, err = await schedule("backfill", "report", *bounds)
    assert (status, "give --yes, or --dry-run" in err) == (2, True)
    _, out, _ = await schedule("backfill", "report", *bounds, "--dry-run")
    assert (out.split(), await scheduler.tasks()) == (ticks, [])
    _, out, _ = await schedule("backfill", "report", *bounds, "--yes", "--priority", "3", "--json")
    parts = [orjson.loads(line)["ticks"] for line in out.splitlines()]
    assert [len(part) for part in parts] == [2, 2, 1]
    assert [datetime.fromisoformat(tick) for part in parts for tick in part] == [
        day + number * HOUR for number in range(5)
    ]
    assert [task["priority"] for task in await scheduler.tasks()] == [3] * 5
    _, out, err = await schedule("backfill", "report", *bounds, "--yes")
    assert (out, err) == ("", "no tick there is without a task\n")


async def test_a_backfill_without_an_end_goes_as_far_as_ticks_are_done(
    schedule: Run, scheduler: Scheduler
) -> None:
    await schedule("put", "report", "--every", "PT1H")
    since = (await scheduler.now()).replace(minute=0, second=0) - 2 * HOUR
    _, out, _ = await schedule("backfill", "report", "--from", since.isoformat(), "--yes")
    assert len(out.split()) == 3


async def test_what_became_of_ticks_is_listed(schedule: Run, scheduler: Scheduler) -> None:
    await schedule("put", "report", *await late_ticks(scheduler))
    _, out, err = await schedule("fires", "report")
    assert (out, err) == ("", "nothing became of a tick yet\n")
    await scheduler.age(HOUR)
    await scheduler.fire()
    _, out, _ = await schedule("fires", "report")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["TICK", "UNTIL", "TICKS", "CAUSE", "OUTCOME", "TASK", "WHY"]
    [task] = await scheduler.tasks()
    assert rows[1][1:] == ["-", "1", "catch_up", "created", str(task["id"])]
    assert rows[2][2:] == ["5", "tick", "skipped_missed", "-"]
    _, out, _ = await schedule("fires", "report", "--outcome", "created", "--json")
    assert [orjson.loads(line)["outcome"] for line in out.splitlines()] == ["created"]
    assert len((await schedule("fires", "report", "--limit", "1"))[1].splitlines()) == 2


async def test_those_that_are_not_there_do_not_keep_others_from_being_deleted(
    schedule: Run,
) -> None:
    await schedule(*NIGHTLY)
    status, out, err = await schedule("delete", "missing", "nightly")
    assert (status, out) == (1, "")
    assert err == "Error: missing: there is no schedule 'missing'\n"
    assert (await schedule("list", "--quiet"))[1] == ""


async def test_what_sql_has_asked_for_in_vain_is_shown_with_its_problem(
    schedule: Run, scheduler: Scheduler
) -> None:
    await put_schedule(scheduler.stage.sql, "never", cron="0 0 31 2 *")
    _, out, _ = await schedule("show", "never")
    assert labelled(out)["state"] == "asked for"
    assert "waits for maintenance" in out
    await do_requests(scheduler)
    _, out, _ = await schedule("show", "never")
    assert labelled(out)["state"] == "refused"
    assert "refused: /cron" in out
    _, out, _ = await schedule("list")
    assert out.splitlines()[1].split()[:2] == ["never", "refused"]
    await scheduler.put("never")
    await put_schedule(scheduler.stage.sql, "never", cron="0 0 31 2 *")
    await do_requests(scheduler)
    _, out, _ = await schedule("show", "never")
    assert labelled(out)["state"] == "active"
    assert "the schedule stays as it was" in out
    assert (await schedule("delete", "never"))[0] == 0
    assert (await schedule("show", "never"))[0] != 0
