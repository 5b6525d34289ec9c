from typing import Any

import orjson
import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.wire.preview_requests import preview_json
from taskmill.wire.schedule_previews import SchedulePreviewView
from taskmill.wire.schedule_requests import to_schedule
from tests.support.tick_walk import utc

NOW = utc(2026, 1, 1)


def previewed(**fields: object) -> dict[str, Any]:
    body = preview_json(fields, NOW)
    SchedulePreviewView.model_validate_json(body)
    found: dict[str, Any] = orjson.loads(body)
    return found


def test_a_preview_shows_local_times_and_the_clock_changes_between_them() -> None:
    found = previewed(
        cron="30 2 * * *",
        zone="Europe/Berlin",
        fold="both",
        after="2026-10-24T02:00:00Z",
        count=3,
    )
    assert found == {
        "words": "at 02:30 every day, Europe/Berlin",
        "zone": "Europe/Berlin",
        "tz_version": TZ_VERSION,
        "ticks": [
            {
                "tick": "2026-10-25T00:30:00.000000Z",
                "local": "2026-10-25T02:30:00+02:00",
                "note": "fold_first",
            },
            {
                "tick": "2026-10-25T01:30:00.000000Z",
                "local": "2026-10-25T02:30:00+01:00",
                "note": "fold_last",
            },
            {
                "tick": "2026-10-26T01:30:00.000000Z",
                "local": "2026-10-26T02:30:00+01:00",
                "note": None,
            },
        ],
        "clock_changes": [
            {
                "at": "2026-10-25T01:00:00.000000Z",
                "kind": "fold",
                "local_from": "2026-10-25T02:00:00",
                "local_until": "2026-10-25T03:00:00",
                "offset_before": "+02:00",
                "offset_after": "+01:00",
            }
        ],
    }


@pytest.mark.parametrize(
    ("zone", "kind", "before", "after"),
    [
        ("America/St_Johns", "gap", "-03:30", "-02:30"),
        ("Pacific/Chatham", "fold", "+13:45", "+12:45"),
        ("Antarctica/Troll", "gap", "+00:00", "+02:00"),
    ],
)
def test_offsets_have_hours_and_minutes(zone: str, kind: str, before: str, after: str) -> None:
    [change] = previewed(cron="@monthly", zone=zone, after="2026-02-10T00:00:00Z", count=3)[
        "clock_changes"
    ]
    assert (change["kind"], change["offset_before"], change["offset_after"]) == (
        kind,
        before,
        after,
    )


def test_a_preview_is_of_now_and_has_twenty_ticks_by_default() -> None:
    ticks = previewed(every="PT1H")["ticks"]
    assert (ticks[0]["tick"], len(ticks)) == ("2026-01-01T01:00:00.000000Z", 20)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"cron": "@daily", "count": 0}, "/count"),
        ({"cron": "@daily", "count": 101}, "/count"),
        ({"cron": "@daily", "after": "now"}, "/after"),
        ({"cron": "@daily", "color": "red"}, "/color"),
        ({"cron": "@dayly"}, "/cron"),
        ({}, ""),
        ([], ""),
    ],
)
def test_what_is_wrong_with_a_request_is_named(body: object, pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        preview_json(body, NOW)
    assert [one.pointer for one in caught.value.violations] == [pointer]


_STORED = {
    "every": "PT15M",
    "zone": "Europe/Moscow",
    "jitter_s": 5,
    "task": {"name": "refresh", "type": "report", "payload": {"a": 1}},
    "catch_up": "all",
    "within": "PT1H",
    "most": 3,
    "overlap": "skip",
}


def test_the_body_that_stores_a_schedule_shows_the_same_ticks_as_its_times_alone() -> None:
    to_schedule(_STORED)
    assert previewed(**_STORED) == previewed(every="PT15M", zone="Europe/Moscow")


@pytest.mark.parametrize(
    "wrong",
    [
        {"catch_up": "some"},
        {"within": "P32D"},
        {"most": 0},
        {"overlap": 1},
        {"task": None},
        {"task": {}},
        {"task": {"name": "", "run_at": "2030-01-01T00:00:00Z", "color": "red"}},
        {"zone": "Europe/Moskow", "task": {"name": 1}},
    ],
)
def test_a_preview_refuses_what_would_not_be_stored_in_the_same_words(
    wrong: dict[str, object],
) -> None:
    body = {**_STORED, **wrong}
    with pytest.raises(InvalidInput) as stored:
        to_schedule(body)
    with pytest.raises(InvalidInput) as shown:
        preview_json(body, NOW)
    assert shown.value.violations == stored.value.violations
