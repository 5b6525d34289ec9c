"""Runs one attack until SIGTERM, then writes how often it had which outcome."""

import argparse
import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

from benchmarks.attacks.attack import Attack, lower_priority
from benchmarks.attacks.catalogue import attacks

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack")
    parser.add_argument("--url", required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    lower_priority()
    attack = attacks()[options.attack]
    asyncio.run(_run(attack, options.url, options.ready_file, options.done))


if __name__ == "__main__":
    main()
