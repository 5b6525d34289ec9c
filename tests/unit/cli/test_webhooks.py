"""The commands for webhooks, types and callbacks."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.support.fake_responses import START
from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("service", "url")
HOOK = "https://ops.example.org/hooks"
NOWHERE = "00000000-0000-0000-0000-0000000000ff"


@pytest.fixture
def made(taskmill: Taskmill, service: FakeService) -> str:
    """A webhook's id."""
    taskmill("webhook", "create", HOOK)
    return next(iter(service.webhooks.stored))


def test_a_webhook_is_made_with_filters_and_its_secret_is_shown_once(
    taskmill: Taskmill, service: FakeService, tmp_path: Path
) -> None:
    options = ("--queue", "a", "--queue", "b", "--type", "mail", "--status", "failed", "--paused")
    status, out, err = taskmill("webhook", "create", HOOK, *options, "--description", "ours")
    [stored] = service.webhooks.stored.values()
    assert (status, out.splitlines()) == (0, [stored["id"], "whsec_new"])
    assert "not shown again" in err
    assert (stored["queues"], stored["types"], stored["statuses"]) == (
        ["a", "b"],
        ["mail"],
        ["failed"],
    )
    assert (stored["state"], stored["description"], stored["url"]) == ("paused", "ours", HOOK)
    secret = tmp_path / "secret"
    secret.write_text("whsec_mine\n")
    _, out, _ = taskmill("webhook", "create", HOOK, "--secret-file", str(secret), "--json")
    assert orjson.loads(out)["queues"] == []
    assert orjson.loads(service.requests[-1][3])["secret"] == "whsec_mine"  # noqa: S105 - of a test


def test_webhooks_are_listed_with_their_state(
    taskmill: Taskmill, service: FakeService, made: str
) -> None:
    taskmill("webhook", "create", HOOK, "--queue", "mail")
    service.webhooks.stored[made].update(failing_since=START.isoformat())
    _, out, _ = taskmill("webhook", "list")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["ID", "STATE", "URL", "QUEUES", "TYPES", "STATUSES"]
    ends = "cancelled,failed,succeeded"
    assert rows[1] == [made, "failing", HOOK, "all", "all", ends]
    assert rows[2][1:4] == ["enabled", HOOK, "mail"]
    assert taskmill("webhook", "list", "--quiet")[1].split() == list(service.webhooks.stored)
    assert len(taskmill("webhook", "list", "--json")[1].splitlines()) == 2


def test_a_long_list_of_types_is_shortened_on_a_pipe_too(
    taskmill: Taskmill, service: FakeService
) -> None:
    assert service.tasks == {}
    wanted = [f"type-{number}" for number in range(12)]
    taskmill("webhook", "create", HOOK, *(part for one in wanted for part in ("--type", one)))
    _, out, _ = taskmill("webhook", "list")
    assert "type-7,+4 " in out
    assert all(one in taskmill("webhook", "list", "--json")[1] for one in wanted)


def test_an_empty_list_shows_how_to_make_a_webhook(taskmill: Taskmill) -> None:
    _, out, err = taskmill("webhook", "list")
    assert (out, "taskmill webhook create URL" in err) == ("", True)


def test_one_is_shown(taskmill: Taskmill, service: FakeService, made: str) -> None:
    service.webhooks.stored[made].update(
        state="disabled",
        disabled_reason="it answers 410",
        failing_since=START.isoformat(),
        description="ours",
    )
    _, out, _ = taskmill("webhook", "show", made)
    for words in (made, HOOK, "ours", "disabled", "it answers 410", "failing", "queues", "all"):
        assert words in out
    _, out, _ = taskmill("webhook", "show", made, "--json")
    assert orjson.loads(out)["state"] == "disabled"
    status, _, err = taskmill("webhook", "show", NOWHERE)
    assert (status, err) == (1, "Error: there is no webhook\n")


def test_it_is_changed_paused_enabled_and_its_secret_rotated(
    taskmill: Taskmill, service: FakeService, made: str
) -> None:
    stored = service.webhooks.stored[made]
    taskmill("webhook", "change", made, "--to", "https://new.example.org", "--queue", "mail")
    assert (stored["url"], stored["queues"]) == ("https://new.example.org", ["mail"])
    taskmill("webhook", "change", made, "--all-queues", "--all-types", "--status", "new")
    assert (stored["queues"], stored["types"], stored["statuses"]) == ([], [], ["new"])
    assert "paused" in taskmill("webhook", "pause", made)[1]
    assert "enabled" in taskmill("webhook", "enable", made)[1]
    assert taskmill("webhook", "rotate", made)[1].splitlines() == [made, "whsec_next"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "What is to change?"),
        (("--all-queues", "--queue", "a"), "not both"),
        (("--all-types", "--type", "a"), "not both"),
    ],
)
def test_an_empty_or_contradictory_change_is_a_wrong_command_line(
    taskmill: Taskmill, made: str, options: tuple[str, ...], words: str
) -> None:
    status, _, err = taskmill("webhook", "change", made, *options)
    assert (status, words in err) == (2, True)


def test_those_that_are_not_there_do_not_keep_others_from_being_deleted(
    taskmill: Taskmill, service: FakeService, made: str
) -> None:
    status, _, err = taskmill("webhook", "delete", NOWHERE, made)
    assert (status, service.webhooks.stored) == (1, {})
    assert err == f"Error: {NOWHERE}: there is no webhook\n"


