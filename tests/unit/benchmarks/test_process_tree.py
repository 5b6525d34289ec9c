"""The processor time of a program and its descendants, including ended ones."""

import asyncio
import os
import sys

from benchmarks.process_tree import used_s
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
