"""The whole system on one machine: servers, roles as processes, and an edge from each process to each server."""

import asyncio
import errno
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx

from taskmill.embedded.postgres import EmbeddedPostgres
from tests.chaos import breakages
from tests.chaos.edges import Edge, Streams
from tests.chaos.small_disk import a_small_disk
from tests.support.migrating import migrate_with_roles
from tests.support.polling import eventually
from tests.support.postgres import chosen_bin_dir
from tests.support.processes import ROOT, Program
from tests.support.rabbitmq import BrokerServer

LEASE_TTL_S = 2.0
_POSTGRES_PORT = 5432
# Small enough for the small disk, and quick to start again.
_POSTGRES_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "64MB",
    "max_connections": "150",
    "max_wal_size": "96MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "30s",
    "fsync": "off",
    # Dead clients are noticed, and their locks released.
    "tcp_user_timeout": "3000",
    "idle_in_transaction_session_timeout": "5s",
}
_FAKETIME = "usr/lib/*/faketime/libfaketime.so.1"
_EVERYBODY = {
    "TASKMILL_LEASE__TTL_S": str(LEASE_TTL_S),
    "TASKMILL_MAINTENANCE__INTERVAL_S": "0.2",
    "TASKMILL_WORKER__CONCURRENCY": "40",
    "TASKMILL_WORKER__GRACE_S": "1",
    "TASKMILL_RETRY__BASE_S": "0.1",
    "TASKMILL_DATABASE__CONNECT_TIMEOUT_S": "2",
    "TASKMILL_DATABASE__STATEMENT_TIMEOUT_S": "4",
    "TASKMILL_ADMIN_PORT": "0",
}


@dataclass(kw_only=True)
class Member:
    """A process of one role with its edges; when restarted it is another process on the same edges."""

    name: str
    edges: Sequence[Edge]
    env: Mapping[str, str]
    folder: Path
    program: Program | None = None
    starts: int = 0

    @property
    def role(self) -> str:
        """Its role."""
        return self.name.partition("-")[0]

    @property
    def failpoints(self) -> Path:
        """The folder that it checks for names of failpoints."""
        return self.folder / "failpoints"

    @property
    def clock(self) -> Path:
        """The file that sets its clock, where that can be faked."""
        return self.folder / "clock"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs or is suspended."""
        return self.program is not None and self.program.process.poll() is None

    @property
    def is_frozen(self) -> bool:
        """Whether its process is suspended."""
        if self.program is None or not self.is_alive:
            return False
        options = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.program.process.pid, options) is not None

    @property
    def clock_error_s(self) -> float:
        """How far its clock is from the machine's, by its last log line."""
        assert self.program is not None
        log = self.program.log_file
        lines = [line for line in log.read_bytes().splitlines() if line.startswith(b'{"ts"')]
        if not lines:
            return 0.0
        logged = datetime.fromisoformat(json.loads(lines[-1])["ts"]).timestamp()
        return abs(logged - log.stat().st_mtime)

    def was_ended_by(self, number: signal.Signals) -> bool:
        """Whether its process has ended, and by this signal."""
        return self.program is not None and self.program.process.poll() == -number

    @property
    def url(self) -> str | None:
        """The address at which it serves, or served last; None while it starts."""
        try:
            return str(self.program.facts["url"]) if self.program else None
        except FileNotFoundError:
            return None

    @property
    def open_files(self) -> int:
        """How many files and sockets it has open; 0 if that is unknown."""
        folder = Path(f"/proc/{self.program.process.pid}/fd") if self.program else None
        return len(list(folder.iterdir())) if folder and folder.exists() else 0

    def start(self) -> None:
        """Start its process and return at once."""
        self.starts += 1
        self.failpoints.mkdir(parents=True, exist_ok=True)
        folder = self.folder / f"start-{self.starts}"
        port = ["--port", "0"] if self.role == "api" else []
        self.program = Program(
            "run",
            self.role,
            *port,
            folder=folder,
            env=self.env,
            command=(sys.executable, "-m", "tests.chaos.program"),
        )

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        if self.program is not None and self.is_alive:
            self.program.process.kill()
            self.program.process.wait()

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; False if it is not alive."""
        if self.program is None or not self.is_alive:
            return False
        self.program.process.send_signal(number)
        return True

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event, from all its starts."""
        files = sorted(self.folder.glob("start-*/log.jsonl"))
        lines = (line for file in files for line in file.read_text(errors="replace").splitlines())
        return [
            json.loads(line)
            for line in lines
            if f'"{event}"' in line and line.startswith("{") and line.endswith("}")
        ]


