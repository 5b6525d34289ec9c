"""The time in a task's id."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, strategies as st

from taskmill.domain.identity import created_at, lower_bound
from taskmill.domain.system import BrokerPresence, BrokerState, Readiness

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


def test_a_moment_before_the_first_id_is_bounded_by_zero() -> None:
    assert lower_bound(datetime(1900, 1, 1, tzinfo=UTC)) == UUID(int=0)


def test_the_process_is_ready_when_every_part_is_well() -> None:
    away = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="nobody answers")
    assert Readiness(parts={"database": None, "schema": None}, broker=away).is_ready
    missing: dict[str, str | None] = {"database": None, "schema": "0001 is missing"}
    assert not Readiness(parts=missing, broker=away).is_ready


def test_the_broker_is_described_in_words() -> None:
    def described(presence: BrokerPresence, trouble: str | None = None) -> str:
        return str(BrokerState(presence=presence, policy="auto", trouble=trouble))

    assert described(BrokerPresence.OK) == "ok"
    assert described(BrokerPresence.AWAY, "nobody answers") == "away: nobody answers"
    assert described(BrokerPresence.NONE) == "none (claims come from PostgreSQL)"
