"""The transports under test, each with what it needs of a database, a broker and a relay."""

from collections.abc import AsyncIterator

import pytest

from tests.support.api import log_lines
from tests.support.dispatching import TransportSetup, a_notifier, a_relay
from tests.support.serving_crews import kind, service
from tests.support.stage import Stage, reused_databases, stage, stage_template, stage_url

__all__ = [
    "kind",
    "log_lines",
    "reused_databases",
    "service",
    "stage",
    "stage_template",
    "stage_url",
]


@pytest.fixture(params=["postgres", "rabbitmq"])
async def transport(request: pytest.FixtureRequest, stage: Stage) -> AsyncIterator[TransportSetup]:
    """Each transport."""
    if request.param == "postgres":
        async with a_notifier(stage):
            yield TransportSetup(name="postgres", stage=stage)
        return
    broker_url: str = request.getfixturevalue("broker_url")
    async with a_notifier(stage), a_relay(stage, broker_url):
        yield TransportSetup(name="rabbitmq", stage=stage, broker_url=broker_url)
