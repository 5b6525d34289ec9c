"""Where and when a waiting task waits after it was rescheduled."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.rescheduling import Place, Rescheduling, place_of, rescheduled
from taskmill.domain.task import Task, new_task
from tests.support.builders import a_draft

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def waiting(run_at: datetime, expires_at: datetime | None = None) -> Task:
    return new_task(
        a_draft(queue="mail", priority=4, expires_at=expires_at),
        task_id=UUID(int=1),
        number=1,
        run_at=run_at,
        created_at=NOW - HOUR,
        updated_at=NOW - HOUR,
        retry=None,
    )


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        (Rescheduling(delay=timedelta(0)), Place(queue="mail", priority=4, run_at=NOW)),
        (Rescheduling(run_at=NOW - HOUR), Place(queue="mail", priority=4, run_at=NOW)),
        (
            Rescheduling(run_at=NOW + 2 * HOUR),
            Place(queue="mail", priority=4, run_at=NOW + 2 * HOUR),
        ),
        (Rescheduling(delay=HOUR / 2), Place(queue="mail", priority=4, run_at=NOW + HOUR / 2)),
        (Rescheduling(priority=9), Place(queue="mail", priority=9, run_at=NOW + HOUR)),
        (
            Rescheduling(priority=0, queue="slow"),
            Place(queue="slow", priority=0, run_at=NOW + HOUR),
        ),
        (Rescheduling(), Place(queue="mail", priority=4, run_at=NOW + HOUR)),
    ],
)
def test_only_what_is_wanted_changes(wanted: Rescheduling, place: Place) -> None:
    assert rescheduled(waiting(NOW + HOUR), wanted, NOW) == place


@pytest.mark.parametrize(
    "wanted", [Rescheduling(delay=timedelta(0)), Rescheduling(run_at=NOW - 2 * HOUR)]
)
def test_a_task_that_is_due_keeps_its_place_when_it_is_to_be_due_at_once(
    wanted: Rescheduling,
) -> None:
    task = waiting(NOW - HOUR)
    assert rescheduled(task, wanted, NOW) == place_of(task)


def test_a_task_that_is_due_may_be_put_off() -> None:
    place = rescheduled(waiting(NOW - HOUR), Rescheduling(delay=HOUR), NOW)
    assert place.run_at == NOW + HOUR


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        (Rescheduling(delay=2 * HOUR), "/delay_s"),
        (Rescheduling(run_at=NOW + 2 * HOUR), "/run_at"),
        (Rescheduling(run_at=NOW + 3 * HOUR), "/run_at"),
    ],
)
def test_a_task_can_not_be_due_after_it_has_expired(wanted: Rescheduling, pointer: str) -> None:
    task = waiting(NOW, expires_at=NOW + 2 * HOUR)
    with pytest.raises(InvalidInput) as caught:
        rescheduled(task, wanted, NOW)
    assert [one.pointer for one in caught.value.violations] == [pointer]
    assert rescheduled(task, Rescheduling(delay=HOUR), NOW).run_at == NOW + HOUR


def test_an_expired_task_may_get_another_priority() -> None:
    task = waiting(NOW - HOUR, expires_at=NOW - HOUR)
    assert rescheduled(task, Rescheduling(priority=9), NOW).priority == 9


def test_the_audit_log_has_what_is_wanted() -> None:
    assert Rescheduling(queue="q", delay=HOUR).details == {"queue": "q", "delay_s": 3600.0}
    assert Rescheduling(priority=0, run_at=NOW).details == {"priority": 0, "run_at": NOW}