def test_deliveries_are_listed_and_sent_again(
    taskmill: Taskmill, service: FakeService, made: str
) -> None:
    assert taskmill("webhook", "test", made)[1].split() == ["1", "pending"]
    service.webhooks.deliver()
    trouble = "it took too long\x1b[2J"
    service.webhooks.deliver("failed", attempts=3, response_status=None, trouble=trouble)
    _, out, _ = taskmill("webhook", "deliveries", made)
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["ID", "STATE", "TASK", "TRIES", "RESPONSE", "MADE", "NEXT", "TROUBLE"]
    assert [row[:2] for row in rows[1:]] == [["3", "failed"], ["2", "delivered"], ["1", "pending"]]
    assert rows[1][3:5] == ["3", "-"]
    assert rows[3][2] == "test"
    assert "\x1b" not in out
    _, out, _ = taskmill("webhook", "deliveries", made, "--state", "failed", "--quiet")
    assert out.split() == ["3"]
    _, out, _ = taskmill("webhook", "deliveries", made, "--json", "--limit", "2")
    assert [orjson.loads(line)["id"] for line in out.splitlines()] == [3, 2]
    assert len(taskmill("webhook", "deliveries", made, "--all", "--json")[1].splitlines()) == 3
    status, out, err = taskmill("webhook", "resend", made, "9", "3", "--json")
    assert (status, orjson.loads(out)["state"]) == (1, "pending")
    assert err == "Error: 9: no such delivery\n"


def test_an_empty_list_of_deliveries_is_noted_on_standard_error(
    taskmill: Taskmill, made: str
) -> None:
    assert taskmill("webhook", "deliveries", made) == (0, "", "nothing is delivered\n")


def test_the_deliveries_of_a_callback_are_shown(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()["id"]
    assert "it has no callback" in taskmill("task", "deliveries", task)[2]
    service.webhooks.deliver(webhook_id=None)
    assert taskmill("task", "deliveries", task)[1].splitlines()[1].split()[:2] == ["1", "delivered"]
    _, out, _ = taskmill("task", "deliveries", task, "--json")
    assert orjson.loads(out)["callback_url"] == "https://example.org/done"


def test_a_callback_without_deliveries_shows_its_address(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.webhooks.callback_url = "https://example.org/done"
    _, _, err = taskmill("task", "deliveries", service.add()["id"])
    assert "its end is reported to https://example.org/done" in err


def test_a_task_may_be_created_with_a_callback(taskmill: Taskmill, service: FakeService) -> None:
    taskmill("task", "create", "x", "--callback-url", HOOK, "--quiet")
    assert orjson.loads(service.requests[-1][3])["callback_url"] == HOOK


def test_types_are_registered_listed_shown_and_dropped(
    taskmill: Taskmill, service: FakeService, tmp_path: Path
) -> None:
    assert "no type has a contract" in taskmill("type", "list")[2]
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["to"]}')
    service.types.register("mail", {"type": "object"})
    options = ("--defaults", '{"queue": "mails"}')
    _, out, _ = taskmill("type", "register", "mail", f"@{schema}", *options)
    assert out == taskmill("type", "show", "mail")[1]
    lines = out.splitlines()
    assert lines[0] == "mail  version 2"
    for words in ("queue=mails", '"required": [', "by rest"):
        assert words in out
    assert [line.split()[:2] for line in lines if line.startswith("version")] == [["version", "1"]]
    rows = [line.split() for line in taskmill("type", "list")[1].splitlines()]
    assert rows[0] == ["TYPE", "VERSION", "WORKERS", "CHANGED", "BY", "DEFAULTS"]
    assert rows[1][:3] == ["mail", "2", "2"]
    assert taskmill("type", "list", "--quiet")[1] == "mail\n"
    assert orjson.loads(taskmill("type", "list", "--json")[1])["name"] == "mail"
    assert (
        orjson.loads(taskmill("type", "show", "mail", "--json")[1])["versions"][1]["version"] == 1
    )
    assert taskmill("type", "drop", "mail") == (0, "", "")
    assert taskmill("type", "drop", "mail") == (1, "", "Error: no type has a contract\n")


def test_all_types_of_an_app_are_registered_in_one_step(
    taskmill: Taskmill, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2] / "e2e")
    status, out, _ = taskmill("type", "register", "--app", "own_app:app", "--json")
    assert status == 0
    found = {one["name"]: one for one in map(orjson.loads, out.splitlines())}
    assert {"in-loop", "in-thread", "in-process"} <= found.keys()
    assert found["in-loop"]["defaults"]["max_attempts"] == 3
    assert found["in-process"]["defaults"]["timeout_s"] == 60
    assert {request[0] for request in service.requests} == {"PUT"}


@pytest.mark.parametrize(
    "arguments",
    [(), ("mail",), ("mail", "{}", "--app", "x:app"), ("--defaults", "{}", "--app", "x")],
)
def test_a_type_or_an_app_is_registered_not_both(
    taskmill: Taskmill, arguments: tuple[str, ...]
) -> None:
    status, _, err = taskmill("type", "register", *arguments)
    assert status == 2
    assert "name a type and its JSON Schema, or --app alone" in err
