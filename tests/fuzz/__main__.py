"""Sends hostile requests, bytes and messages to a service of its own: `python -m tests.fuzz --minutes 15`.

The exit status is 1 when there was a 5xx, a response that the documents do not describe, or anything else that
must not happen. A finding is printed with what reproduces it; a seed always makes the same cases.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tests.fuzz.by_document import counted_as, send_by_document
from tests.fuzz.document import Documents
from tests.fuzz.findings import Tally, say
from tests.fuzz.messages import NAME as MESSAGES, send_messages
from tests.fuzz.page_requests import page_requests
from tests.fuzz.pool import make_pool_beside
from tests.fuzz.raw_bytes import NAME as RAW_BYTES, send_raw_bytes
from tests.fuzz.seeds import seeded
from tests.fuzz.service import Service, a_service


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="which cases (default: a random one, printed)"
    )
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="longest time; less than all is a finding (15)"
    )
    parser.add_argument(
        "--requests",
        type=int,
        metavar="N",
        default=50_000,
        help="requests for each role (50000)",
    )
    parser.add_argument(
        "--connections",
        type=int,
        metavar="N",
        default=50_000,
        help="connections of raw bytes (50000)",
    )
    parser.add_argument(
        "--messages", type=int, metavar="N", default=20_000, help="messages (20000)"
    )
    parser.add_argument(
        "--examples",
        type=int,
        metavar="N",
        default=40,
        help="cases that Schemathesis makes of an operation (40)",
    )
    return parser.parse_args()


async def _send_all(service: Service, options: argparse.Namespace, tally: Tally) -> None:
    """Run all parts; the cases of the documents are made meanwhile, as that takes as long."""
    documents = await asyncio.to_thread(service.documents)
    async with asyncio.TaskGroup() as group:
        pool = group.create_task(
            asyncio.to_thread(
                make_pool_beside, documents, number=options.seed, examples=options.examples
            )
        )
        # One after the other: raw bytes create tasks, too, and those of messages are counted.
        await send_messages(service.amqp_url, service.database_url, tally, number=options.seed)
        before_kb = service.memory_kb
        await send_raw_bytes(service.target, tally, number=options.seed)
        service.check_memory(before_kb, tally)
    cases = [*pool.result(), *page_requests(seeded(options.seed), options.examples // 8)]
    say(f"{len(pool.result()):,} cases of the documents, {len(cases):,} with those of pages")
    await send_by_document(service.target, Documents(documents), cases, tally, number=options.seed)


def main() -> int:
    """Run everything, and print what was sent and found."""
    # In a shell's background job SIGINT begins as ignored; both have to stop what was started here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = _arguments()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(2**32)
    say(f"seed {options.seed}")
    tally = Tally(deadline=perf_counter() + options.minutes * 60)
    tally.goals = {MESSAGES: options.messages, RAW_BYTES: options.connections}
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-fuzz-") as folder,
        a_service(Path(folder)) as service,
    ):
        tally.goals |= {counted_as(role): options.requests for role in service.target.keys}
        asyncio.run(_send_all(service, options, tally))
        service.check(tally)
    tally.check_goals()
    for line in tally.summary():
        say(line)
    say(f"seed {options.seed}")
    return int(bool(tally.kinds))


if __name__ == "__main__":
    sys.exit(main())
