"""Sends all requests of one attack by a client with an API key, then writes how often it had which status.

The key is in CLIENT_API_KEY. Requests follow each other on connections that stay open, several at a time.
"""

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import UUID

import orjson

from benchmarks.attacks.attack import ADDRESS, lower_priority
from benchmarks.connections import connected_from

QUEUE = "greedy-*"
"""The queues that the attacker's key may name."""
NAMES: Final = 20_000
_NAMES_AT_ONCE = 100
_LATER_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackWithKey:
    """So many requests. `must_see` are the statuses that prove that the attack worked, and that it was limited."""

    title: str
    requests: int
    connections: int
    pipelined: int
    request: Callable[[int, str], bytes]
    must_see: frozenset[str]


def _head(method: str, path: str, key: str, more: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{more}\r\n"
    ).encode()


def _read(number: int, key: str) -> bytes:
    return _head("GET", f"/tasks/{UUID(int=number)}", key)


def _name(number: int, key: str) -> bytes:
    tasks = [
        {"name": "x", "delay_s": _LATER_S, "queue": f"greedy-{number}-{name}"}
        for name in range(_NAMES_AT_ONCE)
    ]
    body = orjson.dumps(tasks)
    described = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return _head("POST", "/tasks/batch", key, described) + body


ATTACKS: Final[Mapping[str, AttackWithKey]] = MappingProxyType(
    {
        "requests of another key": AttackWithKey(
            title="100,000 requests, 50 at a time on each of 100 connections",
            requests=100_000,
            connections=100,
            pipelined=50,
            request=_read,
            must_see=frozenset({"404", "429"}),
        ),
        "queue names of another key": AttackWithKey(
            title="20,000 new queues, in arrays of 100 tasks",
            requests=NAMES // _NAMES_AT_ONCE,
            connections=4,
            pipelined=1,
            request=_name,
            must_see=frozenset({"201", "409"}),
        ),
    }
)


async def run(attack: AttackWithKey, url: str, key: str, requests: int) -> Counter[str]:
    """Send so many requests, and return how often which status came."""
    statuses: Counter[str] = Counter()
    numbers = iter(range(requests))
    async with asyncio.TaskGroup() as group:
        for _ in range(attack.connections):
            group.create_task(_send(attack, url, key, numbers, statuses))
    return statuses


async def _send(
    attack: AttackWithKey, url: str, key: str, numbers: Iterator[int], statuses: Counter[str]
) -> None:
    async with connected_from(ADDRESS, url) as connection:
        while chosen := list(islice(numbers, attack.pipelined)):
            await connection.send(b"".join(attack.request(number, key) for number in chosen))
            for _ in chosen:
                statuses[str((await connection.response()).status)] += 1


async def _run(
    attack: AttackWithKey, url: str, requests: int, ready_file: Path, done: Path
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ready_file.write_text("{}")  # noqa: ASYNC240 - nothing is measured yet
    statuses = await run(attack, url, os.environ["CLIENT_API_KEY"], requests)
    done.with_suffix(".part").write_text(json.dumps(statuses))
    done.with_suffix(".part").rename(done)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack")
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    lower_priority()
    attack = ATTACKS[options.attack]
    asyncio.run(_run(attack, options.url, options.requests, options.ready_file, options.done))


if __name__ == "__main__":
    main()
