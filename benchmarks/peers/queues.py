"""The runner's side of a peer: it makes the queue, fills it, and runs workers, each in the peer's environment."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import orjson

from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from benchmarks.peers import environments
from benchmarks.peers.marks import Marks
from benchmarks.programs import Program, completed, running
from benchmarks.together import COUNTED_EVERY_S, begun_together

_FILL_TIMEOUT_S = 300.0
_DRAIN_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One library. `done` counts finished jobs and `span` returns the seconds of all, for peers on PostgreSQL.

    Its `variants` are ways to run it, of which the best counts; the first is the default.
    """

    name: str
    title: str
    variants: Sequence[str] = ("",)
    done: str = ""
    span: str = ""


CELERY = Peer(name="celery", title="Celery", variants=("prefork", "threads", "solo"))
DRAMATIQ = Peer(name="dramatiq", title="Dramatiq")
TASKIQ = Peer(name="taskiq", title="Taskiq")
PGQUEUER = Peer(
    name="pgqueuer",
    title="PgQueuer",
    variants=("batch 100", "batch 10", "batch 1000"),
    done="SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",
    span="""
        SELECT extract(epoch FROM
            max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked')
        )::float8 FROM pgqueuer_log
    """,
)
PROCRASTINATE = Peer(
    name="procrastinate",
    title="Procrastinate",
    done="SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
    span="""
        SELECT extract(epoch FROM
            max(at) FILTER (WHERE type = 'succeeded') - min(at) FILTER (WHERE type = 'started')
        )::float8 FROM procrastinate_events
    """,
)


class PeerQueue:
    """A peer's queue at one address; the tasks note in `begun` when they begin."""

    def __init__(self, lab: Lab, peer: Peer, url: str, begun: Marks) -> None:
        self._lab = lab
        self._peer = peer
        self._url = url
        self.begun = begun
        self._python = str(environments.python_of(peer.name))
        lab.peer_versions |= environments.versions(peer.name)

    async def install(self) -> None:
        await self._complete("install")

    async def enqueue(self, count: int) -> None:
        await self._complete("enqueue", "--count", str(count))

    async def pace(self, pauses: Sequence[float]) -> Marks:
        """Send tasks one by one; return when each call began and ended: see `given.paced`."""
        file = self._lab.folder / "pauses.json"
        file.write_bytes(orjson.dumps(pauses))
        sent = Marks.make(self._lab.folder / "sent.marks", 2 * len(pauses))
        await self._complete("pace", "--pauses", str(file), "--sent", str(sent.path))
        return sent

    def worker(self, number: int = 0, *, variant: str = "") -> AbstractAsyncContextManager[Program]:
        """Run a worker process, by its own command line where it has one."""
        return running(
            f"{self._peer.name}-{number}",
            self._command("work", "--variant", variant or self._peer.variants[0]),
            folder=self._lab.folder,
            environment=self._environment(),
            python=self._python,
        )

    async def _complete(self, action: str, *arguments: str) -> None:
        await completed(
            f"{self._peer.name}-{action}",
            self._command(action, *arguments),
            folder=self._lab.folder,
            environment=self._environment(),
            python=self._python,
            timeout_s=_FILL_TIMEOUT_S,
        )

    def _command(self, action: str, *arguments: str) -> list[str]:
        return ["-m", "benchmarks.peers", self._peer.name, action, *arguments]

    def _environment(self) -> dict[str, str]:
        return {"PEER_URL": self._url, "PEER_BEGUN": str(self.begun.path)}


@asynccontextmanager
async def queue_of(lab: Lab, peer: Peer, count: int) -> AsyncIterator[tuple[str, PeerQueue]]:
    """Make a queue for `count` tasks in a database or a virtual host of its own; return it with its address."""
    location = lab.database(is_empty=True) if peer.done else lab.vhost()
    async with location as url:
        queue = PeerQueue(lab, peer, url, Marks.make(lab.folder / "begun.marks", count))
        await queue.install()
        yield url, queue


async def drain(lab: Lab, peer: Peer, count: int, processes: int, variant: str = "") -> float:
    """Let workers begin together with so many tasks; return how many they end a second.

    From the first beginning to the last end: in PostgreSQL by its clock and from its own records; over a broker
    only the beginning of tasks counts, as they do nothing.
    """
    async with queue_of(lab, peer, count) as (url, queue):
        workers = [queue.worker(number, variant=variant) for number in range(processes)]
        async with begun_together(lab, workers, partial(queue.enqueue, count)):
            if not peer.done:
                times = await queue.begun.until_full(timeout_s=_DRAIN_TIMEOUT_S)
                return count / (max(times) - min(times))
            async with connected(url) as connection:
                await until_counted(
                    connection,
                    peer.done,
                    count,
                    timeout_s=_DRAIN_TIMEOUT_S,
                    pause_s=COUNTED_EVERY_S,
                )
                seconds: float = await connection.fetchval(peer.span)
                return count / seconds
