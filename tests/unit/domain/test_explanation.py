"""Every blocker is reported once and in order, and each kind of end is recognised."""

import pytest

from taskmill.domain.blockers import BlockerName, EndKind
from taskmill.domain.explain_running import error_line
from taskmill.domain.explain_snapshot import LastEvent
from taskmill.domain.explanation import explain
from taskmill.domain.lifecycle import ErrorInfo, EventType, Reason, Status
from tests.support.builders import ERROR
from tests.support.explain_snapshots import (
    NOON,
    TASK_ID,
    a_last,
    ended,
    holding,
    in_progress,
    s,
    unreached,
    waiting,
)


def test_every_blocker_is_reported_once_and_in_order() -> None:
    for c in (waiting(), in_progress(), ended(Status.FAILED)):
        found = explain(c)
        assert [blocker.name for blocker in found.blockers] == list(BlockerName)
        assert (found.task_id, found.status, found.at) == (TASK_ID, c.status, NOON)
        assert found.holding.todo
        assert all(blocker.sentence.endswith(".") for blocker in found.blockers)


@pytest.mark.parametrize(
    ("status", "last", "kind", "words"),
    [
        (Status.SUCCEEDED, a_last(EventType.SUCCEEDED), EndKind.SUCCEEDED, "in attempt 3 of 3"),
        (Status.CANCELLED, a_last(EventType.CANCELLED), EndKind.CANCELLED, "was cancelled"),
        (
            Status.FAILED,
            a_last(EventType.FAILED, Reason.ERROR),
            EndKind.ATTEMPTS_USED_UP,
            "attempt 3 of 3 was the last: ValueError: no such customer",
        ),
        (Status.FAILED, None, EndKind.ATTEMPTS_USED_UP, "was the last"),
        (
            Status.FAILED,
            a_last(EventType.FAILED, Reason.PERMANENT),
            EndKind.PERMANENT_FAILURE,
            "as its handler said",
        ),
        (
            Status.FAILED,
            a_last(EventType.FAILED, Reason.WORKER_LOST),
            EndKind.LOSSES_USED_UP,
            "no loss is left (3 of 3)",
        ),
        (
            Status.FAILED,
            a_last(EventType.EXPIRED, Reason.EXPIRED),
            EndKind.EXPIRED,
            "not started before its expires_at",
        ),
    ],
)
def test_each_kind_of_end_is_recognised(
    status: Status, last: LastEvent | None, kind: EndKind, words: str
) -> None:
    c = ended(status, last=last, error=ERROR, losses=3)
    assert holding(c) == [BlockerName.FINISHED]
    assert unreached(c) == list(BlockerName)[1:]
    blocker = explain(c).holding
    assert (blocker.facts["end"], blocker.facts["finished_at"]) == (kind, NOON - s(60))
    assert words in blocker.sentence
    assert f"`taskmill task retry {TASK_ID}`" in (blocker.todo or "")


def test_an_end_without_a_time_or_an_error_is_explained_nevertheless() -> None:
    blocker = explain(ended(Status.FAILED, finished_at=None, error=None)).holding
    assert "at an unknown time" in blocker.sentence
    assert "no error was recorded" in blocker.sentence


def test_an_error_of_more_than_200_characters_is_cut() -> None:
    assert error_line(ErrorInfo(type="E", message="x" * 197)) == f"E: {'x' * 197}"
    assert error_line(ErrorInfo(type="E", message="x" * 198)) == f"E: {'x' * 196}…"


def test_a_long_error_is_cut_in_the_sentence_and_whole_in_the_facts() -> None:
    long = ErrorInfo(type="E", message="position\n" * 500)
    blocker = explain(ended(Status.FAILED, error=long)).holding
    assert len(blocker.sentence) < 400
    assert "\n" not in blocker.sentence
    assert blocker.facts["error_message"] == long.message
