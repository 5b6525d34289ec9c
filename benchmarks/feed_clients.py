"""Clients of GET /events in one process: each follows one queue, and notes how late its changes come.

Late by this machine's clock, against PostgreSQL's time of the change: the start of its transaction. They note
delays from when one file exists until another does, and write the result.
"""

import argparse
import asyncio
import json
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.figures import percentile

_AT = b'"at":"'
_AT_LENGTH = len("2026-11-25T01:23:32.820000Z")
_POLL_S = 0.05


class Followers:
    """All clients, and the delays that they saw in milliseconds."""

    def __init__(self, url: str, clients: int, queues: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._clients = clients
        self._queues = queues
        self.live = 0
        self.is_noting = False
        self.delays: list[float] = []

    async def follow(self, number: int) -> None:
        """Read one stream for as long as it lasts."""
        reader, writer = await asyncio.open_connection(*self._address)
        path = f"/events?queue=q{number % self._queues}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async for line in reader:
            if line.startswith(b"data: "):
                self._note(line)
            elif line.startswith(b": live"):
                self.live += 1

    def _note(self, line: bytes) -> None:
        now = time.time()
        if self.is_noting:
            start = line.index(_AT) + len(_AT)
            at = datetime.fromisoformat(line[start : start + _AT_LENGTH].decode())
            self.delays.append((now - at.timestamp()) * 1000)

    async def run(self, ready_file: Path, begin: Path, done: Path) -> None:
        end = done.with_suffix(".end")
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(self.follow(number)) for number in range(self._clients)]
            while self.live < self._clients:  # noqa: ASYNC110 - polling is enough
                await asyncio.sleep(_POLL_S)
            ready_file.write_text("{}")  # noqa: ASYNC240 - nothing is measured yet
            while not end.exists():
                self.is_noting = begin.exists()  # noqa: ASYNC240 - see above
                await asyncio.sleep(_POLL_S)
            self._write_result(done)
            for client in clients:
                client.cancel()

    def _write_result(self, done: Path) -> None:
        seen = {
            "events": len(self.delays),
            **{f"p{share}": percentile(self.delays, share / 100) for share in (50, 95, 99)},
        }
        draft = done.with_suffix(".draft")
        draft.write_text(json.dumps(seen))
        draft.replace(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--queues", type=int, required=True)
    parser.add_argument("--begin", type=Path, required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    followers = Followers(options.url, options.clients, options.queues)
    asyncio.run(followers.run(options.ready_file, options.begin, options.done))


if __name__ == "__main__":
    main()
