"""Processes restarted one after the other under load, without failed requests."""

import asyncio
import itertools
import signal
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.polling import eventually
from tests.support.processes import FAST_LEASES, Program
from tests.support.safety import assert_safe
from tests.support.stage import Stage

POSTS_PER_S = 60
TIMEOUT_S = 60.0
# Two of three tasks end within the grace time of a stopping worker, the others are handed back.
DELAYS_S = (0.05, 0.4, 2.5)
GRACE_S = "1"


class Site:
    """Two APIs and two workers, each of which can be restarted at any time."""

    def __init__(self, folder: Path, env: Mapping[str, str], stack: ExitStack) -> None:
        self._folder = folder
        self._env = env
        self._stack = stack
        self.programs: dict[str, Program] = {}

    def start(self, name: str) -> None:
        """Start a process and wait until it serves."""
        role = name.partition("-")[0]
        roles = ["api", "maintenance", "--port", "0"] if role == "api" else [role]
        env = {**self._env, "TASKMILL_WORKER__NAME": name}
        program = Program("run", *roles, folder=self._folder / name, env=env)
        self.programs[name] = self._stack.enter_context(program)

    def restart(self, name: str) -> None:
        """Stop a process in order, and start another in its place."""
        process = self.programs[name].process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        self.start(name)

    def address(self, number: int) -> str:
        """Where one of the APIs serves, or served until a moment ago."""
        url: str = self.programs[f"api-{number % 2 + 1}"].facts["url"]
        return url


async def post(http: httpx.AsyncClient, site: Site, number: int, trouble: Counter[str]) -> None:
    """Post a task, again and elsewhere until it is accepted."""
    body = {"name": "t", "payload": {"delay_s": DELAYS_S[number % 3], "failure_probability": 0}}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    for attempt in itertools.count():
        try:
            url = f"{site.address(number + attempt)}/tasks"
            response = await http.post(url, json=body, headers=headers)
        except (httpx.TransportError, FileNotFoundError) as error:
            trouble[type(error).__name__] += 1
            continue
        if response.status_code in {200, 201}:
            return
        trouble[str(response.status_code)] += 1
        assert response.status_code == 503, response.text


async def post_until(stop: asyncio.Event, site: Site, trouble: Counter[str]) -> int:
    """Post at an even rate; return how many were accepted, which is all."""
    loop = asyncio.get_running_loop()
    began_at, posts = loop.time(), 0
    async with httpx.AsyncClient(timeout=10) as http, asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(post(http, site, posts, trouble))
            posts += 1
            await asyncio.sleep(max(0.0, began_at + posts / POSTS_PER_S - loop.time()))
    return posts


@pytest.mark.parametrize("rounds", [1, pytest.param(6, marks=pytest.mark.slow)])
async def test_a_rolling_restart_under_load_fails_no_request_and_costs_no_attempt(
    rounds: int, stage: Stage, tmp_path: Path
) -> None:
    env = {
        **FAST_LEASES,
        "TASKMILL_DATABASE_URL": stage.url,
        "TASKMILL_BROKER": "postgres",
        "TASKMILL_WORKER__GRACE_S": GRACE_S,
    }
    trouble: Counter[str] = Counter()
    with ExitStack() as stack:
        site = Site(tmp_path, env, stack)
        names = ["api-1", "worker-1", "api-2", "worker-2"]
        for name in names:
            await asyncio.to_thread(site.start, name)
        async with asyncio.TaskGroup() as group:
            stop = asyncio.Event()
            posting = group.create_task(post_until(stop, site, trouble))
            for name in names * rounds:
                await asyncio.to_thread(site.restart, name)
            stop.set()

        async def all_ended() -> bool:
            ended = await stage.sql.fetchval(
                "SELECT count(*) FROM taskmill.current_task WHERE status = 'succeeded'"
            )
            return bool(ended == posting.result())

        await eventually(all_ended, "all tasks to succeed", timeout_s=TIMEOUT_S)
    spent = await stage.sql.fetch("SELECT DISTINCT attempt, losses FROM taskmill.current_task")
    assert [tuple(row) for row in spent] == [(1, 0)]
    handed_back = await stage.sql.fetchval(
        "SELECT count(*) FROM taskmill.task_event WHERE event = 'handed_back'"
    )
    assert handed_back > 0, "nothing ran longer than the grace time"
    await assert_safe(stage.sql)


async def test_an_api_that_stops_goes_on_serving_until_load_balancers_notice(
    stage: Stage, tmp_path: Path
) -> None:
    env = {"TASKMILL_DATABASE_URL": stage.url, "TASKMILL_API__STOP_DELAY_S": "1.5"}
    with Program("run", "api", "--port", "0", folder=tmp_path, env=env) as program:
        url = program.facts["url"]
        program.process.send_signal(signal.SIGTERM)

        async def reports_that_it_stops() -> bool:
            return (await asyncio.to_thread(httpx.get, f"{url}/readyz")).status_code == 503

        await eventually(reports_that_it_stops, "it is not ready any more")
        response = await asyncio.to_thread(
            lambda: httpx.post(f"{url}/tasks", json={"name": "late"})
        )
        assert response.status_code == 201
        assert await asyncio.to_thread(program.process.wait, 10) == 0
