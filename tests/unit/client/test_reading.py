"""The client reads JSON as views, by the types of their fields."""

import json
import pickle
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

import pytest

from scripts.client_views import WANTED
from taskmill.client.reading import UnreadableError, reader_of
from taskmill.client.view import OpenView, View
from taskmill.client.views.problems import Problem, ProblemItem
from taskmill.client.views.schedule_views import FireProblem
from taskmill.client.views.system import StatsView
from taskmill.domain.lifecycle import Status
from tests.support.fake_transport import TASK

ID = UUID(int=7)


class Part(View):
    at: datetime | None


class Whole(View):
    id: UUID
    share: float
    kind: Literal["a", "b"]
    status: Status
    parts: list[Part]
    counts: dict[Status, int]
    anything: Any
    is_last: bool = False
    names: list[str] = []  # noqa: RUF012 - a default


SENT: dict[str, Any] = {
    "id": str(ID),
    "share": 1,
    "kind": "a",
    "status": "new",
    "parts": [{"at": "2026-11-30T05:00:00.5Z"}, {"at": None, "of a newer service": 1}],
    "counts": {"failed": 2},
    "anything": [{"x": None}],
}


def test_each_field_is_read_by_its_type_and_unknown_ones_are_left_out() -> None:
    found = reader_of(Whole)(SENT)
    moment = datetime(2026, 11, 30, 5, 0, 0, 500_000, tzinfo=UTC)
    assert found == Whole(
        id=ID,
        share=1.0,
        kind="a",
        status=Status.NEW,
        parts=[Part(at=moment), Part(at=None)],
        counts={Status.FAILED: 2},
        anything=[{"x": None}],
    )
    assert type(found.share) is float
    assert found.to_json() == {
        **SENT,
        "parts": [{"at": "2026-11-30T05:00:00.500000Z"}, {"at": None}],
        "is_last": False,
        "names": [],
    }
    json.dumps(found.to_json())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"id": "x"}, "id: expected an id"),
        ({"id": 7}, "id: expected an id"),
        ({"share": "1"}, "share: expected a number"),
        ({"share": True}, "share: expected a number"),
        ({"kind": "c"}, "kind: expected one of a, b"),
        (
            {"status": "lost"},
            "status: expected one of new, in_progress, succeeded, failed, cancelled",
        ),
        ({"parts": {}}, "parts: expected an array"),
        ({"parts": [{"at": None}, {"at": "soon"}]}, "parts.1.at: expected a time"),
        ({"parts": [{}]}, "parts.0.at: it is missing"),
        ({"parts": [None]}, "parts.0: expected an object"),
        ({"counts": {"failed": 1.5}}, "counts.failed: expected a whole number"),
        ({"counts": {"lost": 1}}, "counts.lost: expected one of"),
        ({"is_last": None}, "is_last: expected true or false"),
        ({"names": ["a", 1]}, "names.1: expected a string"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place_and_without_its_value(
    change: dict[str, Any], text: str
) -> None:
    with pytest.raises(UnreadableError) as caught:
        reader_of(Whole)({**SENT, **change})
    assert str(caught.value).startswith(text)


def test_a_whole_number_that_is_true_is_refused() -> None:
    with pytest.raises(UnreadableError, match="expected a whole number"):
        reader_of(int)(True)  # noqa: FBT003 - a value of JSON


def test_an_open_view_keeps_what_it_does_not_name() -> None:
    sent = {"type": "t", "title": "T", "status": 422, "detail": "d", "errors": [1]}
    found = reader_of(FireProblem)(sent)
    assert (found.title, found.more) == ("T", {"errors": [1]})
    assert isinstance(found, OpenView)
    assert found.to_json() == sent


def test_views_are_values() -> None:
    found = reader_of(ProblemItem)({"pointer": "/a", "expected": "b", "got": "c"})
    assert found.replace(got="d") == ProblemItem(pointer="/a", expected="b", got="d")
    assert found == ProblemItem(pointer="/a", expected="b", got="c") != found.replace(got="d")
    assert repr(found) == "ProblemItem(pointer='/a', expected='b', got='c')"
    assert pickle.loads(pickle.dumps(found)) == copy(found) == found  # noqa: S301 - made here
    for change in (partial(setattr, found, "got", "d"), partial(delattr, found, "got")):
        with pytest.raises(AttributeError, match="ProblemItem does not change"):
            change()
    with pytest.raises(TypeError, match="ProblemItem needs got"):
        ProblemItem(pointer="/a", expected="b")  # type: ignore[call-arg]  # that is the point
    with pytest.raises(TypeError, match="ProblemItem has no gott"):
        found.replace(gott="d")


def test_a_problem_needs_no_more_than_the_standard_has() -> None:
    sent = {"type": "about:blank", "title": "T", "status": 500, "detail": "d"}
    assert reader_of(Problem)(sent).errors is None


def test_every_view_can_be_read() -> None:
    for model in WANTED:
        module = __import__(
            f"taskmill.client.views.{model.__module__.rpartition('.')[2]}", fromlist=["x"]
        )
        assert callable(reader_of(getattr(module, model.__name__)))


def test_the_models_of_the_service_and_the_views_of_the_client_read_alike() -> None:
    from taskmill.client.views.tasks import TaskView  # noqa: PLC0415 - two of one name
    from taskmill.wire import tasks  # noqa: PLC0415 - two of one name

    model = tasks.TaskView.model_validate(TASK)
    view = reader_of(TaskView)(TASK)
    assert view.to_json() == model.model_dump(mode="json")
    assert {name: getattr(view, name) for name in ("id", "created_at", "status")} == {
        name: getattr(model, name) for name in ("id", "created_at", "status")
    }


def test_what_no_value_of_json_can_be_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError):
        reader_of(bytes)
    assert StatsView.__doc__
