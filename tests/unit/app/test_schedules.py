"""Schedules that task types declare: their options, and what is refused where they are written."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskmill import RetryPolicy, Taskmill

NOON = datetime(2031, 1, 31, 12, tzinfo=UTC)


def report(kind: str = "daily") -> None:
    """Report."""


def test_a_declared_schedule_has_the_name_and_the_options_of_its_type() -> None:
    app = Taskmill("shop")
    app.task(
        "report",
        queue="reports",
        priority=7,
        retry=RetryPolicy(base=timedelta(seconds=2)),
        timeout=30,
        cron="30 2 * * *",
        zone="Europe/Moscow",
        overlap="skip",
        within=timedelta(minutes=90),
        ends_at=NOON,
    )(report)
    [made] = app.schedules
    assert made.name == "report"
    assert made.body == {
        "cron": "30 2 * * *",
        "zone": "Europe/Moscow",
        "overlap": "skip",
        "within": "PT1H30M",
        "ends_at": NOON.isoformat(),
        "task": {
            "name": "report",
            "type": "report",
            "queue": "reports",
            "priority": 7,
            "retry": {"base_s": 2.0, "factor": 2.0, "max_s": 3600.0, "jitter": 0.1},
            "timeout_s": 30,
        },
    }
    assert made.draft().spec.zone == "Europe/Moscow"


def test_intervals_and_times_may_be_objects_or_texts() -> None:
    for every in (timedelta(minutes=15), "PT15M"):
        app = Taskmill("shop")
        app.task("report", every=every)(report)
        assert app.schedules[0].draft().spec.every == timedelta(minutes=15)
    app = Taskmill("shop")
    app.task("report", at=[NOON, "2031-02-01T12:00:00Z"])(report)
    assert app.schedules[0].draft().spec.at == (NOON, NOON + timedelta(days=1))


def test_a_type_without_times_has_no_schedule() -> None:
    app = Taskmill("shop")
    assert app.task("report")(report).schedule is None
    assert app.schedules == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cron": "61 * * * *"}, "/cron"),
        ({"cron": "0 0 31 2 *"}, "/cron"),
        ({"cron": "@daily", "zone": "Europe/Berln"}, "Europe/Berlin"),
        ({"cron": "@daily", "every": "PT1M"}, "only one of cron, every and at"),
        ({"zone": "UTC"}, "one of cron, every and at"),
        ({"every": timedelta(milliseconds=1)}, "/every"),
        ({"every": "PT1M", "overlap": "never"}, "/overlap"),
        ({"at": [NOON.replace(tzinfo=None)]}, "at needs a time zone"),
    ],
)
def test_a_wrong_schedule_is_refused_where_it_is_declared(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Taskmill("shop").task("report", **options)(report)


def test_an_option_that_is_misspelt_is_refused_as_ever() -> None:
    options: dict[str, Any] = {"quue": "reports"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'quue'"):
        Taskmill("shop").task("report", **options)


def test_a_schedule_needs_a_name_of_its_app() -> None:
    with pytest.raises(ValueError, match=r'its app needs a name, as in Taskmill\("shop"\)'):
        Taskmill().task("report", cron="@daily")(report)


@pytest.mark.parametrize("name", ["", "Shop", "shop.tasks:app", "x" * 64])
def test_the_name_of_an_app_is_as_those_of_queues(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 63 characters"):
        Taskmill(name)


def test_a_handler_that_needs_a_payload_has_no_schedule() -> None:
    def mail(to: str) -> None:
        """Mail."""

    with pytest.raises(TypeError, match=r"/payload/to.*give its parameters defaults"):
        Taskmill("shop").task("mail", cron="@daily")(mail)
