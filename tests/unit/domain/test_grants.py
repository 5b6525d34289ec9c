"""Grants: which scopes they give, and for which names."""

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.grants import Grant, Scope, permits, permits_host


@pytest.mark.parametrize(
    "text",
    [
        "admin",
        "metrics",
        "tasks:read",
        "tasks:create queue=billing.* type=send-*",
        "worker queue=mail,billing.* type=a",
        "outbound host=*.example.org,10.0.0.7,::1",
    ],
)
def test_a_grant_is_read_and_written_in_one_form(text: str) -> None:
    assert str(Grant.parse(text)) == text


def test_a_star_is_no_limit() -> None:
    assert str(Grant.parse("tasks:read queue=*")) == "tasks:read"
    assert str(Grant.parse("tasks:create queue=a,* type=b")) == "tasks:create type=b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a scope (tasks:create, "),
        ("tasks:destroy", "got 'tasks:destroy'"),
        ("tasks:read type=a", "tasks:read with queue=PATTERN, each at most once, got 'type=a'"),
        ("tasks:create queue=a queue=b", "got 'queue=b'"),
        ("tasks:create colour=red", "queue=PATTERN or type=PATTERN"),
        ("admin queue=a", "admin alone: it can't be limited, got 'queue=a'"),
        (
            "tasks:read queue=",
            "expected queue= with names, or patterns such as billing.*, got nothing",
        ),
        ("tasks:read queue=a*b", "got 'a*b'"),
        ("tasks:read queue=Mail", "got 'Mail'"),
        ("tasks:read queue=a,,b", "got nothing"),
        ("tasks:read queue=*a", "got '*a'"),
        ("outbound host=*example.org", "patterns such as *.example.org, got '*example.org'"),
        ("outbound host=https://example.org", "got 'https://example.org'"),
        (f"tasks:read queue={','.join(['a'] * 101)}", "expected 100 patterns at most, got 101"),
    ],
)
def test_what_is_no_grant_is_refused_with_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Grant.parse(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tasks:create colour=red",
            "tasks:create with queue=PATTERN or type=PATTERN, each at most once, got 'colour=red'",
        ),
        (
            "outbound host=:",
            "host= with names, or patterns such as *.example.org, got ':'",
        ),
        ("metrics " + "x" * 61, f"metrics alone: it can't be limited, got {'x' * 60!r}"),
        ("", f"a scope ({', '.join(Scope)}), got nothing"),
        ("everything", f"a scope ({', '.join(Scope)}), got 'everything'"),
        ("metrics queue", "metrics alone: it can't be limited, got 'queue'"),
        (
            "tasks:read queue=a=b",
            "queue= with names, or patterns such as billing.*, got 'a=b'",
        ),
        (f"tasks:read queue={','.join(['a'] * 101)}", "100 patterns at most, got 101"),
    ],
)
def test_what_is_wrong_with_a_grant_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Grant.parse(text)
    assert str(raised.value) == f"grant: expected {message}"


def test_a_grant_has_a_hundred_patterns_at_most_and_hosts_in_lower_case() -> None:
    queues = ",".join(f"q{number}" for number in range(100))
    assert len(Grant.parse(f"tasks:read queue={queues}").queues) == 100
    assert Grant.parse("outbound host=Hooks.Test,*").hosts == ("hooks.test", "*")


def test_a_grant_is_for_the_queues_that_match() -> None:
    grants = [Grant.parse("tasks:read queue=mail,billing.*")]
    wanted = ("mail", "billing.eu", "billing.", "billing", "mails", "other", None)
    found = [queue for queue in wanted if permits(grants, Scope.TASKS_READ, queue=queue)]
    assert found == ["mail", "billing.eu", "billing."]
    assert not permits(grants, Scope.TASKS_OPERATE, queue="mail")


def test_all_queues_need_a_grant_for_all() -> None:
    assert permits([Grant.parse("tasks:read")], Scope.TASKS_READ)
    assert not permits([Grant.parse("tasks:read queue=a*")], Scope.TASKS_READ)


def test_queue_and_type_must_match_in_one_grant() -> None:
    grants = [Grant.parse("worker queue=a type=x"), Grant.parse("worker queue=b type=y*")]
    pairs = [(queue, name) for queue in ("a", "b", None) for name in ("x", "y1", None)]
    found = [pair for pair in pairs if permits(grants, Scope.WORKER, queue=pair[0], type=pair[1])]
    assert found == [("a", "x"), ("b", "y1")]


def test_admin_is_every_scope_for_everything() -> None:
    grants = [Grant.parse("admin")]
    assert all(permits(grants, scope) for scope in Scope)
    assert permits_host(grants, "example.org")


def test_hosts_are_of_outbound_only() -> None:
    grants = [Grant.parse("outbound host=*.example.org,hooks.test,10.0.0.7"), Grant.parse("worker")]
    hosts = (
        "a.example.org",
        "example.org",
        "badexample.org",
        "hooks.test",
        "10.0.0.7",
        "10.0.0.70",
    )
    found = [host for host in hosts if permits_host(grants, host)]
    assert found == ["a.example.org", "hooks.test", "10.0.0.7"]
    assert permits_host([Grant.parse("outbound")], "anything.test")
    assert not permits_host([Grant.parse("worker")], "anything.test")
