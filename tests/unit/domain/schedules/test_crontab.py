import pytest

from taskmill.domain.schedules.crontab import CrontabEntry, parse_crontab

CRONTAB = """\
# m h dom mon dow command
MAILTO=ops@example.org
PATH="/usr/bin:/bin"

30 2 * * *   /usr/local/bin/backup --full
*/15\t*\t* * 1-5\tcheck && echo "100\\% done"
@daily clean
CRON_TZ = Europe/Moscow
0 9 * * mon report%first line%second line
"""


def test_a_crontab_is_read_line_by_line() -> None:
    found = parse_crontab(CRONTAB)
    environment = {"MAILTO": "ops@example.org", "PATH": "/usr/bin:/bin"}
    assert found.problems == ()
    assert found.entries == (
        CrontabEntry(
            line=5,
            cron="30 2 * * *",
            command="/usr/local/bin/backup --full",
            environment=environment,
        ),
        CrontabEntry(
            line=6,
            cron="*/15 * * * 1-5",
            command='check && echo "100% done"',
            environment=environment,
        ),
        CrontabEntry(line=7, cron="@daily", command="clean", environment=environment),
        CrontabEntry(
            line=9,
            cron="0 9 * * mon",
            command="report",
            stdin="first line\nsecond line",
            zone="Europe/Moscow",
            environment=environment,
        ),
    )


def test_lines_of_the_systems_crontab_have_a_user() -> None:
    text = "17 * * * * root cd / && run-parts /etc/cron.hourly\n@weekly www-data prune\n"
    hourly, weekly = parse_crontab(text, has_users=True).entries
    assert (hourly.user, hourly.command) == ("root", "cd / && run-parts /etc/cron.hourly")
    assert (weekly.user, weekly.command) == ("www-data", "prune")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@reboot start", "@reboot is no time of a schedule"),
        ("61 * * * * x", "its time can't be used: bad minute"),
        ("0~30 * * * * x", "its time can't be used: bad minute"),
        ("0 0 31 2 * x", "its time can't be used: it matches no date"),
        ("0 0 */30 * mon#2 x", "its time can't be used: it matches no date"),
        ("* * * * *", "it has no command"),
        ("@daily", "it has no command"),
        ("nonsense", "it has no command"),
    ],
)
def test_a_line_that_can_not_be_a_schedule_is_a_problem_of_its_own(line: str, why: str) -> None:
    found = parse_crontab(f"# first\n{line}\n@hourly y\n")
    [problem] = found.problems
    assert (problem.line, problem.text, problem.why) == (2, line, why)
    assert [entry.command for entry in found.entries] == ["y"]


@pytest.mark.parametrize(
    ("zone", "why"),
    [
        ("Europe/Moskow", "there is no time zone Europe/Moskow; did you mean Europe/Moscow?"),
        ("qqq", "there is no time zone qqq"),
    ],
)
def test_an_unknown_zone_is_a_problem_of_the_lines_below_it(zone: str, why: str) -> None:
    found = parse_crontab(f"@daily before\nCRON_TZ='{zone}'\n@daily after\n")
    assert [entry.command for entry in found.entries] == ["before"]
    assert [(problem.line, problem.why) for problem in found.problems] == [(3, why)]


def test_an_empty_crontab_has_nothing() -> None:
    found = parse_crontab("\n  \n#\n")
    assert (found.entries, found.problems) == ((), ())
