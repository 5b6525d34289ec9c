"""`taskmill task create` as its users meet it: what is sent, and which options are refused."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_create_prints_the_id_alone_on_standard_output(
    taskmill: Taskmill, service: FakeService
) -> None:
    status, out, err = taskmill("task", "create", "first")

    assert (status, out.strip()) == (0, next(iter(service.tasks)))
    assert "task watch" in err


def test_create_sends_only_the_given_fields(taskmill: Taskmill, service: FakeService) -> None:
    taskmill(
        *("task", "create", "report", "--payload", '{"n": 1}', "--queue", "reports"),
        *("--priority", "0", "--delay-s", "0", "--label", "team=a=b", "--max-attempts", "3"),
        *("--payload-secret", "/n", "--payload-secret", "/a b"),
    )

    assert orjson.loads(service.requests[-1][3]) == {
        "name": "report",
        "payload": {"n": 1},
        "payload_secrets": ["/n", "/a b"],
        "queue": "reports",
        "priority": 0,
        "delay_s": 0.0,
        "labels": {"team": "a=b"},
        "max_attempts": 3,
    }


def test_a_payload_is_read_from_a_file(
    taskmill: Taskmill, service: FakeService, tmp_path: Path
) -> None:
    (tmp_path / "payload.json").write_text('{"from": "file"}')

    taskmill("task", "create", "x", "--payload", f"@{tmp_path}/payload.json")

    assert orjson.loads(service.requests[-1][3])["payload"] == {"from": "file"}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--payload", "{", "not JSON"),
        ("--payload", '{"n": NaN}', "NaN"),
        ("--payload", '{"n": 1, "n": 2}', 'the key "n" is twice'),
        ("--payload", '{"n":' * 9999 + "1" + "}" * 9999, "nested deeper"),
        ("--payload", '{"n": "\udcff"}', "not UTF-8"),
        ("--delay-s", "nan", "a number of seconds"),
        ("--timeout-s", "inf", "a number of seconds"),
        ("--expires-at", "0001-01-01", "expected a time such as"),
        ("--payload", "[1]", "expected a JSON object"),
        ("--payload", "@/does/not/exist", "can't be read"),
        ("--label", "team", "expected key=value"),
        ("--run-at", "tomorrow", "expected a time such as"),
        ("--priority", "10", "a whole number from 0 to 9, got '10'"),
    ],
)
def test_a_bad_option_is_a_usage_error_that_names_it(
    taskmill: Taskmill, service: FakeService, option: str, value: str, message: str
) -> None:
    status, _, err = taskmill("task", "create", "x", option, value)

    assert status == 2
    assert option in err
    assert message in err
    assert service.requests == []


def test_a_refusal_names_each_fault(taskmill: Taskmill, service: FakeService) -> None:
    item = {"pointer": "/queue", "expected": "a name", "got": "an empty string"}
    service.refuse_next(422, title="Not allowed", errors=[item])

    status, out, err = taskmill("task", "create", "x")

    assert (status, out) == (1, "")
    assert err == "Error: Not allowed:\n  /queue: expected a name, got an empty string\n"


def test_create_takes_policies_and_ends(taskmill: Taskmill, service: FakeService) -> None:
    taskmill(
        *("task", "create", "x", "--retry", '{"base_s": 5}', "--max-losses", "0"),
        *("--expires-at", "2030-01-31T09:00Z"),
    )

    sent = orjson.loads(service.requests[-1][3])
    assert (sent["retry"], sent["max_losses"]) == ({"base_s": 5}, 0)
    assert sent["expires_at"] == "2030-01-31T09:00:00+00:00"
