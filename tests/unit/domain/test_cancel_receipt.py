"""What became of a request to cancel a task."""

from dataclasses import replace

from taskmill.domain.cancel_receipt import CancelReceipt, cancel_receipt
from taskmill.domain.lifecycle import EventType
from tests.unit.domain.test_course import an_event, at

CREATED = an_event(EventType.CREATED, 0)
CLAIMED = replace(an_event(EventType.CLAIMED, 1, attempt=1), worker="w")
REQUESTED = an_event(EventType.CANCEL_REQUESTED, 5, attempt=1)


def test_a_waiting_task_is_cancelled_at_once() -> None:
    end = an_event(EventType.CANCELLED, 3)
    receipt = cancel_receipt([CREATED, end])
    assert receipt == CancelReceipt(requested_at=at(3), worker=None, end=end)
    assert receipt.is_done
    assert receipt.took_s == 0


def test_a_running_one_is_stopped_by_its_worker() -> None:
    asked = cancel_receipt([CREATED, CLAIMED, REQUESTED])
    assert asked == CancelReceipt(requested_at=at(5), worker="w", end=None)
    assert not asked.is_done
    assert asked.took_s is None
    end = an_event(EventType.CANCELLED, 6, attempt=1)
    stopped = cancel_receipt([CREATED, CLAIMED, REQUESTED, end])
    assert stopped is not None
    assert stopped.is_done
    assert (stopped.worker, stopped.took_s) == ("w", 1)


def test_what_succeeds_was_not_cancelled() -> None:
    end = an_event(EventType.SUCCEEDED, 6, attempt=1)
    receipt = cancel_receipt([CREATED, CLAIMED, REQUESTED, end])
    assert receipt is not None
    assert not receipt.is_done


def test_a_cancel_of_an_earlier_run_has_no_receipt() -> None:
    cancelled = an_event(EventType.CANCELLED, 6, attempt=1)
    again = an_event(EventType.RUN_AGAIN, 9, run=2)
    assert cancel_receipt([CREATED, CLAIMED, REQUESTED, cancelled, again]) is None
    assert cancel_receipt([CREATED, CLAIMED]) is None
    assert cancel_receipt([]) is None
