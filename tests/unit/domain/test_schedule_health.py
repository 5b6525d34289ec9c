"""How often schedules make tasks beside how often they were to, and what needs attention."""

from datetime import timedelta

import pytest

from taskmill.domain.fires import Fire, FireCause, FireOutcome
from taskmill.domain.schedule_health import (
    ScheduleTrouble,
    cadence,
    latest_tick,
    troubles,
)
from tests.support.stored_schedules import NOW, a_fire, a_request, a_schedule

MINUTE = timedelta(minutes=1)
SKIPPED = FireOutcome.SKIPPED_OVERLAP


def every_minute(*outcomes: FireOutcome) -> list[Fire]:
    """Fires of one tick a minute, the newest first."""
    return [a_fire(back, outcome) for back, outcome in enumerate(outcomes)]


def test_a_schedule_whose_ticks_all_make_tasks_is_as_often_as_asked() -> None:
    found = cadence(a_schedule(), every_minute(*[FireOutcome.CREATED] * 4))
    assert found is not None
    assert (found.ticks, found.created, found.asked, found.real) == (4, 4, MINUTE, MINUTE)
    assert not found.is_slow


def test_a_job_slower_than_its_interval_shows_how_often_it_really_runs() -> None:
    made, skipped = FireOutcome.CREATED, SKIPPED
    found = cadence(a_schedule(), every_minute(*(made, skipped, skipped) * 3))
    assert found is not None
    assert (found.asked, found.real) == (MINUTE, 3 * MINUTE)
    assert found.is_slow


def test_a_schedule_that_makes_no_task_has_no_real_cadence() -> None:
    found = cadence(a_schedule(), every_minute(*[FireOutcome.REFUSED] * 3))
    assert found is not None
    assert (found.created, found.real, found.is_slow) == (0, None, True)


def test_a_chance_tick_among_many_makes_none_slow() -> None:
    fires = every_minute(SKIPPED, *[FireOutcome.CREATED] * 19)
    assert [one.is_slow for one in (cadence(a_schedule(), fires),) if one] == [False]
    worse = cadence(a_schedule(), every_minute(SKIPPED, SKIPPED, *[FireOutcome.CREATED] * 18))
    assert worse is not None
    assert worse.is_slow


def test_missed_ticks_in_a_row_count_one_by_one() -> None:
    stretch = a_fire(9, FireOutcome.SKIPPED_MISSED, ticks=8, until_tick=NOW - 2 * MINUTE)
    found = cadence(a_schedule(), [a_fire(0), a_fire(1), stretch])
    assert found is not None
    assert (found.ticks, found.created, found.asked) == (10, 2, MINUTE)


def test_the_last_stretch_ends_with_its_last_tick() -> None:
    stretch = a_fire(4, FireOutcome.SKIPPED_MISSED, ticks=5, until_tick=NOW)
    found = cadence(a_schedule(), [stretch, a_fire(5)])
    assert found is not None
    assert (found.ticks, found.asked) == (6, MINUTE)


def test_a_held_tick_will_make_its_task() -> None:
    fires = every_minute(FireOutcome.HELD, FireOutcome.CREATED, FireOutcome.CREATED)
    found = cadence(a_schedule(), fires)
    assert found is not None
    assert found.created == 3


def test_what_the_owner_asked_for_is_not_counted() -> None:
    asked = [FireOutcome.SKIPPED_PAUSED, FireOutcome.SKIPPED_GAP]
    fires = every_minute(*[FireOutcome.CREATED] * 3, *asked)
    found = cadence(a_schedule(), fires)
    assert found is not None
    assert (found.ticks, found.created) == (3, 3)


def test_a_backfill_comes_too_late_to_count_and_a_run_by_hand_is_for_no_tick() -> None:
    fires = [
        a_fire(0, cause=FireCause.MANUAL),
        a_fire(1),
        a_fire(2, cause=FireCause.BACKFILL),
        a_fire(3),
    ]
    found = cadence(a_schedule(), fires)
    assert found is not None
    assert (found.ticks, found.created) == (3, 2)
    assert latest_tick(fires) == fires[1]


def test_only_ticks_since_the_last_change_count() -> None:
    fires = every_minute(FireOutcome.CREATED, FireOutcome.CREATED, SKIPPED, SKIPPED)
    assert cadence(a_schedule(updated_at=NOW - 90 * timedelta(seconds=1)), fires) is None
    assert cadence(a_schedule(), []) is None


def test_two_ticks_are_too_few_to_be_called_slow() -> None:
    assert cadence(a_schedule(), every_minute(SKIPPED, FireOutcome.CREATED)) is None


@pytest.mark.parametrize(
    ("parts", "outcomes", "expected"),
    [
        ({}, [FireOutcome.CREATED] * 3, []),
        ({}, [], []),
        ({}, [FireOutcome.REFUSED], [ScheduleTrouble.REFUSED]),
        ({}, [FireOutcome.CREATED, FireOutcome.REFUSED], []),
        ({}, [FireOutcome.REFUSED] * 3, [ScheduleTrouble.REFUSED]),
        ({}, [FireOutcome.CREATED, SKIPPED, SKIPPED], [ScheduleTrouble.SLOW]),
        ({"next_at": NOW - timedelta(seconds=61)}, [], [ScheduleTrouble.LATE]),
        ({"next_at": NOW - timedelta(seconds=59)}, [], []),
        # Left for later again and again, so that it is looked at once a minute.
        ({"postponed_since": NOW - timedelta(seconds=61)}, [], [ScheduleTrouble.LATE]),
        ({"postponed_since": NOW - timedelta(seconds=59)}, [], []),
        ({"next_at": NOW - timedelta(hours=1)}, [FireOutcome.REFUSED], [ScheduleTrouble.LATE]),
        ({"next_at": None}, [], []),
        ({"updated_at": NOW}, [FireOutcome.REFUSED], []),
        ({"paused_at": NOW, "next_at": NOW - timedelta(hours=1)}, [FireOutcome.REFUSED], []),
    ],
)
def test_what_needs_attention(
    parts: dict[str, object], outcomes: list[FireOutcome], expected: list[ScheduleTrouble]
) -> None:
    fires = every_minute(*outcomes)
    assert list(troubles(a_schedule(**parts), fires, is_readable=True)) == expected


def test_a_schedule_of_a_later_release_needs_attention_when_nothing_fires_it() -> None:
    """Before its tick is due, and while maintenance of that release does, nothing is wrong."""
    assert troubles(a_schedule(), [], is_readable=False) == ()
    for parts in ({"next_at": NOW - MINUTE * 2}, {"postponed_since": NOW - MINUTE * 2}):
        found = troubles(a_schedule(**parts), [], is_readable=False)
        assert found == (ScheduleTrouble.UNREADABLE,)


def test_a_refused_request_needs_attention_whatever_the_schedule_does() -> None:
    for parts in ({}, {"paused_at": NOW}, {"revision": 0}):
        asked = a_schedule(**parts, request=a_request())
        assert troubles(asked, [], is_readable=True) == (), "it waits"
        refused = a_schedule(**parts, request=a_request(problem="{}"))
        assert troubles(refused, [], is_readable=True) == (ScheduleTrouble.REQUEST,)
    assert troubles(a_schedule(revision=0, request=a_request()), [], is_readable=False) == ()
