"""Puts HTTP load on a server with wrk, and reads what it measured.

A load generator in Python would be slower than what it measures; wrk takes a small share of one core.
"""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

# A search may take 4 s.
_TIMEOUT_S = 10
_SCRIPT = Path(__file__).with_name("load.lua")
_MARK = "RESULT "
_DIFFERENT = 2000
# Keys must not come twice.
_MOST_POSTS_PER_S = 20_000


class LoadFailed(Exception):
    """wrk is missing, or a request failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The results of wrk, in requests a second and milliseconds."""

    requests: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms"


async def post(*urls: str, connections: int, seconds: int, api_key: str = "") -> Load:
    """POST different tasks, spread evenly over these addresses, with an API key if one is given."""
    return await _load(urls, connections, seconds, "post", str(_DIFFERENT), api_key=api_key)


async def post_with_keys(url: str, *, connections: int, seconds: int) -> Load:
    """POST tasks, each with an idempotency key of its own."""
    count = str(seconds * _MOST_POSTS_PER_S)
    return await _load([url], connections, seconds, "post", count, f"{uuid4().hex}-")


async def get(
    url: str,
    *,
    paths: Path,
    connections: int,
    seconds: int,
    are_missing: bool = False,
    api_key: str = "",
) -> Load:
    """GET the paths in the file, over and over; `are_missing`: nothing is at any of them."""
    arguments = "get", str(paths)
    return await _load(
        [url], connections, seconds, *arguments, are_refused=are_missing, api_key=api_key
    )


async def _load(
    urls: Sequence[str],
    connections: int,
    seconds: int,
    *arguments: str,
    are_refused: bool = False,
    api_key: str = "",
) -> Load:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadFailed("it needs wrk (Debian: apt-get install wrk; macOS: brew install wrk)")
    process = await asyncio.create_subprocess_exec(
        wrk,
        f"--threads={len(urls)}",
        f"--connections={connections}",
        f"--duration={seconds}s",
        f"--timeout={_TIMEOUT_S}s",
        f"--script={_SCRIPT}",
        urls[0],
        "--",
        *arguments,
        stdout=PIPE,
        stderr=STDOUT,
        env={
            **os.environ,
            "LOAD_SERVERS": " ".join(urlsplit(url).netloc for url in urls),
            "LOAD_API_KEY": api_key,
        },
    )
    output, _ = await process.communicate()
    return _read(output.decode(), are_refused=are_refused)


def _read(output: str, *, are_refused: bool) -> Load:
    line = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise LoadFailed(f"wrk printed: {output.strip()}")
    facts = json.loads(line.removeprefix(_MARK))
    failed = facts["failed"] + abs(facts["refused"] - (facts["requests"] if are_refused else 0))
    if failed or not facts["requests"]:
        raise LoadFailed(f"{failed} of {facts['requests']} requests failed")
    return Load(
        requests=facts["requests"],
        rate=facts["requests"] / facts["duration_us"] * 1e6,
        p50_ms=facts["p50_us"] / 1000,
        p95_ms=facts["p95_us"] / 1000,
        p99_ms=facts["p99_us"] / 1000,
    )
