"""A real PgBouncer in transaction mode before the server of a test."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from urllib.parse import parse_qs, urlsplit

from taskmill.embedded.identity import choose_identity
from tests.support.polling import wait_until
from tests.support.replicated import free_port
from tests.support.roles import PASSWORDS

MISSING = "PgBouncer is not installed here (Debian: apt-get install pgbouncer)"


def program() -> str | None:
    """Return where PgBouncer is on this machine, if it is."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))  # noqa: TID251 - where it is looked for
    return shutil.which("pgbouncer", path=path)


@contextmanager
def a_pgbouncer(url: str, folder: Path, *, ignores: str = "") -> Iterator[str]:
    """Run it before a server that listens on a socket, and yield the database's address through it.

    `ignores` are the startup parameters that it swallows, instead of refusing them.
    """
    parts, identity, port = urlsplit(url), choose_identity(folder), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    users = {**PASSWORDS, parts.username or "": parts.password or ""}
    lines = [f'"{user}" "{password}"\n' for user, password in users.items()]
    (folder / "users.txt").write_text("".join(lines))
    (folder / "pgbouncer.ini").write_text(
        dedent(f"""\
            [databases]
            * = host={parse_qs(parts.query)["host"][0]}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {port}
            unix_socket_dir =
            auth_type = scram-sha-256
            auth_file = {folder}/users.txt
            pool_mode = transaction
            default_pool_size = 2
            max_prepared_statements = 100
            ignore_startup_parameters = {ignores}
        """)
    )
    for path in (folder, *folder.iterdir()):
        identity.own(path)
    command = [*identity.prefix, program() or "pgbouncer", str(folder / "pgbouncer.ini")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the program of this machine
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: _serves(port) or process.poll() is not None, "PgBouncer serves")
        assert process.poll() is None, (folder / "log").read_text()
        login = f"{parts.username}:{parts.password}"
        yield parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="sslmode=disable").geturl()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()


def _serves(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
