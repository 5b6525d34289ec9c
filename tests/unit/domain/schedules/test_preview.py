from datetime import datetime, timedelta, timezone

from taskmill.domain.schedules.preview import clock_changes, preview
from taskmill.domain.schedules.spec import ClockNote, Fold, Gap, ScheduleSpec
from taskmill.domain.schedules.zones import changes_in
from tests.support.tick_walk import utc

NIGHTLY = "30 2 * * *"


def shown(spec: ScheduleSpec, month: int, count: int) -> list[tuple[str, ClockNote | None]]:
    found = preview(spec, utc(2026, month, 24), count)
    return [(f"{one.local:%d %H:%M%z}", one.note) for one in found.ticks]


def test_ticks_have_their_local_time_and_clock_changes_are_named() -> None:
    spec = ScheduleSpec(cron=NIGHTLY, zone="Europe/Berlin")
    assert shown(spec, 3, 7)[4:] == [
        ("28 02:30+0100", None),
        ("29 03:00+0200", ClockNote.AFTER_GAP),
        ("30 02:30+0200", None),
    ]
    found = preview(spec, utc(2026, 3, 24), 7)
    assert found.changes == changes_in("Europe/Berlin", 2026)[:1]
    assert preview(spec, utc(2026, 3, 24), 6).changes == found.changes
    assert preview(spec, utc(2026, 3, 24), 5).changes == ()


def test_a_skipped_tick_says_so() -> None:
    spec = ScheduleSpec(cron=NIGHTLY, zone="Europe/Berlin", gap=Gap.SKIP)
    assert shown(spec, 3, 6)[5] == ("29 03:00+0200", ClockNote.SKIPPED_GAP)


def test_both_times_of_a_fold_say_which_they_are() -> None:
    spec = ScheduleSpec(cron=NIGHTLY, zone="Europe/Berlin", fold=Fold.BOTH)
    assert shown(spec, 10, 4) == [
        ("24 02:30+0200", None),
        ("25 02:30+0200", ClockNote.FOLD_FIRST),
        ("25 02:30+0100", ClockNote.FOLD_LAST),
        ("26 02:30+0100", None),
    ]


def test_without_a_number_there_are_twenty_and_fewer_if_it_ends() -> None:
    spec = ScheduleSpec(every=timedelta(hours=1), ends_at=utc(2026, 1, 1, 3))
    assert len(preview(spec, utc(2025, 12, 1)).ticks) == 20
    assert len(preview(spec, utc(2026, 1, 1)).ticks) == 2
    ended = preview(spec, utc(2026, 1, 2))
    assert (ended.ticks, ended.changes) == ((), ())


def test_every_clock_change_between_two_moments_is_listed_once() -> None:
    spring, autumn = changes_in("Europe/Berlin", 2026)
    assert clock_changes("Europe/Berlin", spring.at, autumn.at) == (autumn,)
    before = spring.at - timedelta.resolution
    assert clock_changes("Europe/Berlin", before, autumn.at) == (spring, autumn)
    assert len(clock_changes("Europe/Berlin", utc(2026, 1, 1), utc(2036, 1, 1))) == 20
    new_year = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    dhaka = changes_in("Asia/Dhaka", 2009)[-1:]
    assert clock_changes("Asia/Dhaka", utc(2009, 12, 1), utc(2009, 12, 31, 18)) == dhaka
    assert clock_changes("Europe/Berlin", new_year, autumn.at) == (spring, autumn)
