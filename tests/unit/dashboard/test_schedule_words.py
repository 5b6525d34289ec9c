"""When schedules have ticks, and moments of their zones, as pages say it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from taskmill.dashboard.schedule_words import cron_text, input_time, local_text, spec_text
from taskmill.dashboard.wording import Words
from taskmill.domain.schedules.spec import ScheduleSpec

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EN, RU = Words("en", NOW), Words("ru", NOW)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("cron", "english", "russian"),
    [
        ("* * * * *", "every minute", "каждую минуту"),
        ("*/15 * * * *", "every 15 minutes", "каждые 15 минут"),
        ("5 * * * *", "every hour at :05", "каждый час в :05"),
        ("@hourly", "every hour at :00", "каждый час в :00"),
        ("0 */6 * * *", "every 6 hours at :00", "каждые 6 часов в :00"),
        ("30 2 * * *", "at 02:30 every day", "каждый день в 02:30"),
        ("@daily", "at 00:00 every day", "каждый день в 00:00"),
        ("0 9 * * 1,0,7", "at 09:00 on Mon, Sun, Sun", "в 09:00: пн, вс, вс"),
    ],
)
def test_usual_cron_expressions_have_words(cron: str, english: str, russian: str) -> None:
    assert (cron_text(EN, cron), cron_text(RU, cron)) == (english, russian)


def test_working_days_and_days_of_the_month_have_words() -> None:
    assert cron_text(EN, "0 9 * * 1-5") == "at 09:00 from Monday to Friday"
    assert cron_text(EN, "0 4 1 * *") == "at 04:00 on day 1 of each month"
    assert "по пятницу" in (cron_text(RU, "0 9 * * 1-5") or "")
    assert "числа каждого месяца" in (cron_text(RU, "0 4 1 * *") or "")


@pytest.mark.parametrize(
    "cron",
    [
        *("*/7 * * * *", "0 */5 * * *", "*/0 * * * *", "0 0 * 1 *", "0 0 1 * 1", "0 0 L * *"),
        *("0 9 * * 1#1", "0 9 * * mon", "0 9 * * 9", "1,2 3 * * *", "0 0 0 * * *", "x"),
        *("* 2 * * *", "5-9 * * * *", "0 1-3 * * *"),
    ],
)
def test_other_ones_have_none(cron: str) -> None:
    assert cron_text(EN, cron) is None


def test_what_has_no_words_is_in_english() -> None:
    spec = ScheduleSpec(cron="0 9 * * 1#1")
    words, language = spec_text(RU, spec)
    assert language == "en"
    assert words.startswith("at 09:00")


def test_intervals_and_lists_of_times_have_words() -> None:
    assert (
        spec_text(EN, ScheduleSpec(every=timedelta(minutes=90))).words
        == "every 1\u00a0h 30\u00a0min"
    )
    assert spec_text(RU, ScheduleSpec(every=timedelta(hours=1))) == ("раз в 1\u00a0ч", "ru")
    assert spec_text(EN, ScheduleSpec(at=(NOW,))).words == "once, at 2026-11-30 12:00:00 UTC"
    twice = ScheduleSpec(at=(NOW, NOW + timedelta(days=1)))
    assert spec_text(EN, twice).words == (
        "2 times, from 2026-11-30 12:00:00 UTC to 2026-12-01 12:00:00 UTC"
    )


@pytest.mark.parametrize(
    ("moment", "english", "russian"),
    [
        (datetime(2026, 11, 30, 23, 30, tzinfo=BERLIN), "today at 23:30", "сегодня в 23:30"),
        (datetime(2026, 12, 1, 2, 30, tzinfo=BERLIN), "tomorrow at 02:30", "завтра в 02:30"),
        (
            datetime(2026, 11, 29, 2, 30, 15, tzinfo=BERLIN),
            "yesterday at 02:30:15",
            "вчера в 02:30:15",
        ),
        (
            datetime(2026, 12, 3, 2, 30, tzinfo=BERLIN),
            "Thu 2026-12-03 at 02:30",
            "чт 2026-12-03 в 02:30",
        ),
    ],
)
def test_a_moment_is_in_its_own_zone(moment: datetime, english: str, russian: str) -> None:
    assert local_text(EN, moment) == (english, "+01:00")
    assert local_text(RU, moment).words == russian


def test_days_are_near_in_the_zone_of_the_schedule() -> None:
    # In Auckland it is tomorrow already.
    late = datetime(2026, 11, 30, 22, tzinfo=UTC)
    local = late.astimezone(ZoneInfo("Pacific/Auckland"))
    assert local_text(Words("en", late), local).words == "today at 11:00"


def test_a_field_for_times_has_them_in_utc() -> None:
    assert input_time(datetime(2026, 12, 1, 1, tzinfo=BERLIN)) == "2026-12-01T00:00:00"
