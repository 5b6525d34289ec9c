"""PostgreSQL servers of their own on TCP ports of this machine, which archive their WAL and can be restored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.cluster import DATABASE, USER, prepare_cluster
from taskmill.embedded.data_folder import DataFolder
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.programs import Programs
from tests.support.postgres import chosen_bin_dir
from tests.support.replicated import Server

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A server with the superuser and the database `taskmill`, and where it archives its WAL."""

    server: Server
    password: str
    archive: Path

    @property
    def programs(self) -> Programs:
        """PostgreSQL's programs, in the cluster's folder."""
        return self.server.programs

    @property
    def url(self) -> str:
        """The address of the database."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.server.port}/{database}"

    def back_up(self, name: str) -> Path:
        """Copy the data of the running server, without its WAL, and return the folder."""
        target = self.programs.folder / name
        source = self.url_of("postgres")
        options = ("-d", source, "-D", str(target), "-c", "fast", "-X", "none")
        self.programs.run("pg_basebackup", *options)
        return target


@contextmanager
def a_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a new server that archives its WAL until the block ends."""
    folder.mkdir(parents=True)
    identity = choose_identity(folder)
    archive = folder / "archive"
    archive.mkdir()
    for path in (folder, archive):
        identity.own(path)
    binaries = find_binaries(chosen_bin_dir(), data_dir=folder, data_major=None)
    programs = Programs(binaries=binaries, identity=identity, folder=folder)
    data = DataFolder(folder)
    password = prepare_cluster(data, programs, fsync=False)
    server = Server(programs=programs, cluster=data.cluster)
    try:
        server.start(
            {
                "archive_mode": "on",
                "archive_command": f"cp %p '{archive}/%f'",
                "full_page_writes": "on",
            }
        )
        yield Cluster(server=server, password=password, archive=archive)
    finally:
        server.kill()


@contextmanager
def restored(lost: Cluster, backup: Path, *, until: datetime) -> Iterator[Cluster]:
    """Run another server on a backup of a lost one, brought up to a moment with what that had archived."""
    (backup / "recovery.signal").touch()
    server = Server(programs=lost.programs, cluster=backup)
    try:
        server.start(
            {
                "restore_command": f"cp '{lost.archive}/%f' %p",
                "recovery_target_time": until.isoformat(sep=" "),
                "recovery_target_action": "promote",
            }
        )
        yield Cluster(server=server, password=lost.password, archive=lost.archive)
    finally:
        server.kill()
