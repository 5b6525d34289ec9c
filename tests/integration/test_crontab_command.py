"""`taskmill schedule import crontab`: lines of a crontab become schedules."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from tests.support.api import Served
from tests.support.commands import Taskmill, taskmill

__all__ = ["taskmill"]

# The server logs in the same process: not among what the commands print.
pytestmark = pytest.mark.usefixtures("log_lines")

Run = Callable[..., Awaitable[tuple[int, str, str]]]
CRONTAB = """\
# what cron ran
SHELL=/bin/bash
5 2 * * *  cd /srv/app && ./report.sh --all >/dev/null
CRON_TZ=Europe/Berlin
@hourly /usr/bin/mail -s "hour\\%" root%Hello%there
*/5 * * * * ./report.sh --all
"""
OPTIONS = ("--zone", "Europe/Moscow", "--type", "command")


@pytest.fixture
def crontab(
    taskmill: Taskmill, api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.setenv("TASKMILL_URL", api.url)
    (tmp_path / "crontab").write_text(CRONTAB)
    words = ("schedule", "import", "crontab", "crontab")
    return lambda *options: asyncio.to_thread(taskmill, *words, *options)


async def test_the_schedules_of_a_crontab_are_printed_and_not_made(
    crontab: Run, api: Served
) -> None:
    status, out, err = await crontab(*OPTIONS)
    assert (status, err) == (0, "nothing was made yet: --apply makes them\n")
    rows = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert rows == [
        ["NAME", "CRON", "ZONE", "COMMAND"],
        [
            "report.sh-all",
            "5 2 * * *",
            "Europe/Moscow",
            "cd /srv/app && ./report.sh --all >/dev/null",
        ],
        ["mail-s-hour-root", "@hourly", "Europe/Berlin", '/usr/bin/mail -s "hour%" root'],
        ["report.sh-all-2", "*/5 * * * *", "Europe/Berlin", "./report.sh --all"],
    ]
    assert (await api.get("/schedules")).json()["items"] == []


async def test_they_are_made_and_replaced_only_with_an_option_for_it(
    crontab: Run, api: Served
) -> None:
    options = (*OPTIONS, "--queue", "nightly", "--overlap", "skip", "--apply")
    status, out, err = await crontab(*options)
    assert (status, out.split()[::2], err) == (
        0,
        ["report.sh-all", "mail-s-hour-root", "report.sh-all-2"],
        "",
    )
    made = (await api.get("/schedules/mail-s-hour-root")).json()
    assert (made["cron"], made["zone"], made["overlap"]) == ("@hourly", "Europe/Berlin", "skip")
    assert made["task"] == {
        "name": "mail-s-hour-root",
        "type": "command",
        "queue": "nightly",
        "payload": {
            "command": '/usr/bin/mail -s "hour%" root',
            "environment": {"SHELL": "/bin/bash"},
            "stdin": "Hello\nthere",
        },
        "payload_secrets": ["/environment"],
    }
    await api.http.delete("/schedules/report.sh-all")
    status, out, err = await crontab(*options)
    assert (status, out) == (1, "report.sh-all  made\n")
    assert "mail-s-hour-root: there is such a schedule; --replace replaces it" in err
    status, out, err = await crontab(*options, "--replace", "--json")
    assert (status, len(out.splitlines()), err) == (0, 3, "")


async def test_lines_that_can_not_be_schedules_are_named(
    crontab: Run, api: Served, tmp_path: Path
) -> None:
    (tmp_path / "crontab").write_text("@reboot root ./start\n1 2 * * * root ./stop\n")
    status, out, err = await crontab(*OPTIONS, "--users", "--json", "--apply")
    assert status == 1
    assert orjson.loads(out)["task"]["payload"] == {"command": "./stop", "user": "root"}
    assert err.startswith("Error: line 1: @reboot is no time of a schedule: @reboot root ./start")
    assert [one["name"] for one in (await api.get("/schedules")).json()["items"]] == ["stop"]


async def test_a_crontab_needs_a_zone_and_a_type(crontab: Run, tmp_path: Path) -> None:
    status, _, err = await crontab("--type", "command")
    assert (status, "Give --zone" in err) == (2, True)
    status, _, err = await crontab("--zone", "Europe/Moscow")
    assert (status, "--type" in err) == (2, True)
    (tmp_path / "crontab").write_text("# empty\n")
    status, out, err = await crontab("--type", "command")
    assert (status, out, err) == (0, "", "it has no line with a time and a command\n")
