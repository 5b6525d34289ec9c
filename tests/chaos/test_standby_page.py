"""The commands of the page about standbys, as printed: one is set up and promoted, and its primary follows it."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from taskmill.embedded.cluster import DATABASE, USER
from taskmill.embedded.errors import ServerFailedError
from tests.chaos.test_failover import BACK_S, assert_nothing_lost, at_work, until_it_works
from tests.support.clusters import Cluster, a_cluster
from tests.support.migrating import ROOT, migrate_with_roles
from tests.support.polling import eventually
from tests.support.replicated import COMMON, free_port

PAGE: Final = ROOT / "docs/operations/standby.md"
SECTION: Final = re.compile(r"^## (.+)\n((?:(?!## ).*\n)*)", re.MULTILINE)
BLOCK: Final = re.compile(r"```sh\n(.*?)```", re.DOTALL)
SYNCHRONOUS: Final = (
    "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
)


def blocks(section: str) -> list[str]:
    """Return the commands of a section of the page."""
    sections = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))
    return BLOCK.findall(sections[section])


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Types commands on the machine of a standby, as PostgreSQL's user."""

    cluster: Cluster
    variables: Mapping[str, str]

    def type(self, section: str) -> None:
        """Run all commands of a section."""
        programs = self.cluster.programs
        for commands in blocks(section):
            done = subprocess.run(  # noqa: S603 - the page's commands
                [*programs.identity.prefix, "sh", "-euc", commands],
                env={"PATH": f"{programs.binaries.folder}:/usr/bin:/bin", **self.variables},
                cwd=programs.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server is, and the data of it."""

    port: int
    data: Path


@contextmanager
def two_places(folder: Path) -> Iterator[tuple[Cluster, Place, Place]]:
    """Run a primary, and have a place for its standby; what runs in the end is stopped."""
    with a_cluster(folder) as cluster:
        first = Place(port=cluster.server.port, data=cluster.server.cluster)
        second = Place(port=free_port(), data=folder / "standby")
        # A standby needs settings like those of its primary: it copies these.
        with (first.data / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in COMMON.items())
        try:
            yield cluster, first, second
        finally:
            for place in (first, second):
                with suppress(ServerFailedError):  # it does not run
                    cluster.programs.run("pg_ctl", "stop", "-D", str(place.data), "-m", "immediate")


def terminal(cluster: Cluster, *, primary: Place, standby: Place) -> Terminal:
    url = f"postgresql://{USER}:{cluster.password}@127.0.0.1:{primary.port}/postgres"
    variables = {
        "PRIMARY": url,
        "STANDBY_DATA": str(standby.data),
        "STANDBY_PORT": str(standby.port),
    }
    return Terminal(cluster=cluster, variables=variables)


async def has_a_standby(url: str) -> bool:
    """Whether commits of this primary wait for a standby that is there."""
    sql = await asyncpg.connect(url)
    try:
        return bool(await sql.fetchval(SYNCHRONOUS))
    finally:
        await sql.close()


@pytest.mark.slow
async def test_a_standby_is_set_up_promoted_and_followed_by_the_former_primary(
    tmp_path: Path,
) -> None:
    with two_places(tmp_path / "servers") as (cluster, first, second):
        login = f"{USER}:{cluster.password}"
        both = f"postgresql://{login}@127.0.0.1:{first.port},127.0.0.1:{second.port}/{DATABASE}"
        promoted = f"postgresql://{login}@127.0.0.1:{second.port}/{DATABASE}"
        await asyncio.to_thread(migrate_with_roles, cluster.url)
        there = terminal(cluster, primary=first, standby=second)
        async with at_work(both, tmp_path / "processes", promoted=promoted) as (url, clients):
            await asyncio.to_thread(there.type, "Set it up")
            await eventually(lambda: has_a_standby(cluster.url), "commits to wait for it")
            await clients.have(len(clients.accepted) + 100)
            cluster.server.kill()
            async with asyncio.timeout(BACK_S):
                await asyncio.to_thread(there.type, "Promote it")
                await until_it_works(url)
            await clients.have(len(clients.accepted) + 100)
            shutil.rmtree(first.data)
            back = terminal(cluster, primary=second, standby=first)
            await asyncio.to_thread(back.type, "Set it up")
            await eventually(lambda: has_a_standby(promoted), "commits to wait for the former one")
            await clients.have(len(clients.accepted) + 100)
        await assert_nothing_lost(promoted, clients)
