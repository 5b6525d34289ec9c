"""What pages show while RabbitMQ is away, and after, without a reload."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DATABASE, HERE, ROLES, Mill, Window
from tests.browser.test_pages import has_stayed, stays
from tests.support.processes import FAST_LEASES, Program
from tests.support.rabbitmq import BrokerServer
from tests.support.wire import a_wire

# Pages refresh what is not a change of a task every 5 s, and may show what needed attention at the refresh before.
# A link tries to reconnect every 5 s at least.
SHOWN_MS = 20_000


@pytest.fixture
def mill(database_url: str, private_broker: BrokerServer, tmp_path: Path) -> Iterator[Mill]:
    """A service over RabbitMQ, all in one process."""
    shutil.copy(HERE / "mill.py", tmp_path)
    env = {
        **FAST_LEASES,
        DATABASE: database_url,
        "TASKMILL_BROKER_URL": private_broker.url,
        "TASKMILL_WORKER__APP": "mill:app",
    }
    roles = (*ROLES, "relay", "intake")
    with (
        a_wire(database_url) as wire,
        Program(*roles, "--port", "0", folder=tmp_path, env=env) as program,
        program.client() as http,
    ):
        yield Mill(url=program.facts["url"], http=http, wire=wire)


def test_an_outage_of_the_broker_is_reported_as_is_its_end_and_tasks_run_meanwhile(
    window: Window, private_broker: BrokerServer
) -> None:
    page = window.open("/")
    stays(page)
    health = page.locator(".health li", has_text="RabbitMQ")
    attention = page.locator(".attention")
    expect(health).to_contain_text("connected", timeout=SHOWN_MS)
    expect(attention).not_to_contain_text("RabbitMQ")
    private_broker.kill()
    expect(attention).to_contain_text("RabbitMQ is away", timeout=SHOWN_MS)
    expect(health).to_contain_text("away", timeout=SHOWN_MS)
    window.check()
    done = page.locator(".tile.succeeded strong")
    expect(done).to_have_text("0")
    meanwhile = {"name": "Meanwhile", "type": "send-email", "payload": {"to": "me"}}
    assert window.mill.ended(window.mill.create(**meanwhile)) == "succeeded"
    expect(done).to_have_text("1")
    private_broker.start()
    expect(health).to_contain_text("connected", timeout=SHOWN_MS)
    expect(attention).not_to_contain_text("RabbitMQ is away", timeout=SHOWN_MS)
    assert has_stayed(page)
    window.check()
