"""The client's errors: one for each type of problem of the service, and their fields."""

import pickle
from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill import client as package
from taskmill.client import (
    AsyncTaskmillClient,
    ChangesForgotten,
    ClientError,
    Conflict,
    ContractRefused,
    Gone,
    InvalidInput,
    KeyInFlight,
    NotAccepted,
    NotFound,
    QueueLimitReached,
    ServiceFailed,
    ServiceUnavailable,
    TaskmillClient,
    TaskNotFound,
    TooLarge,
    TooManyRequests,
    TransitionRefused,
)
from taskmill.client.refusal_kinds import BY_STATUS, PATH_NOT_FOUND, refusal_class
from taskmill.domain.errors import Unavailable
from taskmill.wire import problems
from taskmill.wire.problems import ALL_KINDS, PROBLEMS, ProblemKind
from tests.support.fake_responses import problem
from tests.support.fake_service import FakeService

TASK_ID = UUID(int=7)
ITEMS = [
    {"pointer": "/priority", "expected": "a whole number", "got": "true"},
    {"pointer": "/name", "expected": "a text", "got": "null"},
]


def refused(**members: Any) -> NotAccepted:  # noqa: ANN401 - of a problem
    """The error for a response with this problem."""
    response = problem(**members)

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            response.status_code, headers=dict(response.headers), content=bytes(response.body)
        )

    transport = httpx.MockTransport(respond)
    with (
        TaskmillClient("http://x", retries=0, transport=transport) as client,
        pytest.raises(NotAccepted) as caught,
    ):
        client.get("x")
    return caught.value


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.slug)
async def test_each_type_of_problem_is_an_error_of_its_own_in_both_clients(
    service: FakeService, url: str, kind: ProblemKind
) -> None:
    members: dict[str, object] = {"type": kind.type, "headers": {"Retry-After": "0"}}
    caught: list[type[Exception]] = []

    service.refuse_next(kind.status, **members)  # type: ignore[arg-type]  # members of a problem
    with TaskmillClient(url, retries=0) as client, pytest.raises(NotAccepted) as ordinary:
        client.stats()
    caught.append(ordinary.type)
    service.refuse_next(kind.status, **members)  # type: ignore[arg-type]  # members of a problem
    async with AsyncTaskmillClient(url, retries=0) as other:
        with pytest.raises(NotAccepted) as asynchronous:
            await other.stats()
    caught.append(asynchronous.type)

    assert caught == [refusal_class(kind.type, kind.status)] * 2
    assert ordinary.value.status == kind.status
    assert issubclass(caught[0], BY_STATUS[kind.status]), "whoever catches the status has it, too"


def test_each_status_has_a_class_and_each_error_of_the_service_one_of_its_name() -> None:
    assert set(BY_STATUS) == {kind.status for kind in ALL_KINDS}
    names = {
        error.__name__: refusal_class(kind.type, kind.status).__name__
        for error, kind in PROBLEMS.items()
    }
    assert names.pop(Unavailable.__name__) == "ServiceUnavailable"
    assert all(name == other for name, other in names.items()), names
    assert problems.PATH_NOT_FOUND.type == PATH_NOT_FOUND


def test_all_of_them_can_be_imported_from_the_package_and_are_in_the_tree() -> None:
    from taskmill.client import refusals  # noqa: PLC0415 - its docstring

    kinds = {refusal_class(kind.type, kind.status) for kind in ALL_KINDS} | {*BY_STATUS.values()}
    for kind in kinds:
        assert getattr(package, kind.__name__) is kind
        assert kind.__name__ in package.__all__
        assert f"── {kind.__name__}" in (refusals.__doc__ or "")
        assert issubclass(kind, ClientError)


def test_the_fields_of_a_refusal_are_typed() -> None:
    missing = refused(status=404, type="/problems/task-not-found", task_id=str(TASK_ID))
    assert isinstance(missing, TaskNotFound)
    assert missing.task_id == TASK_ID

    fields = {"task_id": str(TASK_ID), "task_status": "failed", "action": "cancel"}
    transition = refused(status=409, type="/problems/transition-refused", **fields)
    assert isinstance(transition, TransitionRefused)
    assert (transition.task_id, transition.task_status, transition.action) == (
        TASK_ID,
        "failed",
        "cancel",
    )

    wrong = refused(status=422, type="/problems/contract-refused", errors=ITEMS)
    assert isinstance(wrong, ContractRefused)
    assert isinstance(wrong, InvalidInput)
    assert (wrong.pointer, wrong.expected, wrong.got) == ("/priority", "a whole number", "true")
    assert [one.pointer for one in wrong.errors] == ["/priority", "/name"]

    large = refused(status=413, type="/problems/too-large", limit=1024)
    assert isinstance(large, TooLarge)
    full = refused(status=422, type="/problems/queue-limit-reached", limit=1000)
    assert isinstance(full, QueueLimitReached)
    assert (large.limit, full.limit) == (1024, 1000)

    old = refused(status=410, type="/problems/changes-forgotten", retained_days=7)
    assert isinstance(old, ChangesForgotten)
    assert old.retained_days == 7


def test_when_to_try_again_comes_from_the_problem_or_from_the_header() -> None:
    away = refused(status=503, type="/problems/unavailable", retry_after_s=2.5)
    assert isinstance(away, ServiceUnavailable)
    assert away.retry_after_s == 2.5
    assert refused(status=503, headers={"Retry-After": "7"}).retry_after_s == 7
    assert refused(status=503).retry_after_s == 1
    held = refused(status=409, type="/problems/key-in-flight", retry_after_s=1)
    assert isinstance(held, KeyInFlight)
    assert held.retry_after_s == 1
    assert refused(status=404).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (500, ServiceFailed),
        (503, ServiceUnavailable),
        (429, TooManyRequests),
        (507, NotAccepted),
    ],
)
def test_a_type_that_only_a_newer_service_knows_is_an_error_by_status(
    status: int, kind: type[NotAccepted]
) -> None:
    found = refused(status=status, type="/problems/of-tomorrow", title="New", detail="it is new")
    assert type(found) is kind
    assert (found.type, found.status, str(found)) == ("/problems/of-tomorrow", status, "it is new")


def test_what_a_newer_service_leaves_out_is_none() -> None:
    for slug, status, name in (
        ("task-not-found", 404, "task_id"),
        ("transition-refused", 409, "task_status"),
        ("transition-refused", 409, "action"),
        ("too-large", 413, "limit"),
        ("webhook-limit-reached", 422, "limit"),
        ("changes-forgotten", 410, "retained_days"),
    ):
        assert getattr(refused(status=status, type=f"/problems/{slug}"), name) is None
    bare = refused(status=422, type="/problems/invalid-input")
    assert isinstance(bare, InvalidInput)
    assert (bare.pointer, bare.expected, bare.got) == ("", "", "")


def test_a_refusal_can_cross_to_another_process() -> None:
    found = refused(status=503, type="/problems/unavailable", retry_after_s=2.5, detail="away")
    copy = pickle.loads(pickle.dumps(found))  # noqa: S301 - made here
    assert (type(copy), str(copy), copy.retry_after_s) == (ServiceUnavailable, "away", 2.5)
