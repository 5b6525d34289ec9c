"""Makes the data of an embedded server: initdb, password, database. It starts no server."""

import os
import secrets
import shutil
from pathlib import Path

from taskmill.embedded.data_folder import DataFolder
from taskmill.embedded.private_files import write_private
from taskmill.embedded.programs import Programs

USER = "taskmill"
DATABASE = "taskmill"


def prepare_cluster(folder: DataFolder, programs: Programs, *, fsync: bool) -> str:
    """Make the data unless it exists already, and return the superuser's password.

    Only the owner of the folder may call it, and only while no server runs on it.

    Raises:
        ServerFailedError: a PostgreSQL program failed.
    """
    is_new_password = not folder.password.exists()
    if is_new_password:
        write_private(folder.password, secrets.token_hex(24))
        programs.identity.own(folder.password)
    password = folder.password.read_text()
    if not folder.cluster.exists():
        _make_cluster(folder, programs, fsync=fsync)
    elif is_new_password:  # the file was lost
        _execute(programs, folder.cluster, f"ALTER ROLE {USER} PASSWORD '{password}'", fsync=fsync)
    return password


def _make_cluster(folder: DataFolder, programs: Programs, *, fsync: bool) -> None:
    """Make it in a side folder and rename that, so that a cluster is either complete or absent."""
    side = folder.path / "cluster.new"
    shutil.rmtree(side, ignore_errors=True)
    programs.run(
        "initdb",
        f"--pgdata={side}",
        f"--username={USER}",
        f"--pwfile={folder.password}",
        "--auth=scram-sha-256",
        "--locale=C",
        "--encoding=UTF8",
        "--data-checksums",
        *([] if fsync else ["--no-sync"]),
    )
    _execute(
        programs,
        side,
        f"CREATE DATABASE {DATABASE}",
        # By PostgreSQL's default, tables that are made with this role would land in the schema of its name.
        f"ALTER ROLE {USER} SET search_path = public",
        fsync=fsync,
    )
    side.rename(folder.cluster)
    _sync_folder(folder.path)


def _execute(programs: Programs, cluster: Path, *statements: str, fsync: bool) -> None:
    """Run statements in PostgreSQL's single-user mode: no server, no password."""
    setting = f"fsync={'on' if fsync else 'off'}"
    arguments = ("--single", "-D", str(cluster), "-c", setting, "postgres")
    programs.run(
        "postgres", *arguments, script="".join(f"{statement}\n" for statement in statements)
    )


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
