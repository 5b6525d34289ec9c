"""From errors to problems."""

import inspect
import json
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from taskmill.domain import errors
from taskmill.domain.errors import (
    BadCursor,
    BrokerAway,
    ConfigurationError,
    IdempotencyConflict,
    InvalidInput,
    KeyInFlight,
    MalformedJson,
    NoticeNotFound,
    QueueLimitReached,
    QueueNotEmpty,
    QueueNotFound,
    RejectionNotFound,
    SecretUnreadable,
    TaskmillError,
    TaskNotFound,
    TooLarge,
    TransitionRefused,
    Unavailable,
    Unroutable,
    UnservedTypeLimitReached,
    Violation,
)
from taskmill.domain.lifecycle import Status
from taskmill.wire.problems import PROBLEMS, Problem, problem_for_status, problem_json

TASK_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.mark.parametrize(
    ("error", "slug", "status", "members"),
    [
        (
            InvalidInput.at("/name", "a string", "null"),
            "invalid-input",
            422,
            {"errors": [{"pointer": "/name", "expected": "a string", "got": "null"}]},
        ),
        (
            BadCursor("rubbish"),
            "bad-cursor",
            400,
            {
                "errors": [
                    {
                        "pointer": "query:cursor",
                        "expected": "a cursor from an earlier page of the same listing",
                        "got": "rubbish",
                    }
                ]
            },
        ),
        (MalformedJson("not JSON"), "malformed-json", 400, {}),
        (TooLarge(1024), "too-large", 413, {"limit": 1024}),
        (TaskNotFound(TASK_ID), "task-not-found", 404, {"task_id": str(TASK_ID)}),
        (QueueNotFound("mail"), "queue-not-found", 404, {}),
        (
            QueueNotEmpty("mail", waiting=2, running=1),
            "queue-not-empty",
            409,
            {"waiting": 2, "running": 1},
        ),
        (NoticeNotFound(TASK_ID), "notice-not-found", 404, {}),
        (RejectionNotFound(TASK_ID), "rejection-not-found", 404, {}),
        (
            TransitionRefused(TASK_ID, Status.FAILED, "cancel"),
            "transition-refused",
            409,
            {"task_id": str(TASK_ID), "task_status": "failed", "action": "cancel"},
        ),
        (IdempotencyConflict("k"), "idempotency-conflict", 422, {}),
        (KeyInFlight("k"), "key-in-flight", 409, {"retry_after_s": 1.0}),
        (QueueLimitReached(1000), "queue-limit-reached", 422, {"limit": 1000}),
        (UnservedTypeLimitReached(500), "unserved-type-limit-reached", 422, {"limit": 500}),
        (Unavailable(2.5, "the database"), "unavailable", 503, {"retry_after_s": 2.5}),
    ],
)
def test_each_error_has_its_problem(
    error: TaskmillError, slug: str, status: int, members: dict[str, object]
) -> None:
    response_status, headers, body = problem_json(error, "/tasks")
    problem = json.loads(body)
    assert response_status == status
    assert headers["content-type"] == "application/problem+json"
    assert {name: problem.pop(name) for name in members} == members
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["detail"] == str(error)
    Problem.model_validate_json(body, strict=True)


def test_every_error_that_a_request_can_meet_is_in_the_table() -> None:
    tree = {
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, TaskmillError)
    }
    assert tree - set(PROBLEMS) == {
        TaskmillError,
        ConfigurationError,
        BrokerAway,
        SecretUnreadable,
        Unroutable,
    }


def test_problem_types_are_unique() -> None:
    assert len({kind.type for kind in PROBLEMS.values()}) == len(PROBLEMS)


def test_an_unexpected_error_reveals_nothing() -> None:
    status, _, body = problem_json(ValueError("password=hunter2"), "/tasks")
    assert status == 500
    assert json.loads(body)["type"] == "/problems/internal-error"
    assert b"hunter2" not in body


@pytest.mark.parametrize(
    ("after_s", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.01, "2"), (30, "30")]
)
def test_retry_after_is_in_whole_seconds(after_s: float, header: str) -> None:
    _, headers, _ = problem_json(Unavailable(after_s, "the database"))
    assert headers["retry-after"] == header


def test_a_final_refusal_has_no_retry_after() -> None:
    _, headers, _ = problem_json(QueueNotFound("x"))
    assert "retry-after" not in headers


def test_the_detail_names_the_first_violation_and_counts_the_others() -> None:
    violations = tuple(Violation(pointer=f"/{n}", expected="x", got="y") for n in range(3))
    _, _, body = problem_json(InvalidInput(violations))
    problem = json.loads(body)
    assert problem["detail"] == "/0: expected x, got y (and 2 more)"
    assert [item["pointer"] for item in problem["errors"]] == ["/0", "/1", "/2"]


def test_without_a_path_there_is_no_instance() -> None:
    assert "instance" not in json.loads(problem_json(QueueNotFound("x"))[2])


@given(st.text(st.characters(), max_size=2000), st.text(st.characters(), max_size=2000))
def test_nothing_long_or_unprintable_is_shown(text: str, path: str) -> None:
    _, _, body = problem_json(InvalidInput.at(text, "a word", text), path)
    assert len(body) < 20_000
    shown = json.loads(body)
    assert shown["detail"].isprintable()
    assert shown["instance"].isprintable()
    assert shown["errors"][0]["got"].isprintable()
    assert shown["errors"][0]["pointer"].isprintable()


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (400, "bad-request"),
        (404, "not-found"),
        (405, "method-not-allowed"),
        (406, "not-acceptable"),
        (408, "request-timeout"),
        (413, "too-large"),
        (414, "uri-too-long"),
        (415, "unsupported-media-type"),
        (422, "invalid-input"),
        (431, "headers-too-large"),
        (500, "internal-error"),
        (418, "http-418"),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(status: int, slug: str) -> None:
    response_status, headers, body = problem_for_status(status, "/nowhere")
    problem = Problem.model_validate_json(body)
    assert response_status == problem.status == status
    assert problem.type == f"/problems/{slug}"
    assert problem.instance == "/nowhere"
    assert headers["content-type"] == "application/problem+json"


def test_the_framework_may_set_the_detail() -> None:
    _, _, body = problem_for_status(405, detail="only GET")
    assert json.loads(body)["detail"] == "only GET"


def test_the_documented_examples_are_problems() -> None:
    for example in Problem.model_json_schema()["examples"]:
        Problem.model_validate(example)
