"""The runner's side of a peer: it makes the queue, fills it, and runs workers, each in the peer's environment."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import orjson

from benchmarks.lab import Lab
from benchmarks.looking import connected, until_counted
from benchmarks.peers import environments
from benchmarks.peers.marks import Marks
from benchmarks.programs import completed, running

_FILL_TIMEOUT_S = 300.0
_DRAIN_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One library. `done` counts finished jobs and `span` tells the seconds of all, where PostgreSQL knows."""

    name: str
    title: str
    done: str = ""
    span: str = ""


CELERY = Peer(name="celery", title="Celery")
DRAMATIQ = Peer(name="dramatiq", title="Dramatiq")
TASKIQ = Peer(name="taskiq", title="Taskiq")
PGQUEUER = Peer(
    name="pgqueuer",
    title="PgQueuer",
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
        """Send tasks one by one; return when each was sent."""
        file = self._lab.folder / "pauses.json"
        file.write_bytes(orjson.dumps(pauses))
        sent = Marks.make(self._lab.folder / "sent.marks", len(pauses))
        await self._complete("pace", "--pauses", str(file), "--sent", str(sent.path))
        return sent

    @asynccontextmanager
    async def workers(self, processes: int, *, batch: int = 100) -> AsyncIterator[None]:
        """Run so many worker processes: of its own command where it has one, else each by itself."""
        starts = processes if self._peer.done else 1
        arguments = ("--processes", str(processes), "--batch", str(batch))
        async with AsyncExitStack() as stack:
            for number in range(starts):
                name = f"{self._peer.name}-{number}"
                await stack.enter_async_context(
                    running(
                        name,
                        self._command("work", *arguments),
                        folder=self._lab.folder,
                        environment=self._environment(),
                        python=self._python,
                    )
                )
            yield

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
    """Make a queue for `count` tasks in a database or a virtual host of its own; return its address, too."""
    place = lab.database(is_empty=True) if peer.done else lab.vhost()
    async with place as url:
        queue = PeerQueue(lab, peer, url, Marks.make(lab.folder / "begun.marks", count))
        await queue.install()
        yield url, queue


async def drain(lab: Lab, peer: Peer, count: int, *, processes: int, batch: int = 100) -> float:
    """Let workers end what waits already; return the seconds from the first begin to the last end.

    In PostgreSQL by its clock and from its own records; over a broker a task is its begin, as it does nothing.
    """
    async with queue_of(lab, peer, count) as (url, queue):
        await queue.enqueue(count)
        await lab.settle()
        async with queue.workers(processes, batch=batch):
            if not peer.done:
                times = await queue.begun.until_full(timeout_s=_DRAIN_TIMEOUT_S)
                return max(times) - min(times)
            async with connected(url) as connection:
                await until_counted(connection, peer.done, count, timeout_s=_DRAIN_TIMEOUT_S)
                seconds: float = await connection.fetchval(peer.span)
                return seconds
