"""The formats of changes: the hand-written bytes fit the models, and cursors survive a round trip."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from taskmill.domain.feed import OLDEST, START, Change, Cursor, FeedFilter
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import TaskEvent
from taskmill.wire.feed import (
    ChangeView,
    CloudEventView,
    change_frame,
    change_json,
    cloud_event_json,
    notice_frame,
)

MOMENT = datetime(2030, 1, 31, 9, tzinfo=UTC)
CHANGE = Change(
    Cursor(4712, 3),
    TaskEvent(
        task_id=UUID("0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"),
        version=3,
        at=MOMENT,
        event_type=EventType.FAILED,
        status=Status.FAILED,
        run=1,
        attempt=1,
        losses=0,
        claim_no=1,
        run_at=MOMENT,
        worker="host-1",
        reason="error",
        error='{"type": "ValueError", "message": "no\\nsuch customer"}',
    ),
    queue="reports",
    type="emulate",
    name="a\nname\u2028",
    labels='{"team": "finance"}',
)


def test_a_change_fits_its_model() -> None:
    view = ChangeView.model_validate_json(change_json(CHANGE))
    assert (view.cursor, view.queue, view.labels) == ("4712.3", "reports", {"team": "finance"})
    assert view.error is not None
    assert view.error.message == "no\nsuch customer"
    assert view.at == MOMENT


def test_a_cloud_event_fits_its_model() -> None:
    event = CloudEventView.model_validate_json(cloud_event_json(CHANGE, source="/here"))
    assert (event.id, event.source, event.type) == ("4712.3", "/here", "taskmill.task.failed")
    assert event.data == ChangeView.model_validate_json(change_json(CHANGE))
    assert event.subject == CHANGE.event.task_id


def test_a_frame_has_three_lines_whatever_the_name_of_the_task() -> None:
    lines = change_frame(CHANGE).split(b"\n")
    assert lines[:2] == [b"id: 4712.3", b"event: change"]
    assert lines[2] == b"data: " + change_json(CHANGE)
    assert lines[3:] == [b"", b""]
    assert b"\r" not in change_json(CHANGE._replace(name="a\rb"))


def test_a_notice_is_no_event() -> None:
    notice = notice_frame("bye", cursor=Cursor(1, 2), retry_ms=5)
    assert notice == b": bye\nretry: 5\nid: 1.2\n\n"


@pytest.mark.parametrize("cursor", [START, Cursor(1, 1), Cursor(10**18 - 1, 10**9 - 1)])
def test_a_cursor_is_read_as_it_is_written(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


def test_zero_is_the_oldest_that_is_retained() -> None:
    assert Cursor.parse("0") == OLDEST
    assert OLDEST < START < Cursor(1, 0)


@pytest.mark.parametrize(
    "text", ["", "1", "01.1", "1.01", "1.", ".1", "1.1 ", "1.1\n", "+1.1", "9" * 19 + ".1"]
)
def test_other_texts_are_not_cursors(text: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("wanted", "admits"),
    [
        (FeedFilter(), True),
        (FeedFilter(queues=frozenset({"reports", "x"})), True),
        (FeedFilter(queues=frozenset({"x"})), False),
        (FeedFilter(types=frozenset({"x"})), False),
        (FeedFilter(statuses=frozenset({Status.FAILED})), True),
        (FeedFilter(statuses=frozenset({Status.NEW})), False),
        (FeedFilter(tasks=frozenset({CHANGE.event.task_id})), True),
        (FeedFilter(tasks=frozenset({UUID(int=1)})), False),
    ],
)
def test_a_filter_admits_what_fits_all_that_is_given(wanted: FeedFilter, admits: bool) -> None:  # noqa: FBT001 - a case
    assert wanted.admits(CHANGE) is admits
