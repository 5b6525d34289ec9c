"""Two programs with keys of their own: what one of them sends never has the other refused."""

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.support.attackers import ATTACKER, RawConnection, raw_connections
from tests.support.processes import Program

ATTACKS = 10_000
CONNECTIONS = 10
PIPELINED = 50
BURST = 200


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Program]:
    env = {
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_AUTH": "required",
        "TASKMILL_RATE_LIMITS__KEY_RATE": "100",
        "TASKMILL_RATE_LIMITS__KEY_BURST": str(BURST),
    }
    with Program("run", "api", "--port", "0", folder=tmp_path / "api", env=env) as program:
        yield program


def a_key(database_url: str, name: str) -> str:
    """Make a key as operators do."""
    grants = ("--grant", f"tasks:create queue={name}", "--grant", f"tasks:read queue={name}")
    made = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", "key", "create", name, *grants],
        env={**os.environ, "TASKMILL_DATABASE_URL": database_url},  # noqa: TID251 - for children
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return made.stdout.strip()


async def attack(connection: RawConnection, key: str) -> Counter[int]:
    """Send this connection's share of the requests, many at once; return the statuses."""
    statuses: Counter[int] = Counter()
    lines = f"GET /tasks/{UUID(int=7)} HTTP/1.1", "host: localhost", f"authorization: Bearer {key}"
    request = "\r\n".join((*lines, "", "")).encode()
    for _ in range(ATTACKS // CONNECTIONS // PIPELINED):
        await connection.send(request * PIPELINED)
        for _ in range(PIPELINED):
            head = await connection.reader.readuntil(b"\r\n\r\n")
            [length] = re.findall(rb"content-length: (\d+)", head)
            await connection.reader.readexactly(int(length))
            statuses[int(head.split()[1])] += 1
    return statuses


async def work(url: str, key: str, over: asyncio.Event) -> Counter[int]:
    """Create and read tasks, one after the other, until the attack is over; return the statuses."""
    statuses: Counter[int] = Counter()
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
        while not over.is_set() and statuses.total() < BURST:
            made = await client.post("/tasks", json={"name": "work", "queue": "billing"})
            read = await client.get(made.headers.get("location", "/tasks"))
            statuses.update((made.status_code, read.status_code))
    return statuses


@pytest.mark.slow
async def test_ten_thousand_requests_of_one_key_have_no_other_key_refused(
    api: Program, database_url: str
) -> None:
    url = api.facts["url"]
    theirs, ours = a_key(database_url, "greedy"), a_key(database_url, "billing")
    over = asyncio.Event()
    async with (
        raw_connections(url, CONNECTIONS, address=ATTACKER) as connections,
        asyncio.TaskGroup() as group,
    ):
        working = group.create_task(work(url, ours, over))
        attacks = [group.create_task(attack(one, theirs)) for one in connections]
        await asyncio.wait(attacks)
        over.set()
    met = sum((one.result() for one in attacks), Counter[int]())
    assert met.total() == ATTACKS
    assert set(met) == {404, 429}, "the attacker is refused, and nothing else happens to it"
    assert met[404] >= BURST
    assert met[429] > ATTACKS / 2
    done = working.result()
    assert set(done) == {200, 201}, "the other one is not"
    assert done.total() >= 10, "it worked meanwhile"
