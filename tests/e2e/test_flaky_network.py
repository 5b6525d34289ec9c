"""The clients over a network that loses requests and responses: each creation makes one task."""

import asyncio
from pathlib import Path

import pytest

from taskmill import AsyncClient, Client
from tests.support.flaky import FATES, a_flaky_proxy
from tests.support.processes import Program

TIMEOUT_S = 0.5


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_each_creation_makes_one_task(database_url: str, tmp_path: Path, count: int) -> None:
    env = {"TASKMILL_DATABASE_URL": database_url}
    with Program("run", "api", "--port", "0", folder=tmp_path / "api", env=env) as program:
        url = program.facts["url"]
        async with a_flaky_proxy(url, stall_s=2 * TIMEOUT_S) as (proxy, address):
            async with AsyncClient(address, timeout_s=TIMEOUT_S, retries=15) as client:
                limit = asyncio.Semaphore(50)

                async def create(number: int) -> None:
                    async with limit:
                        await client.create(f"task {number}", labels={"n": str(number)})

                async with asyncio.TaskGroup() as group:
                    for number in range(count):
                        group.create_task(create(number))
            assert set(proxy.fates) == set(FATES), "each fate occurred"
        with Client(url) as direct:
            made = [task.labels["n"] for task in direct.list(limit=500)]
    assert sorted(made, key=int) == [str(number) for number in range(count)]
