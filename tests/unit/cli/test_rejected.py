"""The commands for refused messages."""

from collections.abc import Callable

import orjson
import pytest

from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("service", "url")


def test_refused_messages_are_listed_with_the_reason_the_newest_first(
    taskmill: Taskmill, service: FakeService
) -> None:
    first = service.add_refused(message_id="order-1")
    service.add_refused("body")
    taskmill("queue", "rejected", "resend", list(service.refused)[-1])

    status, out, _ = taskmill("queue", "rejected", "list")

    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["ID", "STATUS", "WHY"]
    assert rows[1][1:5] == ["resent", "no", "JSON", "-"]
    assert rows[2][:5] == [first["id"], "400", "no", "JSON", "order-1"]


def test_a_list_has_a_limit_or_all(taskmill: Taskmill, service: FakeService) -> None:
    for _ in range(60):
        service.add_refused()

    assert len(taskmill("queue", "rejected", "list", "--json")[1].splitlines()) == 50
    assert len(taskmill("queue", "rejected", "list", "--limit", "3")[1].splitlines()) == 4
    assert len(taskmill("queue", "rejected", "list", "--all", "--json")[1].splitlines()) == 60


def test_an_empty_list_is_noted_on_standard_error(taskmill: Taskmill) -> None:
    assert taskmill("queue", "rejected", "list") == (0, "", "no message was refused\n")


def test_one_is_shown_with_all_its_fields_and_its_body(
    taskmill: Taskmill, service: FakeService
) -> None:
    errors = [
        {"pointer": pointer, "expected": "a", "got": "b"} for pointer in ("/first", "/second")
    ]
    rejection = service.add_refused(
        '{"name": "\x1b[2J"}',
        problem={"type": "x", "title": "No", "status": 422, "detail": "first", "errors": errors},
        properties={"priority": 3},
        redeliveries=2,
    )

    status, out, _ = taskmill("queue", "rejected", "show", rejection["id"])

    assert status == 0
    assert "first" in out
    assert "/second: expected a, got b" in out
    assert "priority=3" in out
    assert "2 times" in out
    assert out.splitlines()[-1] == '{"name": "\\x1b[2J"}'


def test_one_is_shown_as_json(taskmill: Taskmill, service: FakeService) -> None:
    rejection = service.add_refused("body")

    _, out, _ = taskmill("queue", "rejected", "show", rejection["id"], "--json")

    assert orjson.loads(out)["body"] == "body"


def test_those_that_are_refused_again_are_named_and_do_not_stop_the_others(
    taskmill: Taskmill, service: FakeService
) -> None:
    wrong, right = service.add_refused("rubbish"), service.add_refused("body")

    status, out, err = taskmill("queue", "rejected", "resend", wrong["id"], right["id"])

    [task] = service.tasks
    assert (status, out.split()) == (1, [task, "new"])
    assert f"Error: {wrong['id']}" in err
    again = taskmill("queue", "rejected", "resend", right["id"], "--json")
    assert orjson.loads(again[1])["id"] == task
