"""Servers that several test processes share: a run of mutation tests starts them once, for all of its changes.

Test processes learn of them from the environment, and have databases and virtual hosts of their own there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from tests.support.postgres import SharedPostgres
from tests.support.rabbitmq import SharedBroker

_VARIABLE: Final = "SERVERS_OF_TESTS"


def shared_postgres() -> SharedPostgres | None:
    """Return the PostgreSQL that this process is to use, if it is to start none."""
    url = _shared().get("postgres")
    return None if url is None else SharedPostgres(url)


def shared_broker() -> SharedBroker | None:
    """Return the RabbitMQ that this process is to use, if it is to start none."""
    node = _shared().get("rabbitmq")
    return None if node is None else SharedBroker(**node)


def _shared() -> Mapping[str, Any]:
    found = os.environ.get(_VARIABLE, "{}")  # noqa: TID251 - an option of the test run
    shared: Mapping[str, Any] = json.loads(found)
    return shared


def environment_of(
    postgres: SharedPostgres | None, broker: SharedBroker | None
) -> Mapping[str, str]:
    """Return what test processes that are to use these servers need in their environment."""
    shared: dict[str, object] = {}
    if postgres is not None:
        shared["postgres"] = postgres.url
    if broker is not None:
        shared["rabbitmq"] = asdict(broker)
    return {_VARIABLE: json.dumps(shared)}