class Site:
    """Use it as an async context manager, in the main thread: the servers end with that thread."""

    def __init__(
        self, folder: Path, *, with_broker: bool, policy: str, broken: str = "", schedulers: int = 1
    ) -> None:
        self.folder = folder
        self.effects = folder / "effects.jsonl"
        self.members: dict[str, Member] = {}
        self.policy = policy if with_broker else "postgres"
        self.broker: BrokerServer | None = None
        self.faketime = next(Path("/").glob(_FAKETIME), None)
        self.disk: Path | None = None
        self._with_broker = with_broker
        self._broken = broken
        self.schedulers = schedulers
        self._stack = AsyncExitStack()
        self._postgres: EmbeddedPostgres | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.disk = stack.enter_context(a_small_disk(self.folder / "disk"))
            data = (self.disk or self.folder) / "postgres"
            self._postgres = EmbeddedPostgres(
                data, bin_dir=chosen_bin_dir(), settings=_POSTGRES_SETTINGS
            )
            stack.callback(self._postgres.stop)
            self._postgres.start()
            await self._make_schema()
            await self._break_schema()
            if self._with_broker:
                self.broker = stack.enter_context(BrokerServer(self.folder / "rabbitmq"))
            for name in self._names():
                self.members[name] = await self._member(name, stack)
            stack.push_async_callback(self._end_all)
            for member in self.members.values():
                member.start()
            self._stack = stack.pop_all()
        await self.serves()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def database_url(self) -> str:
        """The address of the database without an edge, for checks."""
        assert self._postgres is not None
        return self._postgres.url

    @property
    def edges(self) -> list[Edge]:
        """All edges."""
        return [edge for member in self.members.values() for edge in member.edges]

    @property
    def api_url(self) -> str | None:
        """The address at which the API serves, or served last; None while it starts."""
        return self.members["api-1"].url

    async def serves(self, timeout_s: float = 60.0) -> None:
        """Wait until all processes are ready."""

        async def probe() -> bool:
            for member in self.members.values():
                assert member.is_alive, f"{member.name} ended: see {member.folder}"
            return all(
                m.program is not None and m.program.ready_file.exists()
                for m in self.members.values()
            )

        await eventually(probe, "all processes to serve", timeout_s=timeout_s)

    def of(self, *roles: str) -> list[Member]:
        """Return the processes of these roles."""
        return [member for member in self.members.values() if member.role in roles]

    # What can be done to the servers.

    def kill_database(self) -> None:
        """Kill all processes of PostgreSQL at once."""
        assert self._postgres is not None
        if self._postgres.pid is not None:
            os.killpg(self._postgres.pid, signal.SIGKILL)

    def stop_database(self) -> None:
        """Shut PostgreSQL down immediately, without a checkpoint."""
        assert self._postgres is not None
        if self._postgres.pid is not None:
            os.kill(self._postgres.pid, signal.SIGQUIT)

    def freeze_database(self) -> bool:
        """Suspend all processes of PostgreSQL; return whether that worked."""
        assert self._postgres is not None
        pid = self._postgres.pid
        if pid is None:
            return False
        os.killpg(pid, signal.SIGSTOP)
        return _is_stopped(pid)

    def thaw_database(self) -> None:
        """Resume PostgreSQL."""
        assert self._postgres is not None
        if self._postgres.pid is not None:
            os.killpg(self._postgres.pid, signal.SIGCONT)

    @property
    def database_runs(self) -> bool:
        """Whether there is a server process."""
        assert self._postgres is not None
        return self._postgres.pid is not None

    def revive_database(self) -> None:
        """Start PostgreSQL again if it has ended; it may still be recovering when this returns."""
        assert self._postgres is not None
        self._postgres.revive()

    def fill_disk(self) -> bool:
        """Write until writing fails; return whether the disk is full."""
        with self._ballast.open("wb", buffering=0) as ballast:
            while True:
                try:
                    os.write(ballast.fileno(), bytes(2**20))
                except OSError as error:
                    return error.errno == errno.ENOSPC

    def empty_disk(self) -> None:
        """Remove what filled it."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        assert self.disk is not None
        return self.disk / "ballast"

    # How it is put together.

    async def _make_schema(self) -> None:
        await asyncio.to_thread(migrate_with_roles, self.database_url)

    async def _break_schema(self) -> None:
        if change := breakages.SCHEMA.get(self._broken):
            sql = await asyncpg.connect(self.database_url)
            await sql.execute(change)
            await sql.close()

    def _names(self) -> list[str]:
        maintenance = [f"maintenance-{number + 1}" for number in range(self.schedulers)]
        names = ["api-1", *maintenance, "worker-1", "worker-2"]
        return [*names, "relay-1", "relay-2", "intake-1"] if self._with_broker else names

    async def _member(self, name: str, stack: AsyncExitStack) -> Member:
        folder = self.folder / name
        folder.mkdir(parents=True)
        to_database = await stack.enter_async_context(Edge(f"{name}:database", self._to_database))
        edges, env = [to_database], self._env(name, folder, to_database)
        if self.broker is not None:
            to_broker = await stack.enter_async_context(Edge(f"{name}:broker", self._to_broker))
            edges.append(to_broker)
            env["TASKMILL_BROKER_URL"] = _through(self.broker.url, to_broker)
        return Member(name=name, edges=edges, env=env, folder=folder)

    def _env(self, name: str, folder: Path, to_database: Edge) -> dict[str, str]:
        env = {
            **_EVERYBODY,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "TASKMILL_DATABASE_URL": f"{_through(self.database_url, to_database)}?sslmode=disable",
            "TASKMILL_BROKER": self.policy,
            "TASKMILL_WORKER__NAME": name,
            "CHAOS_EFFECTS": str(self.effects),
            "CHAOS_FAILPOINTS": str(folder / "failpoints"),
            "CHAOS_BREAK": self._broken,
        }
        if name.startswith("maintenance"):
            (folder / "clock").write_text("+0s")
            env["CHAOS_CLOCK"] = str(folder / "clock")
        if self.faketime is not None and name.startswith("worker"):
            (folder / "clock").write_text("+0s")
            env |= {
                "LD_PRELOAD": str(self.faketime),
                "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        return env

    async def _to_database(self) -> Streams:
        folder = parse_qs(urlsplit(self.database_url).query)["host"][0]
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{_POSTGRES_PORT}")

    async def _to_broker(self) -> Streams:
        assert self.broker is not None
        parts = urlsplit(self.broker.url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def _end_all(self) -> None:
        """Stop all processes in order; their edges still work, so that they can close their connections."""
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)

        async def have_ended() -> bool:
            return not any(member.is_alive for member in self.members.values())

        with suppress(AssertionError):
            await eventually(have_ended, "all processes to end", timeout_s=15)
        for member in self.members.values():
            member.kill()


def _is_stopped(pid: int) -> bool:
    """Return whether the kernel has suspended a process, which it does a moment after the signal."""
    options = os.WSTOPPED | os.WNOWAIT
    return os.waitid(os.P_PID, pid, options) is not None


def _through(url: str, edge: Edge) -> str:
    """Return the address through an edge, without its query."""
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{parts.username}:{parts.password}@127.0.0.1:{edge.port}", query=""
    ).geturl()


async def scrape(member: Member, counter: str) -> float:
    """Return a counter of a process, which starts at 0 with the process; 0 if it can't be read."""
    logged = member.logged("admin.started")
    if not logged or not member.is_alive:
        return 0.0
    try:
        async with httpx.AsyncClient(timeout=2) as http:
            text = (await http.get(f"{logged[-1]['url']}/metrics")).text
    except httpx.TransportError:
        return 0.0
    lines = [line for line in text.splitlines() if line.startswith(f"{counter} ")]
    return float(lines[0].split()[1]) if lines else 0.0
