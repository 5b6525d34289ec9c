"""The processor time and the memory of a program and its descendants."""

import asyncio
import os
import sys

from benchmarks.process_tree import count, memory_mb, used_s
from tests.support.polling import eventually

WORK = "import time\nwhile time.process_time() < 0.3: pass\n"
LIVES_ON = WORK + "print('worked', flush=True); input()"
# A child that ends, and one that lives on as long as its parent.
PROGRAM = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {WORK!r}])
subprocess.Popen([sys.executable, "-c", {LIVES_ON!r}, "-m taskmill " + "run worker"])
input()
"""


async def test_children_count_whether_they_live_or_have_ended() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"worked\n"

        async def has_all() -> bool:
            used = used_s(process.pid)
            return used.get("worker", 0) >= 0.29 and used.get("others", 0) >= 0.29

        await eventually(has_all, "what both children have used")
        assert sum(used_s(os.getpid()).values()) >= sum(used_s(process.pid).values())
    finally:
        # Both wait for the end of their input.
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


SHARES = """
import os
block = b"x" * 100_000_000
if os.fork() == 0:
    print("shares", flush=True)
input()
"""


async def test_memory_that_two_processes_share_counts_once() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SHARES),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"shares\n"
        assert count(process.pid) == 2
        assert 100 <= sum(memory_mb(process.pid).values()) < 150
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
