"""`taskmill schedule` as its users meet it."""

from collections.abc import Callable

import orjson
import pytest

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url", "service")

AUTUMN = ("--after", "2026-10-24T03:00Z", "--count", "3")
SPRING = ("--after", "2026-03-28T12:00Z", "--count", "2")
NIGHTLY = ("schedule", "preview", "--cron", "30 2 * * *", "--zone", "Europe/Berlin")


def test_a_preview_says_the_schedule_in_words_and_names_clock_changes(taskmill: Taskmill) -> None:
    status, out, err = taskmill(*NIGHTLY, "--fold", "both", *AUTUMN)

    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "at 02:30 every day, Europe/Berlin",
        "Sun 2026-10-25T02:30:00+02:00  2026-10-25 00:30:00Z  the first time of two",
        "clock change: 2026-10-25T02:00:00 to 2026-10-25T03:00:00 come twice  +02:00 → +01:00",
        "Sun 2026-10-25T02:30:00+01:00  2026-10-25 01:30:00Z  the last time of two",
        "Mon 2026-10-26T02:30:00+01:00  2026-10-26 01:30:00Z",
    ]


def test_a_preview_shows_what_becomes_of_times_that_are_left_out(taskmill: Taskmill) -> None:
    change = (
        "clock change: 2026-03-29T02:00:00 to 2026-03-29T03:00:00 are left out  +01:00 → +02:00"
    )
    tick = "Sun 2026-03-29T03:00:00+02:00  2026-03-29 01:00:00Z  "

    _, out, _ = taskmill(*NIGHTLY, *SPRING)
    assert out.splitlines()[1:3] == [change, tick + "for a time that the clock change leaves out"]

    _, out, _ = taskmill(*NIGHTLY, "--gap", "skip", *SPRING)
    assert out.splitlines()[1:3] == [change, tick + "skipped: the clock change leaves it out"]


def test_all_options_of_a_schedule_reach_the_service(taskmill: Taskmill) -> None:
    options = ("--anchor", "2030-01-01T00:30Z", "--starts-at", "2030-01-01T01:00Z")
    bounds = ("--ends-at", "2030-01-01T02:00Z", "--jitter", "30", "--after", "2029-12-31T00:00Z")

    status, out, _ = taskmill("schedule", "preview", "--every", "PT1H", *options, *bounds)

    assert status == 0
    assert out.splitlines() == [
        "every hour, counted from 2030-01-01 00:30 UTC",
        "Tue 2030-01-01T01:30:00+00:00  2030-01-01 01:30:00Z",
    ]


def test_several_times_are_given_by_repeating_the_option(taskmill: Taskmill) -> None:
    times = ("--at", "2030-05-01T09:00Z", "--at", "2030-05-02T09:00Z")

    _, out, _ = taskmill("schedule", "preview", *times, "--after", "2030-05-01T10:00Z")
    assert out.splitlines()[1:] == ["Thu 2030-05-02T09:00:00+00:00  2030-05-02 09:00:00Z"]

    _, out, _ = taskmill("schedule", "preview", *times, "--after", "2031-01-01T00:00Z")
    assert out.splitlines()[1:] == ["it has no more ticks"]


def test_a_preview_as_json_is_one_object(taskmill: Taskmill) -> None:
    status, out, _ = taskmill(*NIGHTLY, *SPRING, "--json")

    found = orjson.loads(out)
    assert (status, found["zone"], len(found["ticks"])) == (0, "Europe/Berlin", 2)
    assert found["ticks"][0]["note"] == "after_gap"


def test_what_is_wrong_is_named(taskmill: Taskmill) -> None:
    status, out, err = taskmill("schedule", "preview", "--cron", "@daily", "--zone", "Moscow")
    assert (status, out) == (1, "")
    assert 'did you mean "Europe/Moscow"?' in err

    status, _, err = taskmill("schedule", "preview", "--gap", "fill")
    assert status == 2
    assert "--gap" in err
