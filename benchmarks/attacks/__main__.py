"""Runs one attack until SIGTERM, then writes how often it had which outcome."""

import argparse
import asyncio
import json
import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.catalogue import attacks

# A real attacker has a machine of its own; here it gets little of the one that it shares with server and clients.
_NICENESS = 5
_PAUSE_S = 0.01


async def _run(attack: Attack, url: str, ready_file: Path, done: Path) -> None:
    outcomes: Counter[str] = Counter()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(_repeat(attack, url, outcomes)) for _ in range(attack.clients)]
        ready_file.write_text("{}")  # noqa: ASYNC240 - nothing is measured yet
        await stop.wait()
        done.write_text(json.dumps(outcomes))  # noqa: ASYNC240 - nothing is measured any more
        for client in clients:
            client.cancel()


async def _repeat(attack: Attack, url: str, outcomes: Counter[str]) -> None:
    while True:
        outcomes["begun"] += 1
        try:
            outcomes[await attack.once(url)] += 1
        except* (OSError, EOFError):
            outcomes["cut"] += 1
            await asyncio.sleep(_PAUSE_S)
        await asyncio.sleep(attack.pause_s)


def _lower_priority() -> None:
    """Take little of the processors, also if Linux schedules by sessions, of which this is one."""
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack")
    parser.add_argument("--url", required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    _lower_priority()
    attack = attacks()[options.attack]
    asyncio.run(_run(attack, options.url, options.ready_file, options.done))


if __name__ == "__main__":
    main()
