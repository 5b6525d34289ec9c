"""Responses written by hand are the same as those of their models."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from uuid import UUID

import asyncpg.pgproto.pgproto as driver
import orjson
import pytest
from hypothesis import given, strategies as st

from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import (
    BrokerPresence,
    BrokerState,
    Liveness,
    QueueState,
    Stats,
    TaskEvent,
    WorkerState,
)
from taskmill.wire.basics import etag, format_timestamp
from taskmill.wire.encoding import encode_json, encode_json_line, fast_timestamp
from taskmill.wire.masking import plain
from taskmill.wire.queues import (
    QueueList,
    QueueView,
    queue_json,
    queues_json,
    to_queue_change,
)
from taskmill.wire.system import (
    EventList,
    StatsView,
    WorkerList,
    events_json,
    stats_json,
    workers_json,
)
from taskmill.wire.task_pages import tasks_page_pieces
from taskmill.wire.tasks import TaskList, TaskView, task_json
from tests.unit.wire.builders import NOON, TASK_ID, a_task

ON_THE_WIRE = (
    "id, number, name, description, type, payload, payload_secrets, queue, priority, status, run, attempt, "
    "max_attempts, losses, max_losses, retry, timeout_s, cancel_requested, run_at, expires_at, created_at, "
    "started_at, finished_at, updated_at, progress, result, error, labels, callback_url, source, version"
)
FINISHED = a_task(
    status=Status.FAILED,
    payload='{"customer":4711,"tags":["a"]}',
    result="[1,2]",
    error='{"type":"ValueError","message":"no such customer"}',
    labels='{"team":"finance"}',
    started_at=NOON + timedelta(microseconds=1),
    finished_at=NOON + timedelta(seconds=5),
    expires_at=NOON + timedelta(days=1),
    retry='{"base_s":1.0,"factor":2.0,"max_s":3600.0,"jitter":0.1}',
    timeout=timedelta(seconds=7.5),
    callback_url="https://example.org/done?order=5",
    version=3,
)


@pytest.mark.parametrize("task", [a_task(), FINISHED])
def test_a_shown_task_has_the_fields_of_the_contract_in_order(task: object) -> None:
    shown = json.loads(task_json(task))  # type: ignore[arg-type]
    assert ", ".join(shown) == ON_THE_WIRE
    assert ", ".join(TaskView.model_fields) == ON_THE_WIRE


@pytest.mark.parametrize("task", [a_task(), FINISHED])
def test_a_shown_task_is_its_view_to_the_byte(task: object) -> None:
    shown = task_json(task)  # type: ignore[arg-type]
    assert TaskView.model_validate_json(shown).model_dump_json().encode() == shown


def test_stored_json_is_inserted_unchanged() -> None:
    shown = json.loads(task_json(plain(FINISHED)))
    assert shown["payload"] == {"customer": 4711, "tags": ["a"]}
    assert shown["result"] == [1, 2]
    assert shown["error"] == {"type": "ValueError", "message": "no such customer"}
    assert shown["labels"] == {"team": "finance"}
    assert shown["status"] == "failed"
    assert shown["retry"] == {"base_s": 1, "factor": 2, "max_s": 3600, "jitter": 0.1}
    assert (shown["timeout_s"], shown["expires_at"]) == (7.5, "2030-02-01T12:00:00.000000Z")
    assert shown["callback_url"] == "https://example.org/done?order=5"
    assert shown["started_at"] == "2030-01-31T12:00:00.000001Z"


def test_a_drivers_uuid_class_is_encoded_as_any_uuid() -> None:
    assert task_json(plain(a_task(id=driver.UUID(str(TASK_ID))))) == task_json(plain(a_task()))


def test_any_other_class_is_a_fault() -> None:
    with pytest.raises(TypeError):
        encode_json({"what": object()})


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(Status))
def test_any_text_is_shown_as_it_is(text: str, status: Status) -> None:
    shown = TaskView.model_validate_json(task_json(plain(a_task(name=text, status=status))))
    assert shown.name == text
    assert shown.status is status


def test_a_page_with_a_total_shows_just_that() -> None:
    [page] = tasks_page_pieces(
        [plain(a_task()), plain(FINISHED)], total=2, total_at_least=2, next_cursor=None
    )
    assert list(json.loads(page)) == ["items", "total", "next_cursor"]
    view = TaskList.model_validate_json(page)
    assert [task.version for task in view.items] == [1, 3]
    assert (view.total, view.total_at_least, view.next_cursor) == (2, None, None)


def test_a_page_without_a_total_has_the_count_so_far() -> None:
    [page] = tasks_page_pieces([], total=None, total_at_least=500, next_cursor="abc")
    view = TaskList.model_validate_json(page)
    assert (view.total, view.total_at_least, view.next_cursor) == (None, 500, "abc")


@pytest.mark.parametrize(
    ("count", "description", "pieces"),
    [(50, "", 1), (51, "", 2), (500, "", 10), (60, "x" * 99_000, 20)],
)
def test_a_large_page_comes_in_pieces(count: int, description: str, pieces: int) -> None:
    tasks = [plain(a_task(number=number, description=description)) for number in range(count)]
    found = list(tasks_page_pieces(tasks, total=count, next_cursor=None))
    assert len(found) == pieces
    view = TaskList.model_validate_json(b"".join(found))
    assert [task.number for task in view.items] == list(range(count))
    assert view.total == count


def test_an_entity_tag_has_the_version_and_the_progress() -> None:
    assert etag(7) == '"7.0"'
    assert etag(7, 3) == '"7.3"'


def an_event() -> TaskEvent:
    return TaskEvent(
        task_id=TASK_ID,
        version=1,
        at=NOON,
        event_type=EventType.CREATED,
        status=Status.NEW,
        run=1,
        attempt=0,
        losses=0,
        claim_no=0,
        run_at=NOON,
        worker=None,
        reason=None,
        error=None,
    )


def test_a_history_is_its_view_to_the_byte() -> None:
    failed = replace(
        an_event(),
        version=2,
        event_type=EventType.FAILED,
        status=Status.FAILED,
        worker="host-1",
        reason="error",
        error='{"type":"ValueError","message":"no"}',
    )
    shown = events_json([an_event(), failed], "next")
    assert EventList.model_validate_json(shown).model_dump_json().encode() == shown


def test_workers_are_their_view_to_the_byte() -> None:
    alive = WorkerState(
        id=UUID(int=1),
        name="host-1",
        queues=[],
        types=["*"],
        slots=1000,
        running=3,
        started_at=NOON,
        renewed_at=NOON,
        expires_at=NOON + timedelta(seconds=15),
        closed_at=None,
        close_reason=None,
        request=None,
        remote=False,
        state=Liveness.ALIVE,
    )
    gone = replace(alive, closed_at=NOON, close_reason="expired", state=Liveness.CLOSED)
    shown = workers_json([alive, gone])
    assert WorkerList.model_validate_json(shown).model_dump_json().encode() == shown


def a_queue(*, counts: Mapping[Status, int] | None = None) -> QueueState:
    return QueueState(
        name="default",
        paused_at=None,
        created_at=NOON,
        oldest_due_at=None,
        counts=counts or {},
    )


def test_queues_are_their_view_to_the_byte() -> None:
    paused = replace(a_queue(counts={Status.NEW: 2}), paused_at=NOON, oldest_due_at=NOON)
    shown = queues_json([a_queue(), paused])
    assert QueueList.model_validate_json(shown).model_dump_json().encode() == shown
    assert QueueView.model_validate_json(queue_json(paused)).paused
    assert not QueueView.model_validate_json(queue_json(a_queue())).paused


def test_counts_name_every_status() -> None:
    shown = json.loads(queue_json(a_queue(counts={Status.FAILED: 1})))
    assert shown["counts"] == {
        "new": 0,
        "in_progress": 0,
        "succeeded": 0,
        "failed": 1,
        "cancelled": 0,
    }


def test_stats_add_up_over_queues() -> None:
    stats = Stats(
        queues={"a": {Status.NEW: 1, Status.FAILED: 2}, "b": {Status.NEW: 4}},
        workers_alive=1,
        slots=10,
        running=3,
        broker=BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="nobody answers"),
    )
    shown = stats_json(stats)
    view = StatsView.model_validate_json(shown)
    assert view.model_dump_json().encode() == shown
    assert view.total == 7
    assert view.by_status[Status.NEW] == 5
    assert view.by_queue["b"][Status.FAILED] == 0
    assert (view.broker.state, view.broker.trouble) == ("away", "nobody answers")


def test_stats_of_an_empty_service_are_zeros() -> None:
    none = BrokerState(presence=BrokerPresence.NONE, policy="postgres")
    empty = Stats(queues={}, workers_alive=0, slots=0, running=0, broker=none)
    shown = json.loads(stats_json(empty))
    assert shown["total"] == 0
    assert set(shown["by_status"].values()) == {0}


def test_a_queue_is_paused_and_resumed_by_a_boolean() -> None:
    assert to_queue_change({"paused": True}).paused
    assert not to_queue_change({"paused": False}).paused


@pytest.mark.parametrize(
    ("body", "pointer", "expected"),
    [
        ({}, "", "at least one of paused and keep"),
        ({"paused": None}, "", "at least one of paused and keep"),
        ({"paused": 1}, "/paused", "true or false"),
        ({"paused": "true"}, "/paused", "true or false"),
        ({"paused": True, "name": "x"}, "/name", "only the fields paused, keep"),
        ([], "", "an object"),
    ],
)
def test_any_other_change_of_a_queue_is_refused(body: object, pointer: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        to_queue_change(body)
    (violation,) = caught.value.violations
    assert (violation.pointer, violation.expected) == (pointer, expected)


@pytest.mark.parametrize("microsecond", [0, 1, 7000, 120_000, 999_999])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=3))])
def test_a_time_has_six_digits_and_a_z_in_either_encoding(microsecond: int, zone: tzinfo) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, microsecond, tzinfo=zone)
    for response in (encode_json, encode_json_line):
        written = orjson.loads(response({"at": fast_timestamp(moment)}))
        assert written == {"at": format_timestamp(moment)}
