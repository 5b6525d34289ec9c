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

_SCRIPT = Path(__file__).with_name("load.lua")
_MARK = "RESULT "


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


async def post(*urls: str, connections: int, seconds: int) -> Load:
    """POST different tasks, spread evenly over these addresses."""
    return await _load(urls, connections, seconds, "post")


async def get(url: str, *, paths: Path, connections: int, seconds: int) -> Load:
    """GET the paths in the file, over and over."""
    return await _load([url], connections, seconds, "get", str(paths))


async def _load(urls: Sequence[str], connections: int, seconds: int, *arguments: str) -> Load:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadFailed("it needs wrk (Debian: apt-get install wrk; macOS: brew install wrk)")
    process = await asyncio.create_subprocess_exec(
        wrk,
        f"--threads={len(urls)}",
        f"--connections={connections}",
        f"--duration={seconds}s",
        f"--script={_SCRIPT}",
        urls[0],
        "--",
        *arguments,
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "LOAD_SERVERS": " ".join(urlsplit(url).netloc for url in urls)},
    )
    output, _ = await process.communicate()
    return _read(output.decode())


def _read(output: str) -> Load:
    line = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise LoadFailed(f"wrk printed: {output.strip()}")
    facts = json.loads(line.removeprefix(_MARK))
    if facts["failed"] or not facts["requests"]:
        raise LoadFailed(f"{facts['failed']} of {facts['requests']} requests failed")
    return Load(
        requests=facts["requests"],
        rate=facts["requests"] / facts["duration_us"] * 1e6,
        p50_ms=facts["p50_us"] / 1000,
        p95_ms=facts["p95_us"] / 1000,
        p99_ms=facts["p99_us"] / 1000,
    )
