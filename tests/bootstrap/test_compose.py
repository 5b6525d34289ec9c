"""The Compose file from a clean clone, with a container engine: no task is lost, whatever is killed."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event
from typing import Final

import pytest

from taskmill import Client
from tests.bootstrap.conftest import clone
from tests.support.compose import ONCE, Container, Stack, find_engine, stack_of
from tests.support.intake import producing
from tests.support.polling import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.engine]

PASSWORD: Final = "password-of-tests"  # noqa: S105 - no secret
SETTINGS: Final = {
    "RABBITMQ_PRODUCERS": f"shop={PASSWORD}",
    # What a killed worker has run is given to another one after this time.
    "TASKMILL_LEASE__TTL_S": "5",
}
SERVERS: Final = {"postgres", "rabbitmq"}
ROLES: Final = {"api", "worker", "relay", "intake", "webhooks", "maintenance"}
# Of workers there are two in any case.
SECOND: Final = {f"second-{role}" for role in ROLES - {"worker"}}
# The image, over that of Python.
MOST_MEGABYTES: Final = 200
EACH_WAY: Final = 4
# A second, so that some are running and others wait when something is killed.
PAYLOAD: Final = {"delay_s": 1.0, "failure_probability": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Tasks that are created over HTTP, and by messages, in rounds with a label each."""

    client: Client
    broker_url: str

    def create(self, when: str) -> None:
        """Create the tasks of a round, in both ways."""
        for number in range(EACH_WAY):
            self.client.create(f"http {number}", labels={"when": when}, payload=PAYLOAD)
        self.publish(when)

    def publish(self, when: str) -> None:
        """Publish the messages of a round; RabbitMQ has confirmed each when this returns."""
        asyncio.run(self._publish(when))

    async def _publish(self, when: str) -> None:
        async with producing(self.broker_url) as producer:
            for number in range(EACH_WAY):
                body = {"name": f"message {number}", "labels": {"when": when}, "payload": PAYLOAD}
                await producer.send(
                    body, message_id=f"{when} {number}", user_id="shop", delivery_mode=2
                )

    def ended(self, when: str) -> list[str]:
        """Return the names of the tasks of a round that have succeeded."""
        found = self.client.list(label=[f"when={when}"], status=["succeeded"])
        return sorted(task.name for task in found)

    def wait(self, when: str, *ways: str) -> None:
        """Return when all tasks of a round have succeeded, each once."""
        expected = sorted(f"{way} {number}" for way in ways for number in range(EACH_WAY))
        wait_until(lambda: self.ended(when) == expected, f"tasks of {when} end", timeout_s=120)


@pytest.fixture
def engine() -> str:
    found = find_engine()
    if found is None:
        pytest.skip("neither Docker nor Podman answers Docker Compose here")
    return found


def test_compose_keeps_every_task_whatever_is_killed(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stack_of(clone(tmp_path / "taskmill"), engine, SETTINGS) as stack:
        begin(stack, {*SERVERS, *ROLES, *ONCE})
        size = stack.megabytes_over_base()
        with capsys.disabled():
            print(f"\nthe image has {size:.0f} MB more than its base")  # noqa: T201 - what was measured
        assert size <= MOST_MEGABYTES
        with Client(url_of(stack), api_key=admin_key(stack), retries=8) as client:
            work = Work(client=client, broker_url=broker_url_of(stack))
            work.create("the beginning")
            work.wait("the beginning", "http", "message")
            for number, one in enumerate(running(stack)):
                kill_while_tasks_run(one, work, f"{one.service} {number}")
            take_down_and_up(stack, work)
            assert client.stats().broker.state == "ok"
        [api] = stack.containers("api")
        assert "no violations" in api.run("taskmill", "verify")


def test_with_two_of_each_role_one_may_be_dead_and_nothing_is_lost(
    engine: str, tmp_path: Path
) -> None:
    with stack_of(clone(tmp_path / "taskmill"), engine, SETTINGS, "ha") as stack:
        begin(stack, {*SERVERS, *ROLES, *ONCE, *SECOND, "proxy"})
        key = admin_key(stack)
        with Client(url_of(stack, "PROXY_PORT"), api_key=key, retries=8) as client:
            work = Work(client=client, broker_url=broker_url_of(stack))
            for name in ("first", "second"):
                dead = one_of_each(stack, name)
                kill_while_somebody_creates(dead, work, f"the {name} are dead")
                for one in dead:
                    one.start()
        [api] = stack.containers("api")
        assert "no violations" in api.run("taskmill", "verify")


def begin(stack: Stack, services: set[str]) -> None:
    """Bring up what must be these services, see that each has no right too many, and let messages in."""
    stack.up("--build")
    assert {one.service for one in stack.containers()} == services
    assert [one.service for one in running(stack) if not one.is_hardened()] == []
    stack.compose("run", "--rm", "migrate", "key", "create", "shop", "--grant", "tasks:create")


def one_of_each(stack: Stack, name: str) -> list[Container]:
    """The first or the second container of each role; workers are two of one service."""
    second = name == "second"
    services = SECOND if second else ROLES - {"worker"}
    others = [one for service in sorted(services) for one in stack.containers(service)]
    workers = sorted(stack.containers("worker"), key=lambda one: one.id)
    return [*others, workers[second]]


def kill_while_somebody_creates(dead: list[Container], work: Work, when: str) -> None:
    """Kill containers while tasks are created and run, and see that all of these end without them."""
    killed = Event()
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(create_until, killed, work, when)
        try:
            for one in dead:
                one.kill()
        finally:
            killed.set()
        rounds = creating.result(timeout=120)
    for number in range(rounds):
        work.wait(f"{when} {number}", "http", "message")
    assert {one.state()["Status"] for one in dead} == {"exited"}


def create_until(killed: Event, work: Work, when: str) -> int:
    """Create tasks in rounds, the last one when all are killed; return how many rounds that were."""
    for number in count():
        is_last = killed.is_set()
        work.create(f"{when} {number}")
        if is_last:
            return number + 1
    raise AssertionError("it never ends")


def url_of(stack: Stack, port: str = "API_PORT") -> str:
    return f"http://127.0.0.1:{stack.ports[port]}"


def broker_url_of(stack: Stack) -> str:
    return f"amqp://shop:{PASSWORD}@127.0.0.1:{stack.ports['RABBITMQ_PORT']}/taskmill"


def admin_key(stack: Stack) -> str:
    """The key that `migrate` has made."""
    [api] = stack.containers("api")
    return api.run("cat", "/var/lib/taskmill/admin.key").strip()


def running(stack: Stack) -> list[Container]:
    """All containers that do not end by themselves."""
    return [one for one in stack.containers() if one.service not in ONCE]


def kill_while_tasks_run(one: Container, work: Work, when: str) -> None:
    work.create(when)
    one.kill()
    one.start()
    work.wait(when, "http", "message")


def take_down_and_up(stack: Stack, work: Work) -> None:
    """Messages that nobody has consumed are there afterwards, too, as is every task."""
    [intake] = stack.containers("intake")
    intake.kill()
    work.publish("the break")
    before = {task.id: task.version for task in work.client.list(limit=500)}
    stack.compose("down", "--timeout", "30")
    assert not stack.containers()
    stack.up()
    work.wait("the break", "message")
    after = {task.id: task.version for task in work.client.list(limit=500)}
    assert after.items() > before.items()
    assert len(after) == len(before) + EACH_WAY
