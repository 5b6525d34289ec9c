"""The course of a task: what it waited for, and how each attempt ended, whatever its history has."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, strategies as st

from taskmill.domain.course import WAITS, AttemptCourse, PhaseKind, course_of
from taskmill.domain.lifecycle import EventType, Reason, Status
from taskmill.domain.system import TaskEvent

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
STATUS = {
    EventType.CREATED: Status.NEW,
    EventType.CLAIMED: Status.IN_PROGRESS,
    EventType.RETRY_SCHEDULED: Status.NEW,
    EventType.HANDED_BACK: Status.NEW,
    EventType.LOST: Status.NEW,
    EventType.RUN_AGAIN: Status.NEW,
    EventType.RESCHEDULED: Status.NEW,
    EventType.CANCEL_REQUESTED: Status.IN_PROGRESS,
    EventType.SUCCEEDED: Status.SUCCEEDED,
    EventType.FAILED: Status.FAILED,
    EventType.EXPIRED: Status.FAILED,
    EventType.CANCELLED: Status.CANCELLED,
}


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def an_event(
    event_type: EventType,
    seconds: float,
    *,
    due: float = 0,
    attempt: int = 0,
    run: int = 1,
    reason: Reason | None = None,
) -> TaskEvent:
    return TaskEvent(
        task_id=UUID(int=1),
        version=1,
        at=at(seconds),
        event_type=event_type,
        status=STATUS[event_type],
        run=run,
        attempt=attempt,
        losses=0,
        claim_no=attempt,
        run_at=at(due),
        worker=None,
        reason=reason,
        error=None,
    )


def shown(courses: list[AttemptCourse]) -> list[list[tuple[str, float]]]:
    return [[(one.kind, one.seconds) for one in course.phases] for course in courses]


def test_a_failed_attempt_is_followed_by_a_back_off_and_waiting() -> None:
    events = [
        an_event(EventType.CREATED, 0, due=5),
        an_event(EventType.CLAIMED, 7, attempt=1),
        an_event(EventType.RETRY_SCHEDULED, 9, due=19, attempt=1),
        an_event(EventType.CLAIMED, 20, attempt=2),
        an_event(EventType.SUCCEEDED, 23, attempt=2),
    ]
    courses = course_of(events, at(100))
    assert shown(courses) == [
        [("scheduled", 5), ("waiting", 2), ("failed", 2)],
        [("back_off", 10), ("waiting", 1), ("succeeded", 3)],
    ]
    assert [(one.attempt, one.waited_s, one.ran_s, one.kind) for one in courses] == [
        (1, 7, 2, "failed"),
        (2, 11, 3, "succeeded"),
    ]


def test_what_has_not_ended_lasts_until_now() -> None:
    running = [an_event(EventType.CREATED, 0), an_event(EventType.CLAIMED, 1, attempt=1)]
    assert shown(course_of(running, at(4))) == [[("waiting", 1), ("running", 3)]]
    [waiting] = course_of(running[:1], at(4))
    assert shown([waiting]) == [[("waiting", 4)]]
    assert (waiting.attempt, waiting.ran_s, waiting.kind) == (1, None, "waiting")
    backing_off = [*running, an_event(EventType.RETRY_SCHEDULED, 2, due=60, attempt=1)]
    assert shown(course_of(backing_off, at(4)))[1] == [("back_off", 2)]
    assert course_of(backing_off, at(4))[1].attempt == 2


def test_a_rescheduled_task_waits_on_until_its_new_time() -> None:
    events = [
        an_event(EventType.CREATED, 0, due=100),
        an_event(EventType.RESCHEDULED, 10, due=20),
        an_event(EventType.RESCHEDULED, 30, due=20),
    ]
    [course] = course_of(events, at(35))
    assert [(one.kind, one.begin, one.end) for one in course.phases] == [
        ("scheduled", at(0), at(10)),
        ("scheduled", at(10), at(20)),
        ("waiting", at(20), at(30)),
        ("waiting", at(30), at(35)),
    ]


def test_a_back_off_that_is_cut_short_stays_one() -> None:
    events = [
        an_event(EventType.CREATED, 0),
        an_event(EventType.CLAIMED, 0, attempt=1),
        an_event(EventType.RETRY_SCHEDULED, 1, due=100, attempt=1),
        an_event(EventType.RESCHEDULED, 5, due=8, attempt=1),
    ]
    assert shown(course_of(events, at(9)))[1] == [("back_off", 4), ("back_off", 3), ("waiting", 1)]


def test_a_lost_worker_is_no_failure_also_when_it_was_the_last() -> None:
    events = [
        an_event(EventType.CREATED, 0),
        an_event(EventType.CLAIMED, 0, attempt=1),
        an_event(EventType.LOST, 15, due=15),
        an_event(EventType.CLAIMED, 16, attempt=1),
        an_event(EventType.FAILED, 31, reason=Reason.WORKER_LOST),
    ]
    assert [one.kind for one in course_of(events, at(40))] == ["lost", "lost"]


def test_a_cancelled_task_ends_as_such_whether_it_ran_or_not() -> None:
    events = [an_event(EventType.CREATED, 0), an_event(EventType.CANCELLED, 3)]
    [course] = course_of(events, at(9))
    assert (course.kind, course.waited_s, course.claim) == (PhaseKind.CANCELLED, 3, None)
    events[1:] = [
        an_event(EventType.CLAIMED, 1, attempt=1),
        an_event(EventType.CANCEL_REQUESTED, 2, attempt=1),
        an_event(EventType.CANCELLED, 3, attempt=1),
    ]
    assert shown(course_of(events, at(9))) == [[("waiting", 1), ("cancelled", 2)]]


def test_a_task_that_ended_before_it_was_created_by_a_clock_set_back_has_waited_no_time() -> None:
    for ended in (EventType.CANCELLED, EventType.EXPIRED):
        events = [an_event(EventType.CREATED, 5, due=9), an_event(ended, 3)]
        [course] = course_of(events, at(9))
        assert (course.waited_s, course.phases[0].begin) == (0, at(5))


def test_an_expired_task_has_failed_while_it_waited() -> None:
    events = [an_event(EventType.CREATED, 0), an_event(EventType.EXPIRED, 3)]
    assert [one.kind for one in course_of(events, at(9))] == ["failed"]


def test_a_new_run_begins_when_somebody_asked_for_it() -> None:
    events = [
        an_event(EventType.CREATED, 0),
        an_event(EventType.CLAIMED, 1, attempt=1),
        an_event(EventType.FAILED, 2, attempt=1),
        an_event(EventType.RUN_AGAIN, 50, due=50, run=2),
        an_event(EventType.CLAIMED, 51, attempt=1, run=2),
    ]
    courses = course_of(events, at(53))
    assert [one.run for one in courses] == [1, 2]
    assert courses[1].phases[0].begin == at(50)


def test_a_history_without_its_beginning_begins_with_its_first_claim() -> None:
    events = [
        an_event(EventType.RETRY_SCHEDULED, 2, due=4, attempt=7),
        an_event(EventType.CLAIMED, 5, attempt=8),
        an_event(EventType.SUCCEEDED, 6, attempt=8),
    ]
    assert shown(course_of(events, at(9))) == [[("back_off", 2), ("waiting", 1), ("succeeded", 1)]]
    assert course_of(events[2:], at(9)) == []
    assert course_of([], at(9)) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(list(EventType)), st.integers(0, 50), st.integers(0, 200)),
        max_size=30,
    )
)
def test_phases_follow_each_other_without_gaps(steps: list[tuple[EventType, int, int]]) -> None:
    moment, events = 0, []
    for event_type, later, due in steps:
        moment += later
        events.append(an_event(event_type, moment, due=due))
    for course in course_of(events, at(moment)):
        assert course.phases
        for before, after in zip(course.phases, course.phases[1:], strict=False):
            assert before.end == after.begin
            assert before.kind in WAITS
        assert all(one.seconds >= 0 for one in course.phases)
