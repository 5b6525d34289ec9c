"""Settings that contradict each other or PostgreSQL's; defaults contradict nothing."""

from typing import Any

import pytest
from pydantic import SecretStr

from taskmill.domain.doctor_snapshot import ConnectionUse, LeaseLength
from taskmill.operations.doctor_settings import find_conflicts
from taskmill.settings import Settings

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
SHARED = SecretStr("postgresql://app:a@db:5432/taskmill")


def sentences(settings: Settings, **found: Any) -> list[str]:  # noqa: ANN401 - of several types
    return [one.sentence for one in find_conflicts(settings, server=DURABLE, **found)]


def test_defaults_contradict_nothing() -> None:
    limit = ConnectionUse(scope="server", name="db", used=3, limit=97)
    own = LeaseLength(worker="w", ttl_s=15.0001)
    assert sentences(Settings(), leases=[own], connections=[limit], processes=6) == []


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"retention": {"tasks_days": 5}}, "Changes are kept"),
        ({"broker": "postgres", "broker_url": "amqp://b/"}, "nobody uses it"),
        ({"limits": {"batch_bytes": 1000}}, "too large for a batch"),
        ({"task_log": {"claim_bytes": 1000}}, "larger than all lines"),
        ({"lease": {"ttl_s": 10}}, "longer than the lease"),
        ({"pull": {"ttl_s": 20, "longest_ttl_s": 10}}, "longer than the longest"),
        (
            {"database_url": SHARED, "maintenance": {"database_url": "postgresql://m:b@db/other"}},
            "another database",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named(parts: dict[str, Any], named: str) -> None:
    found = find_conflicts(Settings(**parts), server=DURABLE)
    assert found
    for conflict in found:
        assert named in conflict.sentence
        assert all(name.startswith("TASKMILL_") for name in conflict.names)
        assert conflict.command.startswith("export TASKMILL_")
        assert "b@db" not in repr(conflict)


def test_ticks_may_be_stored_for_longer_than_tasks() -> None:
    """And idempotency keys end with their tasks, whatever the setting."""
    parts: dict[str, Any] = {"retention": {"tasks_days": 7, "idempotency_days": 30}}
    assert sentences(Settings(**parts)) == []


@pytest.mark.parametrize(
    ("shared", "own"),
    [
        ("app:a@db:5432/taskmill", "maintenance:b@db:5432/taskmill"),
        ("app:a@db/taskmill", "maintenance:b@DB:5432/taskmill"),
        ("app:a@db1,db2:5433/taskmill", "maintenance:b@db2:5433,db1/taskmill"),
        ("app:a@localhost/taskmill", "maintenance:b@127.0.0.1:5432/taskmill"),
        ("app:a@[::1]:5432/taskmill", "maintenance@/taskmill?host=/run/postgresql"),
        ("app:a@/taskmill?host=db&port=5433", "maintenance:b@db:5433/taskmill"),
    ],
)
def test_another_login_or_spelling_of_the_same_database_is_no_contradiction(
    shared: str, own: str
) -> None:
    maintenance = {"database_url": f"postgresql://{own}"}
    settings = Settings(database_url=SecretStr(f"postgresql://{shared}"), maintenance=maintenance)
    assert sentences(settings) == []


@pytest.mark.parametrize("own", ["b@db:5433/taskmill", "b@db2/taskmill", "b@db/other"])
def test_another_server_or_database_of_maintenance_is_named(own: str) -> None:
    maintenance = {"database_url": f"postgresql://{own}"}
    [found] = find_conflicts(Settings(database_url=SHARED, maintenance=maintenance), server=DURABLE)
    assert not found.is_trouble, "the server may have another name"


@pytest.mark.parametrize("name", DURABLE)
def test_a_server_that_may_lose_what_was_accepted_is_trouble(name: str) -> None:
    [found] = find_conflicts(Settings(), server={**DURABLE, name: "off"})
    assert found.is_trouble
    assert f"ALTER SYSTEM SET {name} = on" in found.command


def test_leases_of_another_length_are_named_with_their_workers() -> None:
    lengths = [LeaseLength(worker=f"w-{number}", ttl_s=60) for number in range(9)]
    [found] = find_conflicts(Settings(), server=DURABLE, leases=lengths)
    assert found.names[1:] == tuple(f"w-{number}: 60 s" for number in range(5))


def test_pools_that_need_more_connections_than_there_are_contradict_the_limit() -> None:
    limit = ConnectionUse(scope="server", name="db", used=3, limit=97)
    assert sentences(Settings(), connections=[limit], processes=6) == []
    [sentence] = sentences(Settings(), connections=[limit], processes=7)
    assert sentence == "7 processes with full pools need 98 connections of 97."


@pytest.mark.parametrize(
    ("processes", "command"),
    [
        (7, "export TASKMILL_DATABASE__POOL_SIZE=7"),
        (12, "export TASKMILL_DATABASE__POOL_SIZE=2"),
        # Less than two for each: only the server can have more.
        (13, "ALTER SYSTEM SET max_connections = 192 -- and restart PostgreSQL"),
    ],
)
def test_what_is_advised_for_pools_is_enough(processes: int, command: str) -> None:
    limit = ConnectionUse(scope="server", name="db", used=3, limit=97)
    [found] = find_conflicts(Settings(), server=DURABLE, connections=[limit], processes=processes)
    assert found.command == command
