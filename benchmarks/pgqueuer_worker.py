"""A PgQueuer worker with an entrypoint that does nothing, on a pool and uvloop, as its guide has it.

It remembers when PostgreSQL says that each job was picked, and writes that down at the end.
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job

BATCH_SIZE = 100
ENTRYPOINT = "noop"


async def work(url: str, *, ready: Callable[[], object]) -> list[Job]:
    """Work until told to stop; return the jobs as they were when picked."""
    picked: list[Job] = []
    async with asyncpg.create_pool(url, min_size=2, max_size=8) as pool:
        application = PgQueuer.from_asyncpg_pool(pool)

        @application.entrypoint(ENTRYPOINT)
        async def _noop(job: Job) -> None:
            picked.append(job)

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, application.shutdown.set)
        ready()
        await application.run(batch_size=BATCH_SIZE)
    return picked


def main(url: str, picks: Path, ready_file: Path) -> None:
    picked = uvloop.run(work(url, ready=lambda: ready_file.write_text("{}")))
    picks.write_text(json.dumps({str(job.id): job.updated.timestamp() for job in picked}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--picks", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    options = _options()
    main(options.url, options.picks, options.ready_file)
