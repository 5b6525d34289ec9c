"""The time in a task's id."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, strategies as st

from taskmill.domain.identity import created_at, lower_bound

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  (Hypothesis adds the zone)
    max_value=datetime(2999, 1, 1),  # noqa: DTZ001  (Hypothesis adds the zone)
    timezones=st.just(UTC),
)


def test_an_id_has_the_time_of_its_creation() -> None:
    task_id = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")  # the example of RFC 9562
    assert created_at(task_id) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


@given(MOMENTS)
def test_the_lower_bound_is_the_first_id_not_before_the_moment(moment: datetime) -> None:
    bound = lower_bound(moment)
    assert timedelta(0) <= created_at(bound) - moment < timedelta(milliseconds=1)
    assert bound.int == 0 or created_at(UUID(int=bound.int - 1)) < moment


def test_a_moment_within_a_millisecond_is_bounded_by_the_next_one() -> None:
    moment = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    whole, next_one = UUID("017f22e2-79b0-0000-0000-000000000000"), UUID(int=0x017F22E279B1 << 80)
    assert lower_bound(moment) == whole
    assert lower_bound(moment + timedelta(microseconds=1)) == next_one
    assert lower_bound(moment + timedelta(milliseconds=1)) == next_one


def test_a_moment_before_the_first_id_is_bounded_by_zero() -> None:
    assert lower_bound(datetime(1900, 1, 1, tzinfo=UTC)) == UUID(int=0)
