"""Webhooks of whole programs, including programs that are killed while they deliver."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from standardwebhooks import Webhook

from tests.support.commands import Taskmill, taskmill
from tests.support.endpoint import Endpoint, Received, an_endpoint
from tests.support.polling import wait_until
from tests.support.processes import FAST_LEASES, Program

__all__ = ["taskmill"]

TASKS = 300
QUICK = {
    "TASKMILL_EMULATION__DELAY_MIN_S": "0",
    "TASKMILL_EMULATION__DELAY_MAX_S": "0",
    "TASKMILL_EMULATION__FAILURE_PROBABILITY": "0",
    "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
    "TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS": "whsec_" + "a" * 44,
    "TASKMILL_WEBHOOKS__TIMEOUT_S": "1",
    "TASKMILL_WEBHOOKS__CONCURRENCY": "4",
    "TASKMILL_BROKER": "postgres",
    **FAST_LEASES,
}


@contextmanager
def serving_endpoint() -> Iterator[Endpoint]:
    """Run an endpoint in a loop of its own, which responds while the test waits."""
    loop, begun = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()
    found: list[Endpoint] = []

    async def serve() -> None:
        async with an_endpoint() as endpoint:
            found.append(endpoint)
            begun.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert begun.wait(10)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def states(client: httpx.Client, webhook_id: str) -> list[str]:
    response = client.get(f"/webhooks/{webhook_id}/deliveries", params={"limit": 500})
    return [one["state"] for one in response.json()["items"]]


def test_nothing_is_lost_though_the_delivering_process_is_killed_again_and_again(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"TASKMILL_DATABASE_URL": database_url, **QUICK}
    folder = tmp_path / "rest"
    with (
        serving_endpoint() as endpoint,
        Program(
            *("run", "api", "worker", "maintenance", "--port", "0"), folder=folder, env=settings
        ) as rest,
        rest.client() as client,
    ):
        webhook = client.post("/webhooks", json={"url": f"{endpoint.url}/w"}).json()
        body = [{"name": "t", "callback_url": f"{endpoint.url}/c"} for _ in range(TASKS)]
        ids = set(client.post("/tasks/batch", json=body).json()["ids"])
        killed = 0
        while len(endpoint.received) < 2 * TASKS and killed < 4:
            killed += 1
            seen = len(endpoint.received)
            with Program("run", "webhooks", folder=tmp_path / str(killed), env=settings) as program:
                wait_until(
                    lambda seen=seen: len(endpoint.received) > seen + 20,  # type: ignore[misc]
                    "some deliveries",
                    timeout_s=60,
                )
                program.process.kill()
                program.process.wait()
        assert len({(one.path, one.headers["webhook-id"]) for one in endpoint.received}) < 2 * TASKS
        with Program("run", "webhooks", folder=tmp_path / "last", env=settings):
            wait_until(
                lambda: states(client, webhook["id"]) == ["delivered"] * TASKS,
                "all deliveries to the webhook",
                timeout_s=60,
            )

            def all_came() -> bool:
                came = {(one.path, one.headers["webhook-id"]) for one in endpoint.received}
                return len(came) == 2 * TASKS

            wait_until(all_came, "all callbacks, too", timeout_s=60)
    for path, secret in (("/w", webhook["secret"]), ("/c", "whsec_" + "a" * 44)):
        event_ids = [
            Webhook(secret).verify(one.body, one.headers)["subject"]
            for one in endpoint.received
            if one.path == path
        ]
        assert set(event_ids) == ids
    logs = "".join(file.read_text() for file in tmp_path.glob("*/log.jsonl"))
    assert "whsec_" not in logs


def all_lines_of(up: Program, *, data: Path) -> str:
    """Return what `up` has printed, and its log file."""
    return up.log_file.read_text() + (data / "taskmill.log").read_text()


def test_without_settings_callbacks_are_signed_with_a_lasting_key(
    database_url: str, tmp_path: Path, taskmill: Taskmill
) -> None:
    unset = {name: value for name, value in QUICK.items() if "SIGNING" not in name}
    settings = {"TASKMILL_DATABASE_URL": database_url, **unset}
    options = ("--port", "0", "--broker", "postgres", "--data", tmp_path)
    status, key, note = taskmill("webhook", "callback-key", "--database-url", database_url)
    assert (status, note) == (0, "")
    with serving_endpoint() as endpoint:

        def came(path: str) -> list[Received]:
            return [one for one in list(endpoint.received) if one.path == path]

        for path in ("/first", "/second"):
            folder = tmp_path / path.strip("/")
            with Program("up", *options, folder=folder, env=settings) as up:
                with up.client() as client:
                    body = {"name": "t", "callback_url": endpoint.url + path}
                    task = client.post("/tasks", json=body).json()
                    wait_until(lambda path=path: bool(came(path)), path, timeout_s=60)  # type: ignore[misc]
                assert taskmill("webhook", "callback-key", "--data", str(tmp_path)) == (0, key, "")
                assert key.strip() not in all_lines_of(up, data=tmp_path)
            received = came(path)[0]
            event = Webhook(key.strip()).verify(received.body, received.headers)
            assert event["subject"] == task["id"]


def test_up_pushes_and_delivers(database_url: str, tmp_path: Path) -> None:
    settings = {"TASKMILL_DATABASE_URL": database_url, **QUICK}
    options = ("--port", "0", "--broker", "postgres", "--data", tmp_path)
    with (
        serving_endpoint() as endpoint,
        Program("up", *options, folder=tmp_path, env=settings) as up,
        up.client() as client,
    ):
        task = client.post(
            "/tasks",
            json={
                "name": "push",
                "type": "http",
                "payload": {"url": f"{endpoint.url}/push", "body": {"a": 1}},
                "callback_url": f"{endpoint.url}/done",
            },
        ).json()
        wait_until(lambda: len(endpoint.received) == 2, "the push and the callback")
        assert [one.path for one in endpoint.received] == ["/push", "/done"]
        shown = client.get(f"/tasks/{task['id']}").json()
        assert shown["status"] == "succeeded"
        assert shown["result"]["body"] == {"ok": True}
        assert "whsec_" not in all_lines_of(up, data=tmp_path)


def test_a_process_never_calls_its_own_api_on_whatever_port_it_is(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"TASKMILL_DATABASE_URL": database_url, **QUICK}
    roles = ("api", "worker", "webhooks", "maintenance")
    with (
        Program("run", *roles, "--port", "0", folder=tmp_path / "all", env=settings) as all_roles,
        all_roles.client() as client,
    ):
        payload = {"url": f"{all_roles.facts['url']}/tasks", "body": {"name": "again"}}
        body = {"name": "calls itself", "type": "http", "payload": payload}
        path = f"/tasks/{client.post('/tasks', json=body).json()['id']}"
        wait_until(lambda: client.get(path).json()["status"] == "failed", "the push to end")
        error = client.get(path).json()["error"]
        assert error["type"] == "AddressForbidden"
        assert "it is the API of this Taskmill" in error["message"]
        assert client.get("/tasks", params={"name": "again"}).json()["items"] == []
