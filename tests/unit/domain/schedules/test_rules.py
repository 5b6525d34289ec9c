from datetime import timedelta
from typing import Any

import pytest

from taskmill.domain.schedules.rules import CRON_WORDS, shortest_distance, spec_violations
from taskmill.domain.schedules.spec import Gap, ScheduleSpec
from tests.support.tick_walk import utc

NOON = utc(2030, 1, 1, 12)
HOUR = timedelta(hours=1)


def violations(fields: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = spec_violations(ScheduleSpec(**fields))
    return [(one.pointer, one.expected, one.got) for one in found]


@pytest.mark.parametrize(
    "fields",
    [
        {"cron": "30 2 * * *", "zone": "Europe/Moscow", "jitter_s": 3600},
        {"every": timedelta(seconds=1), "anchor": NOON},
        {"at": (NOON, NOON + timedelta(seconds=1)), "jitter_s": 0.9},
        {"at": (NOON,), "jitter_s": 86_400},
        {"at": (utc(2000, 1, 1),)},
        {"cron": "@hourly", "starts_at": NOON, "ends_at": NOON + timedelta.resolution},
    ],
)
def test_what_is_allowed_has_no_violation(fields: dict[str, Any]) -> None:
    assert violations(fields) == []


ONLY_ONE = "only one of cron, every and at"
IN_BOUNDS = "a tick from starts_at on and before ends_at"
APART = "times a second or more apart, ascending"


@pytest.mark.parametrize(
    ("fields", "violation"),
    [
        ({}, ("", "one of cron, every and at", "none of them")),
        ({"cron": "@daily", "every": HOUR}, ("/every", ONLY_ONE, "cron and every")),
        ({"cron": "@daily", "anchor": NOON}, ("/anchor", "no anchor without every", "one")),
        (
            {"cron": "60 * * * *"},
            ("/cron", CRON_WORDS, 'the string "60 * * * *": bad minute'),
        ),
        (
            {"cron": "0 0 31 2 *"},
            ("/cron", "one that matches a date", 'the string "0 0 31 2 *": it matches no date'),
        ),
        (
            {"cron": "@daily", "zone": "Europe/Berlim"},
            (
                "/zone",
                "the IANA name of a time zone, such as Europe/Berlin",
                'the string "Europe/Berlim" (did you mean "Europe/Berlin"?)',
            ),
        ),
        ({"every": timedelta(seconds=0.999)}, ("/every", "a second or more", "0:00:00.999000")),
        (
            {"at": (NOON, NOON + timedelta(seconds=0.5))},
            (
                "/at/1",
                APART,
                "2030-01-01T12:00:00.500000+00:00 after 2030-01-01T12:00:00+00:00",
            ),
        ),
        (
            {"cron": "@daily", "starts_at": NOON, "ends_at": NOON},
            ("/ends_at", "a time after starts_at", "2030-01-01T12:00:00+00:00"),
        ),
        ({"every": HOUR, "ends_at": utc(2000, 1, 1)}, ("/every", IN_BOUNDS, "none")),
        ({"at": (NOON,), "starts_at": NOON + HOUR}, ("/at", IN_BOUNDS, "none")),
        (
            {
                "cron": "30 2 29 3 *",
                "zone": "Europe/Berlin",
                "gap": Gap.SKIP,
                "starts_at": utc(2026, 1, 1),
                "ends_at": utc(2027, 1, 1),
            },
            ("/cron", IN_BOUNDS, "none"),
        ),
        (
            {"cron": "* * * * *", "jitter_s": 60},
            ("/jitter_s", "less than the shortest distance of two ticks, 60 s", "60"),
        ),
    ],
)
def test_a_violation_says_where_it_is_and_what_was_expected(
    fields: dict[str, Any], violation: tuple[str, str, str]
) -> None:
    assert violations(fields) == [violation]


def test_all_violations_are_named_at_once() -> None:
    found = violations(
        {"cron": "x", "zone": "y", "anchor": NOON, "starts_at": NOON, "ends_at": NOON}
    )
    assert [pointer for pointer, _, _ in found] == ["/anchor", "/zone", "/cron", "/ends_at"]


def test_a_long_text_is_cut() -> None:
    [(_, _, got)] = violations({"cron": "1," * 100})
    assert got == f'the string "{"1," * 29}1…": wrong number of fields'
    [(_, _, got)] = violations({"cron": "@daily", "zone": "q" * 60})
    assert got == f'the string "{"q" * 60}"'


def test_the_shortest_distance_is_that_of_the_closest_ticks() -> None:
    assert shortest_distance(ScheduleSpec(cron="0 3,5 * * *")) == 2 * HOUR
    assert shortest_distance(ScheduleSpec(every=HOUR)) == HOUR
    times = (NOON, NOON + 3 * HOUR, NOON + 4 * HOUR, NOON + 9 * HOUR)
    assert shortest_distance(ScheduleSpec(at=times)) == HOUR
    assert shortest_distance(ScheduleSpec(at=times[:1])) is None
